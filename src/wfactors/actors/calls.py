"""What an attempt needs of an activity's definition, made ready once so that each attempt costs little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from wfactors.convert import CallSignature, DataPort
from wfactors.errors import PermanentError
from wfactors.model.failures import Failure
from wfactors.model.payloads import Payload
from wfactors.registry import Activity

__all__ = ["ActivityCall"]


@attrs.frozen(eq=False)
class ActivityCall:
    """An activity made ready to be run; see ``of``.

    Attributes:
        name: Under which it is registered.
        function: The author's function, bound if it is a method.
        is_async: It runs in a Trio task; else in a thread.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    _data: DataPort
    _signature: CallSignature
    _raises: tuple[type[BaseException], ...]

    @classmethod
    def of(cls, activity: Activity[..., Any], data: DataPort) -> ActivityCall:
        """Make a registered activity ready."""
        definition = activity.definition
        return cls(
            definition.name,
            activity.bound_function(),
            definition.is_async,
            data,
            definition.signature,
            tuple(definition.raises),
        )

    def decode(self, payload: Payload) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Stored arguments to arguments; raises PayloadError if they do not fit."""
        return self._data.args_from_payload(self._signature, payload)

    def encode(self, value: object) -> Payload:
        """What the function returned to a payload; raises PayloadError if it cannot be stored."""
        return Payload(self._data.to_payload(value, self._signature.return_type, f"the result of {self.name}"))

    def encode_details(self, details: object) -> Payload:
        """What was given to ``heartbeat`` to a payload; raises PayloadError if it cannot be stored."""
        return Payload(self._data.to_payload(details, Any, "the details of a heartbeat"))

    def decode_details(self, details: Payload, type: Any) -> Any:
        """The reverse, as ``type``; raises PayloadError if it does not fit."""
        return self._data.from_payload(details, type, "the last heartbeat")

    def failure(self, error: BaseException) -> Failure:
        """Record an exception; never raises."""
        return self._data.failure_from_exception(error, self._raises)

    def is_never_retried(self, error: BaseException, never: tuple[str, ...]) -> bool:
        """Whether ``error``, or an exception in the group that it is, is permanent or of a type named in ``never``."""
        if isinstance(error, BaseExceptionGroup):
            return any(self.is_never_retried(member, never) for member in error.exceptions)
        if isinstance(error, PermanentError):
            return True
        return bool(never) and any(f"{base.__module__}.{base.__qualname__}" in never for base in type(error).__mro__)
