"""A run told as a story: facts go in, one method each, and the decisions of every turn are kept beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from wfactors.model import events
from wfactors.model.failures import Failure
from wfactors.model.payloads import Payload
from wfactors.registry import Registry
from wfactors.workflow import Application, open_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfactors.kernel.run import Run
    from wfactors.model.events import Decision, Fact
    from wfactors.registry import Workflow

BEGIN = 1_700_000_000.0

_opened: list[Run] = []


def payload(value: Any) -> Payload:
    return Payload(json.dumps(value, separators=(",", ":")).encode())


def boom(message: str = "boom", type: str = "builtins.ValueError", **more: Any) -> Failure:
    return Failure(type, message, **more)


def close_all() -> None:
    """Close every run that was opened; for a fixture, since coroutines left open are warned of."""
    while _opened:
        _opened.pop().close()


class Story:
    """Feeds a run; ``decisions`` are those of the last turn, ``turns`` all facts with theirs.

    Each fact is a second later than the one before, unless ``at`` or ``after`` moved the time.
    """

    def __init__(self, workflow: Workflow[..., Any], application: Application | None = None) -> None:
        self.workflow = workflow
        self.application = application or Application(Registry([workflow]))
        self.time = BEGIN
        self.turns: list[tuple[Fact, list[Decision]]] = []
        self.decisions: list[Decision] = []
        self.run = self.open()

    def open(self, workflow: Workflow[..., Any] | None = None, *, is_strict: bool = False) -> Run:
        definition = (workflow or self.workflow).definition
        run = open_run(self.application, definition, instance="key", run=1, queue="home", is_strict=is_strict)
        _opened.append(run)
        return run

    def feed(self, fact: Fact) -> Self:
        self.decisions = self.run.feed(fact)
        self.turns.append((fact, self.decisions))
        self.time += 1
        return self

    def after(self, seconds: float) -> Self:
        self.time += seconds
        return self

    # --- Facts -------------------------------------------------------------------------------------------------------

    def start(self, *args: Any, **more: Any) -> Self:
        values = {"id": "id", "instance": "key", "run": 1, "queue": "home", "input": payload(list(args)), **more}
        return self.feed(events.RunStarted(time=self.time, workflow=self.workflow.name, **values))

    def completed(self, call: int, value: Any = None) -> Self:
        return self.feed(events.ActivityCompleted(self.time, call, payload(value)))

    def failed(self, call: int, failure: Failure | None = None, attempt: int = 3, deadline: str | None = None) -> Self:
        return self.feed(events.ActivityFailed(self.time, call, failure or boom(), attempt, deadline))

    def stopped(self, call: int) -> Self:
        return self.feed(events.ActivityCancelled(self.time, call))

    def timer(self, number: int) -> Self:
        return self.feed(events.TimerFired(self.time, number))

    def signal(self, name: str, value: Any = None) -> Self:
        return self.feed(events.SignalReceived(self.time, name, payload(value), f"message-{len(self.turns)}"))

    def update(self, name: str, *args: Any, id: str = "update-1") -> Self:
        return self.feed(events.UpdateReceived(self.time, id, name, payload(list(args))))

    def cancel(self, reason: str = "") -> Self:
        return self.feed(events.CancelRequested(self.time, reason))

    def terminate(self) -> Self:
        return self.feed(events.RunTerminated(self.time, "enough"))

    def child_started(self, call: int) -> Self:
        return self.feed(events.ChildStarted(self.time, call))

    def child_completed(self, call: int, value: Any = None) -> Self:
        return self.feed(events.ChildCompleted(self.time, call, payload(value)))

    def child_failed(self, call: int, failure: Failure | None = None) -> Self:
        return self.feed(events.ChildFailed(self.time, call, failure or boom()))

    def accepted(self, call: int) -> Self:
        return self.feed(events.RequestCompleted(self.time, call))

    def refused(self, call: int, reason: str) -> Self:
        return self.feed(events.RequestFailed(self.time, call, reason))

    # --- What came of it ---------------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """The value that the run returned."""
        assert isinstance(self.run.final, events.RunCompleted), self.run.final
        return json.loads(bytes(self.run.final.result))

    @property
    def failure(self) -> Failure:
        """What ended the run."""
        assert isinstance(self.run.final, events.RunFailed | events.RunCancelled), self.run.final
        return self.run.final.failure

    def query(self, name: str, *args: Any) -> Any:
        return json.loads(bytes(self.run.query(name, payload(list(args)))))

    def replay(self, workflow: Workflow[..., Any] | None = None, *, is_strict: bool = False) -> Run:
        """Replay what was told, on other code if given."""
        return replay(self.open(workflow, is_strict=is_strict), self.turns)


def replay(run: Run, turns: Sequence[tuple[Fact, list[Decision]]]) -> Run:
    """Feed recorded turns; the decisions made must be those recorded."""
    for fact, decisions in turns:
        made = run.feed(fact, decisions)
        if run.final is None or made:
            assert made == decisions
    return run
