"""Spans that the author's code opens: nested by task, timed by the workflow's clock, the same in every replay.

They are no decisions and leave no trace in the history. The kernel keeps what the layers above may want to report:
which spans ended in the current turn, and in which span each call of the turn was made.
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from wfactors.model.spans import Lineage, run_path, span_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from wfactors.kernel.run import Run
    from wfactors.kernel.scopes import CancelScope
    from wfactors.model.failures import Failure

__all__ = ["Span", "Spans", "current_span", "in_update", "new_span"]

Describe: TypeAlias = "Callable[[BaseException], Failure]"
"""What to say of an exception that leaves a span."""

current_span: ContextVar[Span | None] = ContextVar("wfactors.span", default=None)
"""The innermost span of the author's that the code is in."""


class Span:
    """A part of a workflow that is a span of its trace; ``wf.span`` makes it.

    Attributes:
        name: What it is called.
        attributes: What is known of it.
    """

    __slots__ = (
        "_describe",
        "_id",
        "_scope",
        "_spans",
        "attributes",
        "ended_at",
        "failure",
        "name",
        "parent",
        "started_at",
    )

    def __init__(
        self, spans: Spans, id: int, name: str, attributes: Mapping[str, Any], describe: Describe | None = None
    ) -> None:
        self._spans = spans
        self._id = id
        self._describe = describe
        self._scope: CancelScope | None = None
        self.name = name
        self.attributes = dict(attributes)
        self.parent: Span | None = None
        self.started_at = self.ended_at = 0.0
        self.failure: Failure | None = None

    @property
    def trace_id(self) -> str:
        """The id of the workflow's trace: 32 hexadecimal digits."""
        return f"{self._spans.trace_id:032x}"

    @property
    def span_id(self) -> str:
        """The id of this span, the same in every replay: 16 hexadecimal digits."""
        return f"{self._id:016x}"

    @property
    def number(self) -> int:
        """The id as OpenTelemetry takes it."""
        return self._id

    def set_attribute(self, key: str, value: Any) -> None:
        """Add to what is known of the span, while it is open."""
        self.attributes[key] = value

    def __enter__(self) -> Self:
        self._spans.opened(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._spans.closed(self, exc)

    def __repr__(self) -> str:
        return f"<wfactors.Span {self.name!r} {self.span_id}>"


class Spans:
    """The author's spans of one run.

    Attributes:
        path: That of the run.
        trace_id: Of the trace that the run belongs to.
        open: Those that are open, in the order in which they were opened.
        ended: Those that ended in the current turn.
        calls: The spans in which calls of the current turn were made.
        timers: The same for timers.
    """

    __slots__ = ("_counts", "_run", "calls", "ended", "open", "path", "timers", "trace_id")

    def __init__(self, run: Run) -> None:
        started = run.started
        assert started is not None, "author's code runs after the start"
        self._run = run
        self.path = run_path(started.instance, started.run)
        self._counts: dict[str, int] = {}
        self.trace_id = Lineage.of(started.instance, started.context).trace_id
        self.open: dict[Span, None] = {}
        self.ended: list[Span] = []
        self.calls: dict[int, Span] = {}
        self.timers: dict[int, Span] = {}

    def new(self, name: str, attributes: Mapping[str, Any], describe: Describe | None) -> Span:
        """A span, not open yet. Counted by its name, so that a new one in the code leaves the ids of others alone."""
        number = self._counts[name] = self._counts.get(name, -1) + 1
        return Span(self, span_id(f"{self.path}/span/{number}/{name}"), name, attributes, describe)

    def opened(self, span: Span) -> None:
        scheduler = self._run.scheduler
        if span._scope is not None:
            raise RuntimeError("a span may only be used for a single 'with' block")
        assert scheduler.current is not None, "author's code runs in a task"
        span.started_at = scheduler.now
        span.parent = current_span.get()
        span._scope = scheduler.current.scope
        current_span.set(span)
        self.open[span] = None

    def closed(self, span: Span, error: BaseException | None) -> None:
        if span not in self.open:
            raise RuntimeError("a span is closed by leaving the 'with' block that opened it")
        current_span.set(span.parent)
        run = self._run
        del self.open[span]
        if run.scheduler.is_evicting:
            return
        span.ended_at = run.scheduler.now
        # What else leaves a block is control flow: cancellation, continue_as_new(), the end of a generator.
        if span._describe is not None and isinstance(error, Exception) and not run.is_replaying:
            # Outside of the workflow: a replay does not ask for the words of the exception, so they must not use it.
            span.failure = Context().run(span._describe, error)
        self.ended.append(span)

    # --- Calls and timers --------------------------------------------------------------------------------------------

    def forget_turn(self) -> None:
        """Another turn begins, or the run leaves memory."""
        self.ended.clear()
        self.calls.clear()
        self.timers.clear()

    def note_call(self, number: int) -> None:
        """The author's code makes a call here."""
        span = current_span.get()
        if span is not None:
            self.calls[number] = span

    def note_timers(self, scopes: Iterable[CancelScope]) -> None:
        """The deadlines of these were moved: each timer there is now is in the innermost span around its scope."""
        for scope in scopes:
            if scope._task is None or scope._timer < 0:
                continue
            span = scope._task.context.get(current_span)
            while span is not None and scope._encloses(span._scope):
                span = span.parent
            if span is not None:
                self.timers[scope._timer] = span


def in_update(run: Run, update: str, name: str) -> Context:
    """Return the context of the task that carries out an update: what it does hangs under the span of the update."""
    spans = _spans_of(run)
    context = run.variables.copy()
    context.run(current_span.set, Span(spans, span_id(f"{spans.path}/update/{update}"), name, {}))
    return context


def new_span(run: Run, name: str, attributes: Mapping[str, Any], describe: Describe | None) -> Span:
    """Return a span of the author's in ``run``, not open yet; nobody asks for its failure without ``describe``."""
    return _spans_of(run).new(name, attributes, describe)


def _spans_of(run: Run) -> Spans:
    spans = run.calls.spans
    if spans is None:
        spans = run.calls.spans = Spans(run)
    return spans
