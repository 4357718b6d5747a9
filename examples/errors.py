"""Errors keep their type, message, traceback and cause over processes and restarts.

An activity that fails for good raises ``ActivityError`` in the workflow, with the type as a name: the class need not
be installed there. A type that the activity names in ``raises=`` comes back as itself, with its fields. What leaves
the workflow reaches the caller as ``WorkflowFailed``, or as itself if the workflow names it in ``raises=``.

Prints::

    card of Ada: declined with code 51
    card of Bob: ActivityError after 3 attempts: builtins.ConnectionError: the bank does not answer
    payroll failed: builtins.RuntimeError: payroll of May is incomplete
      caused by wfactors.errors.ActivityError: pay: ConnectionError: the bank does not answer
      caused by builtins.ConnectionError: the bank does not answer
"""

import attrs
import trio

import wfactors as wf


@attrs.define
class Declined(Exception):
    code: int


@wf.activity(retry=wf.Retry(attempts=3, first=0.01), raises=(Declined,))
async def pay(name: str) -> str:
    if name == "Ada":
        raise Declined(51)  # retried as well, unless Retry(never=[Declined]) says otherwise
    raise ConnectionError("the bank does not answer")


@wf.workflow
async def salary(name: str) -> str:
    try:
        return await pay(name)
    except Declined as error:
        return f"declined with code {error.code}"
    except wf.ActivityError as error:
        return f"ActivityError after {error.attempt} attempts: {error.type}: {error.message}"


@wf.workflow
async def payroll(month: str) -> None:
    try:
        await pay("Eve")
    except wf.ActivityError as error:
        raise RuntimeError(f"payroll of {month} is incomplete") from error


async def main() -> None:
    async with wf.open_engine("memory://", register=[salary, payroll, pay]) as engine:
        for name in ("Ada", "Bob"):
            print(f"card of {name}: {await engine.run(salary, name)}")
        try:
            await engine.run(payroll, "May")
        except wf.WorkflowFailed as error:
            failure = error.failure
            print(f"payroll failed: {failure.type}: {failure.message}")
            while failure.cause is not None:
                failure = failure.cause
                print(f"  caused by {failure.type}: {failure.message}")


if __name__ == "__main__":
    trio.run(main)
