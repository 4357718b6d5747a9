"""``[tool.wfactors.lint]`` in ``pyproject.toml``, and what the command line says on top of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any

import attrs

from wfactors.testing.lint.findings import Severity

__all__ = ["Config", "ConfigError", "find_config", "read_config"]

_RANKS = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.HINT: 2}


class ConfigError(Exception):
    """The configuration, or an option, makes no sense; the message says where and why."""


@attrs.frozen(kw_only=True)
class Config:
    """Which rules hold for which files.

    Attributes:
        select: Codes, or beginnings of codes, of the rules that hold.
        ignore: Of those that do not.
        per_file_ignores: Patterns of paths, and of the rules that do not hold there.
        exclude: Patterns of paths, or names of files and folders, that are not checked.
        severity: The least that is reported.
        workflow_decorators: More decorators that make a workflow, by their dotted names: for a project that hands
            wfactors' own on from a module of its own.
        activity_decorators: The same for activities.
        root: What patterns are relative to: the folder of the file that the configuration is from.
    """

    select: tuple[str, ...] = ("WF",)
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    exclude: tuple[str, ...] = ()
    severity: Severity = Severity.HINT
    workflow_decorators: tuple[str, ...] = ()
    activity_decorators: tuple[str, ...] = ()
    root: Path = attrs.field(factory=Path)

    def wants(self, code: str, severity: Severity, path: str) -> bool:
        """Whether a finding is to be reported."""
        if _RANKS[severity] > _RANKS[self.severity] or not code.startswith(self.select):
            return False
        ignored = list(self.ignore)
        for pattern, codes in self.per_file_ignores.items():
            if self._matches(path, pattern):
                ignored += codes
        return not code.startswith(tuple(ignored))

    def excludes(self, path: str) -> bool:
        """Whether a file or folder is left out."""
        return any(self._matches(path, pattern) for pattern in self.exclude)

    def _matches(self, path: str, pattern: str) -> bool:
        pure = PurePath(path)
        if fnmatch(pure.name, pattern) or fnmatch(pure.as_posix(), pattern):
            return True
        try:
            relative = Path(path).resolve().relative_to(self.root.resolve()).as_posix()
        except (ValueError, OSError):
            return False
        return fnmatch(relative, pattern) or fnmatch(relative, f"{pattern.rstrip('/')}/*")


def find_config(start: Path) -> Path | None:
    """The nearest ``pyproject.toml`` that has ``[tool.wfactors.lint]``, in a folder or above it."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        path = candidate / "pyproject.toml"
        if path.is_file() and _table(path) is not None:
            return path
    return None


def read_config(path: Path) -> Config:
    """The configuration in a file.

    Raises:
        ConfigError: It cannot be read, or says something that makes no sense.
    """
    return _config(_table(path) or {}, path)


def _table(path: Path) -> dict[str, Any] | None:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    table: Any = content
    for key in ("tool", "wfactors", "lint"):
        table = table.get(key) if isinstance(table, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.wfactors.lint is no table")
    return table


def _config(table: dict[str, Any], path: Path) -> Config:
    readers: dict[str, Callable[[Any, str], Any]] = {
        "select": codes_of,
        "ignore": codes_of,
        "per-file-ignores": _per_file,
        "exclude": _strings,
        "severity": severity_of,
        "workflow-decorators": _strings,
        "activity-decorators": _strings,
    }
    given: dict[str, Any] = {"root": path.parent}
    for key, value in table.items():
        if key not in readers:
            raise ConfigError(f"{path}: tool.wfactors.lint has no option {key!r}; it has {', '.join(readers)}")
        given[key.replace("-", "_")] = readers[key](value, f"{path}: {key}")
    return Config(**given)


def codes_of(value: Any, where: str) -> tuple[str, ...]:
    """Codes of rules, or beginnings of codes.

    Raises:
        ConfigError: One of them is that of no rule.
    """
    # The rules need the configuration of nothing, but importing them here at the top would be a circle.
    from wfactors.testing.lint.rules import RULES  # noqa: PLC0415

    found = []
    for text in _strings(value, where):
        code = text.strip().upper()
        if not code or not any(known.startswith(code) for known in RULES):
            raise ConfigError(f"{where}: there is no rule {text!r}")
        found.append(code)
    return tuple(found)


def severity_of(value: Any, where: str) -> Severity:
    """A severity by its name.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        return Severity(value)
    except ValueError:
        raise ConfigError(f"{where}: error, warning or hint, not {value!r}") from None


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(it, str) for it in value):
        raise ConfigError(f"{where}: a list of strings, not {value!r}")
    return tuple(value)


def _per_file(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: a table from patterns to codes, not {value!r}")
    return {pattern: codes_of(codes, f"{where}.{pattern}") for pattern, codes in value.items()}
