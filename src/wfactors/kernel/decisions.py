"""What decisions are called in words, and which of their fields must be the same when they are made again.

Left out of the comparison are payloads (they are compared only when replay is strict) and what changes nothing for the
code: the queue of a call, the policy of a child, the texts of a failure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, assert_never

from wfactors.model import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from wfactors.model.events import Decision
    from wfactors.model.payloads import Payload

__all__ = ["describe", "describe_both", "is_same", "moment"]

_PAYLOAD_TEXT_MAX = 500

_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    events.ActivityScheduled: ("call", "activity"),
    events.ActivityCancelAsked: ("call",),
    events.TimerSet: ("timer", "at"),
    events.TimerCancelled: ("timer",),
    events.ChildScheduled: ("call", "workflow", "id"),
    events.ChildCancelAsked: ("call",),
    events.SignalSent: ("call", "id", "name"),
    events.CancelSent: ("call", "id"),
    events.SideEffectRecorded: ("call", "name"),
    events.PatchApplied: ("id",),
    events.AttributesSet: (),
    events.UpdateCompleted: ("update",),
    events.RunCompleted: (),
    events.RunFailed: (),
    events.RunCancelled: (),
    events.RunContinued: ("workflow",),
}
_PAYLOADS: Final[dict[type, str]] = {
    events.ActivityScheduled: "input",
    events.ChildScheduled: "input",
    events.SignalSent: "payload",
    events.AttributesSet: "attributes",
    events.UpdateCompleted: "result",
    events.RunCompleted: "result",
    events.RunContinued: "input",
}


def is_same(recorded: Decision, issued: Decision, plain: Callable[[Payload], bytes] | None = None) -> bool:
    """Whether the code has made the recorded decision again; with ``plain``, what it makes of payloads counts too."""
    kind = type(issued)
    if type(recorded) is not kind:
        return False
    if any(getattr(recorded, field) != getattr(issued, field) for field in _FIELDS[kind]):
        return False
    if _failure_type(recorded) != _failure_type(issued):
        return False
    payload = _PAYLOADS.get(kind)
    if payload is None or plain is None:
        return True
    first, second = getattr(recorded, payload), getattr(issued, payload)
    # Bytes that differ may still say the same: an encrypted payload is never like another one.
    return bytes(first) == bytes(second) or plain(first) == plain(second)


def describe_both(
    recorded: Decision | None, issued: Decision | None, plain: Callable[[Payload], bytes] = bytes
) -> tuple[str | None, str | None]:
    """Say in words what differs; where the words are the same it is what they leave out, and that is shown."""
    first = None if recorded is None else describe(recorded)
    second = None if issued is None else describe(issued)
    if recorded is not None and issued is not None and first == second:
        return f"{first} with {_detail(recorded, plain)}", f"{second} with {_detail(issued, plain)}"
    return first, second


def _detail(decision: Decision, plain: Callable[[Payload], bytes]) -> str:
    if type(decision) is events.TimerSet:
        # Less than a millisecond apart.
        return repr(decision.at)
    payload = _PAYLOADS.get(type(decision))
    if payload is None:
        return str(_failure_type(decision))
    text = plain(getattr(decision, payload)).decode(errors="backslashreplace")
    return text if len(text) <= _PAYLOAD_TEXT_MAX else f"{text[:_PAYLOAD_TEXT_MAX]}..."


def _failure_type(decision: Decision) -> str | None:
    failure = getattr(decision, "failure", None)
    return None if failure is None else failure.type


def describe(decision: Decision) -> str:  # noqa: C901  One line for each kind.
    """Say in words what was decided."""
    match decision:
        case events.ActivityScheduled(call, activity):
            return f"call {call}: activity {activity!r}"
        case events.ActivityCancelAsked(call):
            return f"cancel the activity of call {call}"
        case events.TimerSet(timer, at):
            return f"timer {timer} set to {moment(at)}"
        case events.TimerCancelled(timer):
            return f"timer {timer} cancelled"
        case events.ChildScheduled(call, workflow, _, _, id):
            return f"call {call}: child workflow {workflow!r}" + ("" if id is None else f" with the id {id!r}")
        case events.ChildCancelAsked(call):
            return f"cancel the child workflow of call {call}"
        case events.SignalSent(call, id, name):
            return f"call {call}: signal {name!r} to workflow {id!r}"
        case events.CancelSent(call, id):
            return f"call {call}: cancel workflow {id!r}"
        case events.SideEffectRecorded(call, name):
            return f"call {call}: side effect {name!r}{_failed(decision)}"
        case events.PatchApplied(id):
            return f"patch {id!r} applied"
        case events.AttributesSet():
            return "attributes set"
        case events.UpdateCompleted(update):
            return f"update {update!r} completed{_failed(decision)}"
        case events.RunCompleted():
            return "the workflow returned"
        case events.RunFailed():
            return f"the workflow failed{_failed(decision)}"
        case events.RunCancelled():
            return "the workflow was cancelled"
        case events.RunContinued(workflow):
            return f"the workflow continued as new ({workflow!r})"
        case _:
            assert_never(decision)


def _failed(decision: Decision) -> str:
    type_name = _failure_type(decision)
    return "" if type_name is None else f" with {type_name}"


def moment(at: float) -> str:
    """A time of the workflow for people: ISO 8601 in UTC, to the millisecond."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{at} s"
