"""Which files there are to check."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from wfactors.testing.lint.config import Config

__all__ = ["python_files"]

_SKIPPED = {"__pycache__", "node_modules", "__pypackages__", "site-packages"}


def python_files(paths: Iterable[Path], config: Config) -> Iterator[Path]:
    """The Python files among the paths, and in the folders among them, each once, in the order of their names.

    A file that is named is taken whatever it is called; folders give their ``*.py``. Hidden folders, virtual
    environments and what ``exclude`` names are left out; so are links to folders, which may lead in circles.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _walk(path, config) if path.is_dir() else [path]:
            real = file.resolve()
            if real not in seen and not config.excludes(str(file)) and file.suffix != ".ipynb":
                seen.add(real)
                yield file


def _walk(top: Path, config: Config) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _is_wanted(here / name, config))
        for name in sorted(files):
            if name.endswith(".py") and (here / name).is_file():
                yield here / name


def _is_wanted(folder: Path, config: Config) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists():
        return False
    return not config.excludes(str(folder))
