"""What the replay check of an engine has found, as a test wants to hear it.

``open_engine(replay_check="always")`` replays each instance after every commit, and lets its next turn run on a
replayed run: a workflow that depends on something unrecorded shows it in the first test that runs it. The Tester
replays each run that has ended, by default.
"""

from __future__ import annotations

from wfactors.actors.engine import Engine

__all__ = ["assert_no_difference"]


def assert_no_difference(engine: Engine) -> None:
    """Raise AssertionError if a replay of the engine's replay check made other decisions than were recorded.

    Example::

        async with wf.open_engine(register=[checkout, charge], replay_check="always") as engine:
            await engine.run(checkout, "visa")
            await engine.replay_check.wait_idle()
            assert_no_difference(engine)
    """
    check = engine.replay_check
    assert check is not None, "the engine has no replay check: open_engine(replay_check=...)"
    found = check.statistics()
    if found.differences:
        first = check.latest[0]
        others = "" if found.differences == 1 else f" (and {found.differences - 1} more)"
        raise AssertionError(
            f"the replay of workflow {first.id!r} ({first.workflow}) is not what was recorded{others}:\n{first.error}"
        ) from first.error
