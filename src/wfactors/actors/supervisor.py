"""Supervision in Trio's words.

one_for_all is a plain nursery and rest_for_one is nested nurseries; only one_for_one needs code of its own: a task that
is started again when it crashes, but not for ever.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import trio

__all__ = ["keep_running"]

_log = logging.getLogger("wfactors.supervisor")


async def keep_running(
    name: str,
    child: Callable[[], Awaitable[None]],
    *,
    restarts_max: int = 5,
    window_seconds: float = 60.0,
    delay_seconds: float = 0.1,
) -> None:
    """Run ``child`` until it returns, starting it again each time it raises an Exception.

    Args:
        name: For the log.
        child: What to run; called anew for each start.
        restarts_max: More crashes than this within ``window_seconds`` and the last one is raised: the fault is not
            one that forgetting and starting over mends.
        window_seconds: See ``restarts_max``.
        delay_seconds: Wait before the first restart; doubles with each crash inside the window.

    Cancelled, it cancels the child and passes the cancellation on.
    """
    crashes: deque[float] = deque()
    while True:
        try:
            await child()
        except Exception:
            now = trio.current_time()
            while crashes and crashes[0] < now - window_seconds:
                crashes.popleft()
            crashes.append(now)
            if len(crashes) > restarts_max:
                raise
            _log.exception("%s crashed, restart %d of %d", name, len(crashes), restarts_max)
            await trio.sleep(delay_seconds * 2 ** (len(crashes) - 1))
        else:
            return
