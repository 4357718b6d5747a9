"""What the kernel asks of the layers above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wfactors.model.events import RunStarted
    from wfactors.model.failures import Failure
    from wfactors.model.payloads import Payload

__all__ = ["Ports"]


class Ports(Protocol):
    """What a run needs from the layers above: the author's function, and payloads."""

    async def main(self, started: RunStarted) -> Any:
        """Run the author's function on the stored input."""

    def encode_result(self, value: Any) -> Payload:
        """The payload of what ``main`` returned; raises a PayloadError if there is none."""
        ...

    def failure(self, error: BaseException) -> Failure:
        """What to record of an exception; never raises."""
        ...
