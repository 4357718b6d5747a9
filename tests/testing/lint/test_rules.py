"""Each rule finds what its page says it finds, where the page says, and nothing else; and the cases around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.lint.kit import check, codes, expected, found, workflow
from wfactors.testing.lint import RULES, Severity, check_bytes
from wfactors.testing.lint.pages import index_page, page, write_pages
from wfactors.testing.lint.rules.tables import ENTRIES

PAGES = Path(__file__).parents[3] / "docs" / "reference" / "lint"


@pytest.mark.parametrize("code", RULES)
def test_the_bad_example_is_found_where_it_says(code) -> None:
    """Line and column of every finding, and of this rule alone."""
    program = RULES[code].bad
    assert expected(program) == found(program)
    assert {code} == {it for _, _, it in expected(program)}


@pytest.mark.parametrize("code", RULES)
def test_the_good_example_has_no_findings(code) -> None:
    """Of no rule at all."""
    assert [] == found(RULES[code].good)


@pytest.mark.parametrize("code", RULES)
def test_the_page_is_that_of_the_rule(code) -> None:
    """Written by ``python -m wfactors.testing.lint.pages docs/reference/lint``."""
    assert page(RULES[code]) == (PAGES / f"{code}.md").read_text()


def test_the_index_lists_all_rules() -> None:
    """And there is no page of a rule that is gone."""
    assert index_page() == (PAGES / "index.md").read_text()
    assert {f"{code}.md" for code in RULES} | {"index.md"} == {path.name for path in PAGES.iterdir()}


def test_the_pages_are_written(tmp_path) -> None:
    """All of them."""
    write_pages(tmp_path)
    assert sorted(path.name for path in PAGES.iterdir()) == sorted(path.name for path in tmp_path.iterdir())


def test_messages_are_one_line_and_say_what_to_do() -> None:
    """A colon stands before the advice."""
    for rule in RULES.values():
        for finding in check(rule.bad):
            assert "\n" not in finding.message
            assert finding.code == "WF100" or ": " in finding.message or "no place" in finding.message


# --- Names from outside ----------------------------------------------------------------------------------------------


def importing(name: str) -> tuple[str, str]:
    """An import, and an expression that stands for the name."""
    parts = name.removesuffix(".*").split(".")
    if parts[0] in {"builtins", "wfactors"}:
        return "", ".".join(["wf" if part == "wfactors" else part for part in parts if part != "builtins"])
    return f"import {parts[0]}", ".".join(parts) + (".anything" if name.endswith(".*") else "")


@pytest.mark.parametrize("name", sorted(set(ENTRIES) - {"trio_websocket.*"}))
def test_every_name_of_the_tables_is_found(name) -> None:
    """Under its own name, called."""
    line, expression = importing(name)
    assert {ENTRIES[name]} == set(codes(f"x = [{expression}()]", before=line))


@pytest.mark.parametrize(
    ("before", "body", "expected_codes"),
    [
        ("import time as t", "t.time()", ["WF101"]),
        ("from time import time", "time()", ["WF101"]),
        ("from time import time as clock", "wait = [clock]", ["WF101"]),
        ("from time import *", "time()", ["WF101"]),
        ("import datetime as dt", "dt.datetime.now(dt.UTC)", ["WF101"]),
        ("", "import time\ntime.time()", ["WF101"]),
        ("", "__import__('time').time()", ["WF101"]),
        ("import importlib", "importlib.import_module('time').time()", ["WF101"]),
        ("import time", "getattr(time, 'time')()", ["WF101"]),
        ("import time\nclock = time.time", "clock()", ["WF101"]),
        ("import time\nfrom functools import partial\nclock = partial(time.time)", "clock()", ["WF101"]),
        ("try:\n    from time import monotonic\nexcept ImportError:\n    monotonic = None", "monotonic()", []),
        ("try:\n    from time import time\nexcept ImportError:\n    from x import time", "time()", ["WF101"]),
        ("import time", "time = wf\ntime.time()", []),
        ("import time", "for time in ():\n    time.time()", []),
        ("import time", "when: time.struct_time | None = None", []),
        ("from .time import time", "time()", []),
        ("import time", "time.gmtime(0)\ntime.gmtime()", ["WF101"]),
        ("import time", "time.strftime('%H', wf.now().timetuple())", []),
        ("from datetime import datetime, UTC", "datetime.fromtimestamp(0, UTC)\ndatetime(2020, 1, 1)", []),
        ("", "wf.now().astimezone()", ["WF104"]),
        ("", "wf.now().astimezone(zone)", []),
        ("import random", "random.Random(4).choice([1])", []),
        ("import random", "random.Random()", ["WF102"]),
        ("import random\nshared = random.Random(4)", "shared.choice([1])", ["WF102"]),
        ("import random", "mine = random.Random(4)\nmine.choice([1])", []),
        ("import os", "region = os.environ.get('X')", ["WF104"]),
        ("import os", "region = [os.environ]", ["WF104"]),
        ("from os import environ as e", "'X' in e", ["WF104"]),
        ("import os", "os.path.join('a', 'b')\nos.sep", []),
        ("from pathlib import Path", "p = Path('x') / 'y'\np.name\nPath('x').suffix", []),
        ("from pathlib import Path", "Path('x').read_text()", ["WF105"]),
        ("import requests", "try:\n    await act()\nexcept requests.Timeout:\n    pass", []),
        ("import threading", "isinstance(1, threading.Thread)", []),
        ("import trio", "try:\n    await act()\nexcept (ValueError, trio.TooSlowError):\n    pass", ["WF109"]),
        ("import trio", "isinstance(1, trio.Event)", []),
        ("import trio\nbusy = trio.Semaphore(1)", "busy.release()", ["WF109"]),
        ("import asyncio", "raise asyncio.InvalidStateError", []),
        ("import trio", "raise trio.BusyResourceError('x')", []),
        ("import time", "time, *rest = wf, 1\ntime.time()", []),
        ("import time", "match 1:\n    case {'a': 1, **time}:\n        time.time()", []),
        ("import time", "match 1:\n    case [*time] | time:\n        time.time()", []),
        ("import logging", "logging.getLogger(__name__)", []),
        ("import logging\nlog = logging.getLogger('x')", "log.info('x')", ["WF118"]),
        ("open = len", "open('x')", []),
        ("import httpx\nclass Client(httpx.Client): ...\nclient = Client()", "client.get('x')", ["WF106"]),
    ],
)
def test_names_are_followed(before, body, expected_codes) -> None:
    """Through aliases, assignments, partial, getattr and base classes, and not where they mean something else."""
    assert expected_codes == codes(body, before)


def test_a_parameter_is_known_by_its_annotation() -> None:
    """Also in quotes, or with None beside it."""
    program = """
from pathlib import Path
from typing import Annotated, Optional
import wfactors as wf

@wf.workflow
async def flow(a: Path, b: "Path", c: Path | None, d: Optional[Path], e: Annotated[Path, 1], f: "Path |", g) -> None:
    [a.exists, b.exists, c.exists, d.exists, e.exists, f.exists, g.exists]
"""
    assert ["WF105"] * 5 == [code for _, _, code in found(program)]


def test_the_advice_for_trio_names_the_same_of_wfactors() -> None:
    """And an activity where there is none."""
    body = "trio.sleep(1)\ntrio.open_file('x')\ntrio.to_thread.run_sync(len)\nasyncio.Queue()\nanyio.Event()"
    advice = [it.message.rpartition("use ")[2] for it in check(workflow(body, "import trio, asyncio, anyio"))]
    assert "wf.sleep" == advice[0]
    assert "an activity" in advice[1]
    assert "an activity (a plain def runs in a thread)" == advice[2]
    assert ["wf.open_memory_channel()", "wf.Event"] == advice[3:]


# --- Sets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "for x in {1, 2}: ...",
        "[x for x in {1}]",
        "{x: 1 for x in set(y)}",
        "list(set(y))",
        "enumerate(frozenset(y))",
        "a, b = {1, 2}",
        "[*{1}]",
        "await wf.gather(*{1})",
        "{1}.pop()",
        "s = {1}\nlist(s)",
        "s = set(y)\ns = s | {1}\nlist(s)",
        "s = {1}\ns |= {2}\nfor x in s: ...",
        "list({1}.union(y))",
        "list(a.keys() - b)",
        "s: set[int] = make()\nlist(s)",
        "s = make()\ndef inner(t: 'frozenset[int]'):\n    return tuple(t)\ninner(s)",
        "list(await act())",
        "def make() -> set[int]: ...\nlist(make())",
        "f'{ {1} }'",
        "''.join({1})",
        "y.extend({1})",
        "next(iter({1}))",
        "list({1} if y else {2})",
        "if s := {1}:\n    list(s)",
        "list(s := {1})",
        "s = {1}\ndef inner():\n    return list(s)\ninner()",
    ],
)
def test_the_order_of_a_set(body) -> None:
    """Wherever it would matter."""
    assert ["WF111"] == codes(body)


@pytest.mark.parametrize(
    "body",
    [
        "for x in sorted({1}): ...",
        "sorted(x for x in {1})",
        "sum([x for x in {1}])",
        "{x for x in {1}}",
        "1 in {1}",
        "1 in list({1})",
        "len({1})",
        "any(x for x in {1})",
        "sorted(list({1}))",
        "{*{1}}",
        "s = {1}\ns = sorted(s)\nlist(s)",
        "s = {1}\ns = [1]\ndef inner():\n    return list(s)\ninner()",
        "list({1} if y else [1])",
        "for x in {1: 2}: ...",
        "list(d.keys())",
        "list(unknown | other)",
        "[].pop()",
        "a, b = [1, 2]",
        "with {1} as s:\n    list(s)",
    ],
)
def test_no_order_is_asked_for(body) -> None:
    """Or it is no set, as far as can be told."""
    assert [] == codes(body)


def test_sets_in_attributes_and_constants() -> None:
    """Of classes of the file, by annotation or by what __init__ assigns; and constants of the module."""
    before = """
    COLOURS = {"red", "blue"}

    class Basket:
        kinds: set[str]

        def __init__(self) -> None:
            self.items = set()
            self.list = []
    """
    body = "b = Basket()\nlist(b.items)\nlist(b.kinds)\nlist(b.list)\nlist(COLOURS)\nlist(b.unknown)"
    assert [(2, "WF111"), (3, "WF111"), (5, "WF111")] == [
        (it.line - workflow("", before).count("\n") + 1, it.code) for it in check(workflow(body, before))
    ]


# --- State of the module ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "body", "expected_codes"),
    [
        ("n = 0", "global n\nn = 1", ["WF112"]),
        ("n = 0", "global n\nn += 1", ["WF112"]),
        ("n = 0", "global n\ndel n", ["WF112"]),
        ("n = 0", "n = 1", []),
        ("", "global n\nn = 1", ["WF112"]),
        ("n = []", "n.append(1)", ["WF112"]),
        ("n = {}", "n['x'] = 1", ["WF112"]),
        ("n = {}", "del n['x']", ["WF112"]),
        ("n = {}", "n['x'].append(1)", ["WF112"]),
        ("n = {}", "n['x'] += 1", ["WF112"]),
        ("n = {}", "n.get('x')", []),
        ("n = make()", "n.update(1)", []),
        ("n = make()", "n.x = 1", ["WF112"]),
        ("import settings", "settings.x = 1", ["WF112"]),
        ("class N:\n    count = 0", "N.count += 1", ["WF112"]),
        ("class N:\n    def __init__(self):\n        self.all = []\nn = N()", "n.all.append(1)", ["WF112"]),
        ("import itertools\nn = itertools.count()", "next(n)", ["WF112"]),
        ("n = (x for x in ())", "next(n)", ["WF112"]),
        ("n = [1]", "n[0]", []),
        ("n = [1]\ndef add():\n    n.append(1)", "n[0]", ["WF113"]),
        ("n = 1\ndef add():\n    global n\n    n = 2", "x = n", ["WF113"]),
        ("n = [1]\nn.append(2)", "n[0]", []),
        ("n = [1]\ndef add():\n    n = []\n    n.append(1)", "n[0]", []),
        ("n = [1]\ndef add():\n    n.append(1)", "@wf.query\ndef look():\n    return n", []),
    ],
)
def test_what_belongs_to_the_module(before, body, expected_codes) -> None:
    """Changed here, or read here and changed elsewhere."""
    assert expected_codes == codes(body, before)


# --- Awaits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "act()",
        "wf.gather(act())",
        "_ = act()",
        "x = act()",
        "return act()",
        "if not act(): ...",
        "while act(): ...",
        "assert act()",
        "x = [act() + 1]",
        "x = [act()['a']]",
        "x = [act().id]",
        "x = f'{act()}'",
        "for x in act(): ...",
        "act() == 1",
        "act.options(queue='x')()",
        "wf.activities(K).charge()",
        "k = wf.activities(K)\nk.charge(1)",
        "k = wf.activities(K)\nk.charge.options(queue='x')(1)",
        "wf.Event().wait()",
        "done = wf.Event()\ndone.wait()",
        "async with wf.open_nursery() as n:\n    n.start(act)",
        "async with wf.open_nursery() as n:\n    n.start_soon(act())",
        "async def inner(): ...\ninner()",
        "child = await wf.start_child(flow)\nchild.result()",
        "flow()",
    ],
)
def test_a_coroutine_is_lost(body) -> None:
    """One finding where nothing awaits it."""
    assert ["WF114"] == codes(body)


@pytest.mark.parametrize(
    "body",
    [
        "await act()",
        "x = act()\nawait x",
        "await wf.gather(act(), *[act() for _ in y])",
        "calls = []\ncalls.append(act())",
        "def make():\n    return act()\nawait make()",
        "await wf.race(*(act() for _ in y))",
        "x = lambda: act()\nawait x()",
        "act.options(queue='x')",
        "x = act()\nx.close()",
        "async with wf.open_nursery() as n:\n    n.start_soon(act)",
        "async def inner():\n    yield 1\ninner()",
        "import contextlib\n@contextlib.asynccontextmanager\nasync def inner():\n    yield 1\ninner()",
        "wf.activities(K).charge.options(queue='x')",
        "unknown()",
        "wf.set_attributes(x=1)",
    ],
)
def test_a_coroutine_is_not_lost(body) -> None:
    """It is awaited, kept or none."""
    assert [] == codes(body)


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("n = 0\ndef inner():\n    nonlocal n\n    n = 1\ninner()\nn += await act()", ["WF119"]),
        ("n = 0\nn += await act()", []),
        ("n = 0\nasync def inner():\n    nonlocal n\n    n = n + await act()\nawait inner()", ["WF119"]),
        ("n = 0\nasync def inner():\n    nonlocal n\n    n = await act() + n\nawait inner()", []),
        ("d = {}\nasync def inner():\n    d['x'] += await act()\nawait inner()", ["WF119"]),
        ("d = {}\nd['x'] += await act()", []),
        ("self.n += await act()", []),
        ("make().n += await act()", []),
        ("m = n + await act()", []),
    ],
)
def test_read_before_an_await(body, expected_codes) -> None:
    """Only where somebody else can change it meanwhile."""
    assert expected_codes == codes(body)


def test_an_attribute_of_self_is_read_before_an_await() -> None:
    """Other tasks have the object too."""
    before = "class C:\n    async def add(self):\n        self.n += await act()\n"
    assert ["WF119"] == codes("await C().add()", before)


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("while True: pass", ["WF123"]),
        ("while 1:\n    x = 1", ["WF123"]),
        ("while True:\n    await act()", []),
        ("while True:\n    if x:\n        break", []),
        ("while True:\n    return", []),
        ("while True:\n    next(it)", []),
        ("while True:\n    x = y[0]", []),
        ("while x: pass", []),
        ("while True:\n    async with lock: ...", []),
    ],
)
def test_busy_loops(body, expected_codes) -> None:
    """No way out of it can be seen."""
    assert expected_codes == codes(body)


# --- Cancellation, generators, identity ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "expected_codes"),
    [
        ("except:\n    pass", ["WF115"]),
        ("except BaseException:\n    pass", ["WF115"]),
        ("except wf.Cancelled:\n    return", ["WF115"]),
        ("except (KeyError, BaseException) as e:\n    ...", ["WF115"]),
        ("except BaseException as e:\n    raise ValueError from e", ["WF115"]),
        ("except BaseException:\n    def f():\n        raise", ["WF115"]),
        ("except* wf.Cancelled:\n    pass", ["WF115"]),
        ("except GeneratorExit:\n    pass", ["WF115"]),
        ("except BaseException as e:\n    if x:\n        raise", []),
        ("except BaseException as e:\n    raise e", []),
        ("except Exception:\n    pass", []),
        ("except wf.Cancelled:\n    raise\nexcept BaseException:\n    pass", []),
        ("finally:\n    pass", []),
        ("finally:\n    return", ["WF116"]),
        ("except ValueError:\n    pass\nfinally:\n    if x:\n        with x:\n            return 1", ["WF116"]),
        ("finally:\n    for y in [1]:\n        if y:\n            break\n        continue", []),
        ("finally:\n    for y in [1]:\n        return", ["WF116"]),
        ("finally:\n    def f():\n        return 1", []),
        ("finally:\n    f = lambda: 1", []),
        ("except:\n    pass\nfinally:\n    return", ["WF116", "WF115"]),
    ],
)
def test_clauses_that_catch_cancellation(clause, expected_codes) -> None:
    """And do not raise it again."""
    assert sorted(expected_codes) == sorted(codes(f"try:\n    await act()\n{clause}"))


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("continue", ["WF116"]),
        ("break", ["WF116"]),
        ("for z in [1]:\n            pass\n        else:\n            break", ["WF116"]),
        ("while z:\n            break", []),
    ],
)
def test_a_finally_clause_that_leaves_a_loop(body, expected_codes) -> None:
    """Only the loop around the clause; one inside of it may be left as ever."""
    loop = f"for y in [1]:\n    try:\n        await act()\n    finally:\n        {body}"
    assert expected_codes == codes(loop)


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("import contextlib as c\nwith c.suppress(ValueError, wf.Cancelled): ...", ["WF116"]),
        ("from contextlib import suppress\nwith suppress(Exception): ...", []),
        ("with suppress(BaseException): ...", []),
    ],
)
def test_suppress(body, expected_codes) -> None:
    """Given what cancellation is."""
    assert expected_codes == codes(body)


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("async def g():\n    yield 1\nasync for x in g(): ...", ["WF120"]),
        ("async def g():\n    yield 1\n[x async for x in g()]", ["WF120"]),
        ("async for x in wf.signals('x', str): ...", []),
        ("@wf.as_safe_channel\nasync def g():\n    yield 1\nasync for x in g(): ...", []),
        ("async def g():\n    async with wf.open_nursery():\n        yield 1\nx = [g]", ["WF121"]),
        (
            "import contextlib as c\n@c.contextmanager\ndef g():\n    with wf.fail_after(1):\n        yield",
            [],
        ),
        ("def g():\n    with open_it():\n        yield 1\nx = [g]", []),
    ],
)
def test_generators(body, expected_codes) -> None:
    """Left open, or yielding out of a scope."""
    assert expected_codes == codes(body)


@pytest.mark.parametrize(
    ("body", "expected_codes"),
    [
        ("{id(x): 1}", ["WF117"]),
        ("x.sort(key=hash)", ["WF117"]),
        ("id = 1\n{id: 2}", []),
        ("wf.info().id", []),
        ("@wf.query\ndef q():\n    return id(1)", []),
    ],
)
def test_identity(body, expected_codes) -> None:
    """The functions, not things that are called so."""
    assert expected_codes == codes(body)


def test_severities() -> None:
    """What works is a hint, what may work a warning."""
    assert {"WF118"} == {rule.code for rule in RULES.values() if rule.severity is Severity.HINT}
    assert {"WF113", "WF117", "WF119", "WF120", "WF123"} == {
        rule.code for rule in RULES.values() if rule.severity is Severity.WARNING
    }


def test_columns_count_characters() -> None:
    """Not bytes; and lines as Python counts them."""
    program = workflow("x = 'äöü\\x0c😀', time.time()", "import time\nformfeed = '\\\x0c'")
    (finding,) = check_bytes(program.replace("\\x0c", "\x0c").encode())
    line = program.replace("\\x0c", "\x0c").split("\n")[finding.line - 1]
    assert "time.time()" == line[finding.column - 1 : finding.end_column - 1]
