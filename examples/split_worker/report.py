"""What both kinds of worker know: a workflow, and the class whose methods are its activities."""

import wfactors as wf


class Cruncher:
    """Only the worker that runs activities has an instance of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @wf.activity(queue="heavy")
    def crunch(self, month: int) -> str:
        return f"{month * 1000} rows by {self.name}"


@wf.workflow
async def yearly_report(months: int) -> list[str]:
    cruncher = wf.activities(Cruncher)
    return list(await wf.gather(*(cruncher.crunch(month) for month in range(1, months + 1))))
