"""From ``MODULE[:ATTRIBUTE]`` on the command line to what an engine registers."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.text import safe
from wfactors.registry import Activity, Registry, Workflow

__all__ = ["load_registered"]


def load_registered(target: str) -> Sequence[Any]:
    """Import a module and return what is to be registered; it was checked to be something.

    Args:
        target: ``package.module``, ``file.py``, either with ``:attribute``. The attribute is a list of what can be
            registered, one such thing, or a function without arguments that returns either.

    Raises:
        Problem: There is no such module or attribute, or nothing to register in it.
    """
    name, _, attribute = target.partition(":")
    module = _imported(name)
    registered = _as_list(_attribute(module, name, attribute), target) if attribute else [module]
    try:
        registry = Registry(registered)
    except (TypeError, ValueError) as error:
        raise Problem(Exit.USAGE, f"{safe(target)}: {error}") from error
    if not registry.workflows and not registry.activities:
        raise Problem(
            Exit.USAGE,
            f"there is neither a workflow nor an activity in {safe(target)}",
            "decorate functions with @wf.workflow and @wf.activity",
        )
    return registered


def _imported(name: str) -> Any:
    path = Path(name)
    if name.endswith(".py"):
        if not path.is_file():
            raise Problem(Exit.USAGE, f"there is no file {safe(name)}", f"the current folder is {Path.cwd()}")
        folder, name = str(path.resolve().parent), path.stem
    else:
        folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            hint = f"the current folder is {Path.cwd()}; modules of a package are written package.module"
            raise Problem(Exit.USAGE, f"there is no module {safe(name)}", hint) from None
        raise Problem(Exit.USAGE, f"{safe(name)} cannot be imported: {error}", _last_line(error)) from error
    except Exception as error:
        words = f"{safe(name)} cannot be imported: {type(error).__name__}: {error}"
        raise Problem(Exit.USAGE, words, _last_line(error)) from error


def _last_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _attribute(module: Any, name: str, path: str) -> Any:
    value = module
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise Problem(Exit.USAGE, f"{safe(name)} has no {safe(path)}", "check the name after the colon") from None
    return value


def _as_list(value: Any, target: str) -> Sequence[Any]:
    if not isinstance(value, Workflow | Activity | type) and isinstance(value, Callable):  # type: ignore[arg-type]
        try:
            value = value()
        except Exception as error:
            words = f"{safe(target)}() raised {type(error).__name__}: {error}"
            raise Problem(Exit.USAGE, words, _last_line(error)) from error
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
