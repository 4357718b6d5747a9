"""Whether a node on this host is gone, known at once: a file beside the database that it keeps locked while it lives.

The kernel drops an ``flock`` when its process ends, however it ends, so nobody needs to wait for the lease of a killed
node. A stopped process keeps its lock, and one on a system without ``fcntl`` has none; for those the lease decides.

The lock belongs to the open file, not to the process, so several stores of one process see each other's nodes too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["NodeLocks"]

_YOUNG_SECONDS = 60.0
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class NodeLocks:
    """The lock files beside one database: those held here, and how to look at those of others.

    Args:
        database: Path of the database; the files are named ``<database>-node-<node>``.
    """

    def __init__(self, database: str) -> None:
        self._prefix = f"{database}-node-"
        self._held: dict[str, int] = {}

    def hold(self, node: str) -> str:
        """Lock the node's file until ``drop`` or ``close``; returns its name for others, "" if that is not possible."""
        if fcntl is None:  # pragma: no cover - Windows
            return ""
        path = self._path(node)
        if node in self._held:
            return Path(path).name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return ""
        self._held[node] = descriptor
        return Path(path).name

    def is_surely_dead(self, node: str, liveness: str) -> bool:
        """Whether the node said that it holds its file, the file is there, and nobody holds it."""
        if not liveness or fcntl is None or node in self._held:
            return False
        try:
            descriptor = os.open(self._path(node), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            # Missing, or another user's: only the lease can tell.
            return False
        try:
            # Shared, so that two who look at once do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.ENOLCK, errno.EINTR)
        else:
            return True
        finally:
            os.close(descriptor)

    def is_alive(self, node: str, liveness: str, lease_until: float, now: float) -> bool:
        """Whether the lease is not over and the node not surely dead."""
        return now < lease_until and not self.is_surely_dead(node, liveness)

    def sweep(self, known: Iterable[str]) -> None:
        """Remove the files of nodes that are not among those ``known``: killed between a file and its row.

        Not those that somebody holds, nor young ones: their nodes may be about to join.
        """
        kept = {self._path(node) for node in (*known, *self._held)}
        folder = Path(self._prefix).parent
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path.name.startswith(Path(self._prefix).name) and str(path) not in kept and _is_abandoned(path):
                    path.unlink()

    def drop(self, node: str) -> None:
        """Give up the node's lock, if it is held here, and remove its file: the node has left or was buried."""
        with contextlib.suppress(OSError):
            Path(self._path(node)).unlink()
        descriptor = self._held.pop(node, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Give up every lock held here, as the end of the process would."""
        while self._held:
            _, descriptor = self._held.popitem()
            os.close(descriptor)

    def _path(self, node: str) -> str:
        if _PLAIN_NAME.fullmatch(node):
            return self._prefix + node
        return self._prefix + hashlib.blake2b(node.encode(), digest_size=16).hexdigest()


def _is_abandoned(path: Path) -> bool:
    if fcntl is None or time.time() - path.stat().st_mtime < _YOUNG_SECONDS:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
