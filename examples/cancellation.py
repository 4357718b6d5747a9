"""Cancellation reaches everything: the workflow, the activity it waits for, and then its clean-up.

``handle.cancel()`` cancels the root scope of the workflow. The running activity sees Trio's own ``Cancelled``; the
workflow sees ``wf.Cancelled`` at its next checkpoint. What must still happen goes under a shield.

Prints::

    copying for job-1
    copy stopped at 40 %
    workspace of job-1 removed
    workflow 'job-1' was cancelled: Cancelled: the user closed the tab
"""

import trio

import wfactors as wf

started = trio.Event()


@wf.activity
async def copy(job: str) -> None:
    print(f"copying for {job}")
    started.set()
    try:
        await trio.sleep_forever()
    finally:
        print("copy stopped at 40 %")


@wf.activity
async def remove_workspace(job: str) -> None:
    print(f"workspace of {job} removed")


@wf.workflow
async def backup(job: str) -> None:
    try:
        await copy(job)
    finally:
        with wf.CancelScope(shield=True):
            await remove_workspace(job)


async def main() -> None:
    async with wf.open_engine("memory://", register=[backup, copy, remove_workspace]) as engine:
        handle = await engine.start(backup, "job-1", id="job-1")
        await started.wait()
        await handle.cancel("the user closed the tab")
        try:
            await handle.result()
        except wf.WorkflowCancelled as error:
            print(error)


if __name__ == "__main__":
    trio.run(main)
