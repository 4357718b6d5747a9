"""What a client asks of workflows in another process, when the answer is not the usual one."""

from __future__ import annotations

import attrs
import pytest

import wfactors as wf
from wfactors.errors import StoreCorrupt
from wfactors.model.messages import Signal
from wfactors.model.payloads import NULL


class Answering(wf.MemoryStore):
    """A store in which the reply to any question is there already."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self._reply = reply

    async def take_reply(self, id: str) -> bytes | None:
        await super().take_reply(id)
        return self._reply


async def test_a_signal_to_what_was_removed_meanwhile() -> None:
    """Between the look at it and the message; it is told as if it had never been there."""
    async with wf.open_client(wf.MemoryStore()) as client:
        handle = await client.start("w", id="gone")
        removed = attrs.evolve(handle._header, instance="removed")
        with pytest.raises(wf.WorkflowNotFound, match="gone"):
            await client.requests.tell(removed, Signal("go", NULL))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b'{"error":"QueryError","message":"no"}', wf.QueryError),
        (b'{"error":"WorkflowNotFound"}', wf.WorkflowNotFound),
        (b'{"error":"WorkflowClosed"}', wf.WorkflowClosed),
        (b'{"error":"UpdateRejected","message":"no"}', wf.UpdateRejected),
        (b'{"error":"NobodyHeardOfThis","message":"no"}', wf.QueryError),
        (b'{"error":', StoreCorrupt),
        (b"[]", StoreCorrupt),
    ],
)
async def test_a_refusal_is_raised_under_its_name(reply: bytes, error: type[Exception]) -> None:
    """Also one that only a later release knows, and one that cannot be read."""
    async with wf.open_client(Answering(reply)) as client:
        handle = await client.start("w", id="asked")
        with pytest.raises(error):
            await handle.query("anything")


async def test_a_workflow_is_removed_once(tester) -> None:
    """Whoever comes second is told that there is nothing any more."""

    @wf.workflow
    async def brief() -> None: ...

    handle = await tester.start(brief, id="brief")
    await tester.result(handle)
    await handle.remove()
    with pytest.raises(wf.WorkflowNotFound, match="brief"):
        await handle.remove()


async def test_a_handle_says_what_it_is_of() -> None:
    """The id and the workflow."""
    async with wf.open_client(wf.MemoryStore()) as client:
        assert "<wfactors.Handle 'x' (w)>" == repr(await client.start("w", id="x"))
