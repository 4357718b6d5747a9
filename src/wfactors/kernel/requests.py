"""Queries and updates of a run: who answers them, and how.

A query is answered from the state as it is, between turns, and may only look. An update is checked the same way before
it is recorded; then it runs as a task beside the main one, and its outcome is a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wfactors.errors import Cancelled, QueryError, UpdateRejected, WorkflowClosed, WorkflowMisuseError
from wfactors.kernel.ending import ContinueAsNew
from wfactors.kernel.spans import in_update
from wfactors.model.events import UpdateCompleted, UpdateReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from wfactors.kernel.run import Run
    from wfactors.model.payloads import Payload

__all__ = ["QueryHandler", "Requests", "UpdateHandler"]

_WORDS_MAX = 10_000


class UpdateHandler(Protocol):
    """What answers an update."""

    def check(self, input: Payload) -> None:
        """Raise if the update is to be refused."""

    def run(self, input: Payload) -> Coroutine[Any, Any, Payload]:
        """Carry it out."""
        ...


QueryHandler: TypeAlias = "Callable[[Payload], Payload]"


class Requests:
    """The queries and updates of a run, by name.

    Attributes:
        is_spoiled: A query or validator has changed the state of the workflow, which it must not.
    """

    __slots__ = ("_run", "is_spoiled", "queries", "updates")

    def __init__(self, run: Run) -> None:
        self._run = run
        self.queries: dict[str, QueryHandler] = {}
        self.updates: dict[str, UpdateHandler] = {}
        self.is_spoiled = False

    def query(self, name: str, input: Payload) -> Payload:
        """Answer a query; see ``Run.query``."""
        id = self._run.id
        handler = self.queries.get(name)
        if handler is None:
            raise QueryError(id, f"workflow {id!r} has no query {name!r}{_known(self.queries)}")
        try:
            answer: Payload = self._look(handler, input)
        except BaseException as error:  # SystemExit too: a question ends in an answer, not in the engine's end.
            raise QueryError(id, f"query {name!r} of workflow {id!r}: {_text(error)}") from error
        return answer

    def check_update(self, name: str, input: Payload) -> None:
        """See whether an update can be taken in; see ``Run.check_update``."""
        id = self._run.id
        handler = self.updates.get(name)
        if handler is None:
            raise UpdateRejected(id, f"workflow {id!r} has no update {name!r}{_known(self.updates)}")
        try:
            self._look(handler.check, input)
        except BaseException as error:  # As above.
            raise UpdateRejected(id, f"update {name!r} of workflow {id!r}: {_text(error)}") from error

    def _look(self, function: Callable[[Payload], Any], input: Payload) -> Any:
        run = self._run
        main = run.scheduler.main
        context = run.variables if main is None else main.context
        try:
            return context.copy().run(function, input)
        finally:
            if run.final is None and not run.scheduler.is_quiet:
                self.is_spoiled = True
                raise WorkflowMisuseError(
                    "a query or validator may only look, but this one woke a task of the workflow or moved a deadline"
                )

    def update(self, fact: UpdateReceived) -> None:
        """Carry out an update beside the main task."""
        run = self._run
        handler = self.updates.get(fact.name)
        if handler is None:
            error = UpdateRejected(run.id, f"workflow {run.id!r} has no update {fact.name!r}{_known(self.updates)}")
            self._done(fact.update, None, error)
            return

        def done(value: Any, error: BaseException | None) -> None:
            self._done(fact.update, value, error)

        name = f"update {fact.name}"
        run.scheduler.spawn_handler(
            handler.run, fact.input, done=done, name=name, context=in_update(run, fact.update, name)
        )

    def _done(self, update: str, value: Any, error: BaseException | None) -> None:
        run = self._run
        if error is None:
            run.recorder.issue(UpdateCompleted(update, result=value))
            return
        if isinstance(error, ContinueAsNew):
            error = WorkflowMisuseError("continue_as_new() ends a run from its main function, not from an update")
        elif isinstance(error, Cancelled):
            error = WorkflowClosed(run.id, "before it had finished the update")
        run.recorder.issue(UpdateCompleted(update, failure=run.ports.failure(error)))


def _text(error: BaseException) -> str:
    try:
        words = str(error)
    except BaseException:
        words = "(its str() failed)"
    return f"{type(error).__name__}: {words[:_WORDS_MAX]}"


def _known(names: Mapping[str, object]) -> str:
    return f": it has {', '.join(map(repr, names))}" if names else ""
