"""``except*`` over a nursery: handle each kind of failure once, however many tasks it came from.

Errors leave a durable nursery as they leave Trio's: in an exception group. Types named in ``raises=`` come back from an
activity as themselves, with their fields, so ``except*`` can tell them apart. What no branch takes goes on upwards.

Prints::

    Report(sent=1, bounced=['bob@nowhere', 'eve@nowhere'], retry_later=['dan@slow'])
"""

import attrs
import trio

import wfactors as wf


@attrs.define
class Bounced(Exception):
    address: str


@attrs.define
class TryLater(Exception):
    address: str


@attrs.define
class Report:
    sent: int = 0
    bounced: list[str] = attrs.Factory(list)
    retry_later: list[str] = attrs.Factory(list)


@wf.activity(retry=wf.Retry(attempts=1), raises=(Bounced, TryLater))
async def mail(address: str) -> None:
    if address.endswith("@nowhere"):
        raise Bounced(address)
    if address.endswith("@slow"):
        raise TryLater(address)


@wf.workflow
async def newsletter(addresses: list[str]) -> Report:
    report = Report()

    async def deliver(address: str) -> None:
        with wf.CancelScope(shield=True):  # one failed mail is no reason to stop the others
            await mail(address)
        report.sent += 1

    try:
        async with wf.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(deliver, address)
    except* Bounced as group:
        report.bounced = sorted(error.address for error in group.exceptions if isinstance(error, Bounced))
    except* TryLater as group:
        report.retry_later = sorted(error.address for error in group.exceptions if isinstance(error, TryLater))
    return report


async def main() -> None:
    addresses = ["ada@home", "bob@nowhere", "dan@slow", "eve@nowhere"]
    async with wf.open_engine("memory://", register=[newsletter, mail]) as engine:
        print(await engine.run(newsletter, addresses))


if __name__ == "__main__":
    trio.run(main)
