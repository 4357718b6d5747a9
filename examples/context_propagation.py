"""Context: strings that travel with the work, from client to workflow to child to activity.

Who is asking, for which tenant, with which request id: not an argument of any function, yet wanted everywhere. What a
workflow changes goes to the calls it makes from then on, never back to its caller.

Prints::

    parent: tenant=acme, request=r-17
    [acme r-17 step=none] audit: report requested
    [acme r-17 step=render] audit: page 1
    [acme r-17 step=render] audit: page 2
    [acme r-17 step=none] audit: report sent
"""

import trio

import wfactors as wf


@wf.activity
async def audit(words: str) -> None:
    context = wf.activity_context()
    print(f"[{context['tenant']} {context['request']} step={context.get('step', 'none')}] audit: {words}")


@wf.activity
async def tell(words: str) -> None:
    print(words)


@wf.workflow
async def render(pages: int) -> None:
    wf.context()["step"] = "render"  # for what this child calls; the parent never sees it
    for page in range(1, pages + 1):
        await audit(f"page {page}")


@wf.workflow
async def report(pages: int) -> None:
    await tell("parent: " + ", ".join(f"{name}={value}" for name, value in sorted(wf.context().items(), reverse=True)))
    await audit("report requested")
    await render(pages)
    await audit("report sent")


async def main() -> None:
    async with wf.open_engine("memory://", register=[report, render, audit, tell]) as engine:
        await engine.run(report, 2, context={"tenant": "acme", "request": "r-17"})


if __name__ == "__main__":
    trio.run(main)
