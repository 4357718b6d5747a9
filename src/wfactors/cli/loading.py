"""From ``MODULE[:ATTRIBUTE]`` on the command line to what an engine registers, and to others of its arguments."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wfactors.cli.exits import Exit, Problem
from wfactors.cli.options import PAYLOADS_VARIABLE, Globals
from wfactors.cli.text import safe
from wfactors.convert import DataPort
from wfactors.registry import Activity, Registry, Workflow
from wfactors.telemetry.settings import Telemetry

__all__ = ["load_payloads", "load_registered", "load_telemetry"]

_PAYLOAD_SETTINGS = ("converter", "codecs", "retired_codecs")


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


def load_payloads(options: Globals) -> Mapping[str, Any]:
    """The arguments of ``open_engine`` and ``open_client`` that say how values are stored; {} for the default way.

    Raises:
        Problem: What was named is not there, or says something else.
    """
    target = options.payloads or os.environ.get(PAYLOADS_VARIABLE)
    if not target:
        return {}
    name, _, attribute = target.partition(":")
    hint = f"it names a dict with some of {', '.join(_PAYLOAD_SETTINGS)}, or a function that returns one"
    if not attribute:
        raise Problem(Exit.USAGE, f"--payloads {safe(target)} is not written MODULE:ATTRIBUTE", hint)
    settings = _attribute(_imported(name), name, attribute)
    if callable(settings):
        settings = _called(settings, target)
    if not isinstance(settings, Mapping) or not set(settings) <= set(_PAYLOAD_SETTINGS):
        raise Problem(Exit.USAGE, f"--payloads {safe(target)} does not say how values are stored", hint)
    try:
        DataPort(**settings)
    except (TypeError, ValueError) as error:
        raise Problem(Exit.USAGE, f"--payloads {safe(target)}: {error}", hint) from error
    return settings


def load_telemetry(target: str | None) -> Telemetry | None:
    """What ``--telemetry`` names: an argument of ``open_engine``; None if nothing is named.

    Raises:
        Problem: What was named is not there, or is something else.
    """
    if target is None:
        return None
    hint = "it names a wf.Telemetry, or a function that returns one"
    name, _, attribute = target.partition(":")
    if not attribute:
        raise Problem(Exit.USAGE, f"--telemetry {safe(target)} is not written MODULE:ATTRIBUTE", hint)
    telemetry = _attribute(_imported(name), name, attribute)
    if callable(telemetry):
        telemetry = _called(telemetry, target)
    if not isinstance(telemetry, Telemetry):
        raise Problem(Exit.USAGE, f"--telemetry {safe(target)} is no wf.Telemetry", hint)
    return telemetry


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
        value = _called(value, target)
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _called(function: Callable[[], Any], target: str) -> Any:
    try:
        return function()
    except Exception as error:
        words = f"{safe(target)}() raised {type(error).__name__}: {error}"
        raise Problem(Exit.USAGE, words, _last_line(error)) from error
