"""Files for the demo where the user names no folder: real ones, of many kinds and sizes."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

__all__ = ["write_samples"]

_SIZE_MAX = 400_000
_BINARY_EVERY = 8
_BINARY_SIZES = (0, 1, 1_000, 30_000, 250_000)


def write_samples(folder: Path, count: int, seed: int) -> None:
    """Fill a folder: modules of the standard library, and some binary files; the same files for the same seed.

    Killed in the middle, it can be called again.
    """
    draw = random.Random(seed)  # noqa: S311  Not for secrets.
    modules = _modules()
    draw.shuffle(modules)
    for number in range(count):
        is_binary = number % _BINARY_EVERY == _BINARY_EVERY - 1 or not modules
        if is_binary:
            content = draw.randbytes(_BINARY_SIZES[number // _BINARY_EVERY % len(_BINARY_SIZES)])
            name = f"data/sample-{number:03}.bin"
        else:
            module = modules[number % len(modules)]
            content, name = module.read_bytes(), f"library/{number:03}-{module.name}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _modules() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    files = (path for path in sorted(root.iterdir()) if path.suffix == ".py" and path.is_file())
    return [path for path in files if path.stat().st_size <= _SIZE_MAX]
