"""Do several things at once; the first failure cancels the rest.

``wf.gather`` returns the results in order, or raises the first failure as itself once the others have stopped. Nothing
is left running behind your back: that is structured concurrency, and it holds across restarts.

Prints::

    everything went well: ('invoices', 'photos', 'mails')
    upload of mails stopped
    upload of photos stopped
    PermanentError: no space left for invoices
"""

import trio

import wfactors as wf

busy = trio.Semaphore(0)


@wf.activity(raises=(wf.PermanentError,))
async def upload(name: str, disk_is_full: bool) -> str:
    if not disk_is_full:
        return name
    if name == "invoices":
        for _ in range(2):
            await busy.acquire()  # until both of the others are at work
        raise wf.PermanentError(f"no space left for {name}")
    busy.release()
    await trio.sleep_forever()
    return name


@wf.workflow
async def upload_all(disk_is_full: bool) -> tuple[str, ...]:
    async def careful(name: str) -> str:
        try:
            return await upload(name, disk_is_full)
        except wf.Cancelled:
            stopped.append(name)
            raise

    stopped: list[str] = []
    try:
        return await wf.gather(careful("invoices"), careful("photos"), careful("mails"))
    finally:
        with wf.CancelScope(shield=True):
            for name in sorted(stopped):
                await tell(f"upload of {name} stopped")


@wf.activity
async def tell(words: str) -> None:
    print(words)


async def main() -> None:
    async with wf.open_engine("memory://", register=[upload_all, upload, tell]) as engine:
        print("everything went well:", await engine.run(upload_all, False))
        try:
            await engine.run(upload_all, True)
        except wf.WorkflowFailed as error:
            print(f"{error.failure.type.rpartition('.')[2]}: {error.failure.message}")


if __name__ == "__main__":
    trio.run(main)
