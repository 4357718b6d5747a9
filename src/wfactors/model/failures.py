"""What is recorded of an exception: enough to show it, to judge it and, for known types, to raise it again."""

from __future__ import annotations

import attrs

from wfactors.model.payloads import NULL, Payload

__all__ = [
    "BASE_EXCEPTION",
    "CANCELLED",
    "ERROR",
    "GROUP",
    "TERMINATED",
    "TIMEOUT",
    "Failure",
]

ERROR = "error"
CANCELLED = "cancelled"
TERMINATED = "terminated"
TIMEOUT = "timeout"
BASE_EXCEPTION = "base_exception"
GROUP = "group"

_SUMMARY_MESSAGE_MAX = 300
_SUMMARY_CAUSES_MAX = 3
_SUMMARY_MEMBERS_MAX = 3


@attrs.frozen
class Failure:
    """An exception as plain data.

    Attributes:
        type: Qualified name of the exception, ``"module.QualName"``.
        message: What ``str()`` of it said, bounded.
        traceback: Its traceback as text, bounded, without the frames of the engine.
        cause: What it was raised from, or while handling.
        is_permanent: No retry can mend it.
        kind: ``"error"``, ``"cancelled"``, ``"terminated"``, ``"timeout"``, ``"group"``, or ``"base_exception"`` for a
            BaseException that is none of these.
        details: The converted fields of the exception, when its type was expected (``raises=``); else NULL. (Not
            ``Payload | None``: msgspec cannot decode a Raw in a union, its issue 659.)
        group: The members of an exception group.
        sealed: Message, traceback and details of this failure and of all below it in encrypted form, when the engine
            has a codec that conceals (see ``DataPort.conceal``); else NULL.
    """

    type: str
    message: str
    traceback: str = ""
    cause: Failure | None = None
    is_permanent: bool = False
    kind: str = ERROR
    details: Payload = NULL
    group: tuple[Failure, ...] = ()
    sealed: Payload = NULL

    @property
    def type_name(self) -> str:
        """The name of the exception's class alone: ``"CardDeclined"`` for ``"shop.errors.CardDeclined"``."""
        return self.type.rpartition(".")[2]

    def summary(self) -> str:
        """Say in one line what went wrong: ``"CardDeclined: no funds (caused by KeyError: 'x')"``."""
        text = _headline(self)
        if self.group:
            members = [_headline(member) for member in self.group[:_SUMMARY_MEMBERS_MAX]]
            if len(self.group) > _SUMMARY_MEMBERS_MAX:
                members.append(f"and {len(self.group) - _SUMMARY_MEMBERS_MAX} more")
            text = f"{text} [{'; '.join(members)}]"
        causes: list[str] = []
        cause = self.cause
        while cause is not None and len(causes) < _SUMMARY_CAUSES_MAX:
            causes.append(f"(caused by {_headline(cause)})")
            cause = cause.cause
        return " ".join([text, *causes])


def _headline(failure: Failure) -> str:
    message = " ".join(failure.message[: 2 * _SUMMARY_MESSAGE_MAX].split())
    if len(message) > _SUMMARY_MESSAGE_MAX:
        message = f"{message[:_SUMMARY_MESSAGE_MAX]}..."
    return f"{failure.type_name}: {message}" if message else failure.type_name
