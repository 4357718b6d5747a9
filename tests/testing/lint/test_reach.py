"""Which functions are looked at: workflows under any name, and what they use in the same file."""

from __future__ import annotations

import pytest

from tests.testing.lint.kit import check, codes, found
from wfactors.testing.lint import Config

CLOCK = "    return time.time()\n"


@pytest.mark.parametrize(
    "program",
    [
        f"import wfactors as wf, time\n@wf.workflow\nasync def f():\n{CLOCK}",
        f"import wfactors, time\n@wfactors.workflow\nasync def f():\n{CLOCK}",
        f"from wfactors import workflow\nimport time\n@workflow\nasync def f():\n{CLOCK}",
        f"from wfactors import workflow as w\nimport time\n@w(name='x')\nasync def f():\n{CLOCK}",
        f"from wfactors.registry import workflow\nimport time\n@workflow\nasync def f():\n{CLOCK}",
        f"from wfactors.registry.decorators import workflow\nimport time\n@workflow()\nasync def f():\n{CLOCK}",
        f"import wfactors.registry as r\nimport time\n@r.workflow\nasync def f():\n{CLOCK}",
        f"from wfactors import *\nimport time\n@workflow\nasync def f():\n{CLOCK}",
        f"import wfactors as wf, time\nd = wf.workflow\n@d\nasync def f():\n{CLOCK}",
        f"import wfactors as wf, time\nd = wf.workflow(queue='x')\n@d\nasync def f():\n{CLOCK}",
        f"import wfactors as wf, time\nasync def f():\n{CLOCK}g = wf.workflow(f)",
        f"import wfactors as wf, time\nasync def f():\n{CLOCK}g = wf.workflow(name='x')(f)",
        f"import wfactors as wf, time\n@other\n@wf.workflow\nasync def f():\n{CLOCK}",
        "import wfactors as wf, time\nclass C:\n    @staticmethod\n    @wf.workflow\n    async def f():\n    " + CLOCK,
        "import time\ndef test():\n    import wfactors as wf\n    @wf.workflow\n    async def f():\n    " + CLOCK,
    ],
)
def test_a_workflow_under_any_name(program) -> None:
    """By whatever import, as a decorator or called."""
    assert ["WF101"] == [code for _, _, code in found(program)]


@pytest.mark.parametrize(
    "program",
    [
        f"import wfactors as wf, time\nasync def f():\n{CLOCK}",
        f"import wfactors as wf, time\n@wf.activity\nasync def f():\n{CLOCK}",
        f"import time\n@wfactors.workflow\nasync def f():\n{CLOCK}",
        f"from prefect import workflow\nimport time\n@workflow\nasync def f():\n{CLOCK}",
        f"import wfactors as wf, time\nf = wf.activity(g)\n@wf.workflow\nasync def h(): await f()\ndef g():\n{CLOCK}",
        "",
        "'wfactors'",
    ],
)
def test_what_is_no_workflow(program) -> None:
    """Activities, plain functions, other frameworks."""
    assert [] == found(program)


@pytest.mark.parametrize(
    ("before", "body"),
    [
        (f"def now():\n{CLOCK}", "now()"),
        (f"def now():\n{CLOCK}def other():\n    return now()", "other()"),
        (f"def now():\n{CLOCK}", "await wf.wait_until(now)"),
        (f"async def now():\n{CLOCK}", "async with wf.open_nursery() as n:\n    n.start_soon(now)"),
        (f"def now():\n{CLOCK}alias = now", "alias()"),
        (f"def now():\n{CLOCK}table = now", "x = {'a': table}"),
        ("now = lambda: time.time()", "now()"),
        ("", f"def now():\n{CLOCK}now()"),
        ("", "await wf.wait_until(lambda: time.time() > 5)"),
        ("", f"@wf.update\ndef now():\n{CLOCK}"),
        ("", "def now(at=time.time()): ..."),
        ("", "class C:\n    at = time.time()"),
        ("class C:\n    def m(self):\n    " + CLOCK, "C().m()"),
        ("class C:\n    def __init__(self):\n    " + CLOCK, "C()"),
        ("class C:\n    def m(self):\n    " + CLOCK, "c = C()\nc.m()"),
        ("class C:\n    def m(self):\n        self.n()\n    def n(self):\n    " + CLOCK, "C().m()"),
        ("class C:\n    @property\n    def m(self):\n    " + CLOCK, "C().m"),
        ("class C:\n    @property\n    def m(self):\n    " + CLOCK + "    @m.setter\n    def m(self, x): ...", "C().m"),
        (
            "class C:\n    @classmethod\n    def m(cls):\n        cls.n()\n    @staticmethod\n    def n():\n    "
            + CLOCK,
            "C.m()",
        ),
        ("class B:\n    def m(self):\n    " + CLOCK + "class C(B): ...", "C().m()"),
        ("class B:\n    def m(self):\n    " + CLOCK + "class C(B):\n    def m(self):\n        super().m()", "C().m()"),
        ("class B:\n    def m(self):\n    " + CLOCK + "class C(x[0], B): ...", "C().m()"),
        ("import lib, time\nclass C(lib.B):\n    def m(self):\n        super().n(time.time())", "C().m()"),
        ("class C(x[0]):\n    def m(self):\n        super().n(time.time())", "C().m()"),
        ("class C:\n    def __enter__(self):\n    " + CLOCK, "with C() as c: ..."),
        ("class C:\n    def m(self):\n    " + CLOCK + "def make() -> 'C': ...", "make().m()"),
        (
            "class C:\n    def m(self):\n    " + CLOCK + "class D:\n    def __init__(self):\n        self.c = C()",
            "D().c.m()",
        ),
        ("class C:\n    def m(self):\n    " + CLOCK + "class D:\n    c: C", "D().c.m()"),
        (f"def wrap(f):\n    def inner():\n    {CLOCK}    return inner\n@wrap\ndef g(): ...", "g()"),
        (f"import functools\ndef now():\n{CLOCK}p = functools.partial(now)", "p()"),
    ],
)
def test_what_a_workflow_uses(before, body) -> None:
    """Functions, methods, lambdas, decorators and defaults, at any remove."""
    assert ["WF101"] == codes(body, f"import time\n{before}")


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("", "await wf.side_effect(time.time)"),
        ("", "await wf.side_effect(lambda: time.time())"),
        (f"def now():\n{CLOCK}", "await wf.side_effect(now)"),
        ("", f"def now():\n{CLOCK}await wf.side_effect(now)"),
        (f"def now():\n{CLOCK}", "x: now = 1"),
        ("", "import typing\nif typing.TYPE_CHECKING:\n    time.time()"),
        ("", "import typing\nx: typing.Annotated[int, time.time()] = 1"),
        ("class C:\n    @wf.activity\n    def m(self):\n    " + CLOCK, "c = wf.activities(C)\nawait c.m()"),
        ("", f"@wf.query\ndef now():\n{CLOCK}"),
        ("", f"@wf.update\ndef add(): ...\n@add.validator\ndef check():\n{CLOCK}"),
        (f"def now():\n{CLOCK}", "@wf.query\ndef ask():\n    return now()"),
        (f"now = 1\ndef other():\n    def now():\n    {CLOCK}", "x = now"),
    ],
)
def test_what_may_ask_the_clock(before, body) -> None:
    """Side effects, activities, queries, validators, and what never runs."""
    assert [] == codes(body, f"import time\n{before}")


def test_a_query_may_not_block() -> None:
    """Nor use files: the whole node would wait."""
    assert ["WF110", "WF105"] == codes("@wf.query\ndef ask():\n    time.sleep(1)\n    return open('x')", "import time")


def test_a_helper_of_queries_and_of_the_workflow_is_checked() -> None:
    """Whichever comes first."""
    before = f"import time\ndef now():\n{CLOCK}"
    query = "@wf.query\ndef ask():\n    return now()"
    assert ["WF101"] == codes(f"{query}\nnow()", before)
    assert ["WF101"] == codes(f"now()\n{query}", before)


def test_the_message_says_how_the_workflow_gets_there() -> None:
    """For code outside of it."""
    program = """
import time
import wfactors as wf

class Clock:
    def now(self):
        return time.time()

@wf.workflow
async def flow():
    time.time()
    return Clock().now()
"""
    first, second = check(program)
    assert first.message.endswith("wf.current_time() (in Clock.now(), called by workflow flow())")
    assert second.message.endswith("wf.current_time()")


def test_decorators_of_a_project() -> None:
    """A project that hands on wfactors' decorators from a module of its own says so in its configuration."""
    program = f"""
from shop.durable import job, step
import time

@job
async def flow():
    await now()
    time.time()

@step
async def now():
{CLOCK}
"""
    config = Config(workflow_decorators=("shop.durable.job",), activity_decorators=("shop.durable.step",))
    assert [] == found(program)
    assert [(8, 5, "WF101")] == found(program, config)
