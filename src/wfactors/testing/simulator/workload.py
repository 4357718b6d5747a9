"""Random applications: one workflow that carries out a plan, and plans drawn from a seed.

A plan is a list of steps, each a list that begins with a verb; it is the workflow's argument, so it is in the history
and any version of the code can carry it out. Every wait in a plan is bounded, so that every workflow must end once the
faults have stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import trio

import wfactors as wf
from wfactors.testing.simulator.trouble import mischief

if TYPE_CHECKING:
    from wfactors.testing.simulator.process import Process

__all__ = ["Activities", "application", "draw_plan", "wander"]

_DEPTH_MAX = 2
# Mostly short: what two steps do to each other is found sooner by many runs than in long ones.
_LENGTHS = (1, 1, 2, 2, 3)
_LENGTHS_NESTED = (1, 1, 2)
_SIGNALS_AT_ONCE = 3
_NAPS_SHARE = 0.25

Plan = list[Any]


class Activities:
    """The activities of one simulated process.

    Args:
        process: Where they run; None for somebody who only replays.
    """

    def __init__(self, process: Process | None = None) -> None:
        self._process = process

    @wf.activity(retry=wf.Retry(attempts=6, first=0.1, backoff=1.5, maximum=1.0))
    async def work(self, seconds: float, failures: int, beats: int, word: str) -> str:
        """Do something in ``seconds``; the first attempts fail."""
        assert self._process is not None
        info = wf.activity_info()
        done = wf.last_heartbeat(int) or 0
        for number in range(done, beats):
            await trio.sleep(seconds / beats)
            wf.heartbeat(number + 1)
        if not beats and seconds:
            await trio.sleep(seconds)
        self._process.effect(info)
        if info.attempt <= failures:
            raise ValueError(f"attempt {info.attempt} fails")
        return word

    @wf.activity(retry=wf.Retry(attempts=2, first=0.05, jitter=0.5), raises=(KeyError,))
    async def refuse(self, word: str) -> str:
        """Fail for good."""
        assert self._process is not None
        self._process.effect(wf.activity_info())
        if word.endswith("!"):
            raise wf.PermanentError(word)
        raise KeyError(word)


class _Walk:
    """One run of a plan inside of a workflow."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._verbs: dict[str, Callable[..., Any]] = {
            "work": self._work,
            "refuse": self._refuse,
            "sleep": self._sleep,
            "both": self._both,
            "within": self._within,
            "child": self._child,
            "begin": self._begin,
            "tell": self._tell,
            "hear": self._hear,
            "stop": self._stop,
            "note": self._note,
            "mark": self._mark,
            "shield": self._shield,
            "again": self._again,
            "fail": self._fail,
        }

    async def go(self, plan: Plan) -> None:
        """Carry out the steps, one after the other."""
        for verb, *arguments in plan:
            await self._verbs[verb](*arguments)

    async def _work(self, seconds: float, failures: int, beats: int, word: str, limit: float, place: str) -> None:
        call = wf.activities(Activities).work.options(
            queue=place or None, start_to_close=limit or None, heartbeat=1.0 if beats else None
        )
        try:
            self.words.append(await call(seconds, failures, beats, word))
        except wf.ActivityError as error:
            self.words.append(type(error).__name__)

    async def _refuse(self, word: str, place: str) -> None:
        try:
            await wf.activities(Activities).refuse.options(queue=place or None)(word)
        except (KeyError, wf.ActivityError) as error:
            self.words.append(type(error).__name__)

    async def _sleep(self, seconds: float) -> None:
        await wf.sleep(seconds)

    async def _both(self, plans: list[Plan]) -> None:
        async with wf.open_nursery() as nursery:
            for plan in plans:
                nursery.start_soon(self.go, plan)

    async def _within(self, seconds: float, plan: Plan) -> None:
        with wf.move_on_after(seconds) as scope:
            await self.go(plan)
        if scope.cancelled_caught:
            self.words.append("late")

    async def _child(self, plan: Plan, place: str) -> None:
        try:
            words = await wander.options(queue=place or None)(plan)
            self.words.append("/".join(words))
        except wf.ChildWorkflowError as error:
            self.words.append(type(error).__name__)

    async def _begin(self, plan: Plan, id: str, place: str, close: str, after: Plan) -> None:
        try:
            child = await wf.start_child(wander, plan, id=id or None, queue=place or None, parent_close=close)
            await self.go(after)
            if close == "cancel":
                await child.result()
        except (wf.ChildWorkflowError, wf.WorkflowAlreadyStarted) as error:
            self.words.append(type(error).__name__)

    async def _tell(self, id: str, words: list[str]) -> None:
        for word in words:
            try:
                await wf.signal(id, "word", word)
            except (wf.WorkflowNotFound, wf.WorkflowClosed) as error:
                self.words.append(type(error).__name__)

    async def _hear(self, seconds: float, count: int) -> None:
        with wf.move_on_after(seconds):
            for _ in range(count):
                try:
                    self.words.append(await wf.signals("word", str).receive())
                except wf.ConversionError:
                    self.words.append("nonsense")

    async def _stop(self, id: str) -> None:
        with suppress(wf.WorkflowNotFound, wf.WorkflowClosed):
            await wf.cancel(id, "enough")

    async def _note(self, value: str) -> None:
        self.words.append(await wf.side_effect(str, value))
        self.words.append(str(wf.random.randrange(10)))

    async def _mark(self, id: str) -> None:
        if wf.patched(id):
            wf.set_attributes(mark=id, done=len(self.words))

    async def _shield(self, plan: Plan) -> None:
        try:
            await wf.checkpoint()
        finally:
            with wf.CancelScope(shield=True):
                await self.go(plan)

    async def _again(self, plan: Plan) -> None:
        wf.continue_as_new(plan)

    async def _fail(self, words: str) -> None:
        raise RuntimeError(words)


async def _wander(plan: Plan) -> list[str]:
    walk = _Walk()

    @wf.query
    def heard() -> list[str]:
        return walk.words

    @wf.update
    async def add(word: str) -> int:
        await wf.sleep(0.01)
        walk.words.append(word)
        return len(walk.words)

    @add.validator
    def check(word: str) -> None:
        if not word:
            raise ValueError("no word")

    await walk.go(plan)
    return walk.words


@wf.workflow(name="wander")
async def wander(plan: Plan) -> list[str]:
    """Carry out a plan; answers the query ``heard`` and the update ``add`` meanwhile."""
    return await _wander(plan)


def changed_wander(has_started: Callable[[str, int], bool]) -> Any:
    """The same workflow in a version that does not fit what the store has of any run.

    Runs that begin with it are as they should be: else nobody could finish them afterwards.
    """

    @wf.workflow(name="wander")
    async def other(plan: Plan) -> list[str]:
        info = wf.info()
        if has_started(info.instance, info.run):
            first, second = plan[0], plan[1] if len(plan) > 1 else [""]
            if first[0] == second[0] == "sleep" and first != second:
                plan = plan[1:]
            else:
                await wf.side_effect(str, "this was not here before")
        return await _wander(plan)

    return other


def application(process: Process | None, version: str = "good") -> list[Any]:
    """What an engine registers: ``"good"`` code, code that was ``"changed"``, or code that ``"lacks"`` the workflow.

    Without a process: what can be replayed.
    """
    activities = Activities(process)
    if process is None:
        return [wander, activities]
    if version == "lacks":
        return [activities]
    if version == "changed":
        return [changed_wander(process.has_started), mischief, activities]
    return [wander, mischief, activities]


# --- Plans -----------------------------------------------------------------------------------------------------------


class _Planner:
    def __init__(self, random: Random, ids: Sequence[str], queues: Sequence[str]) -> None:
        self._random = random
        self._ids = ids
        self._queues = queues
        self._words = 0
        # What this seed is about: a few verbs, each of which comes often.
        self._verbs = random.sample(sorted(self._table), k=random.randint(3, len(self._table)))

    def plan(self, depth: int = 0) -> Plan:
        length = self._random.choice(_LENGTHS if depth == 0 else _LENGTHS_NESTED)
        steps = [self._step(depth) for _ in range(length)]
        if depth == 0 and self._random.random() < _NAPS_SHARE:
            # What changed code leaves out.
            return [["sleep", 0.4], ["sleep", 0.8], *steps]
        return steps

    def _step(self, depth: int) -> Plan:
        verb = self._random.choice(self._verbs)
        if depth >= _DEPTH_MAX and verb in ("both", "within", "child", "begin", "shield", "again"):
            verb = "work"
        return self._table[verb](self, depth)

    def _word(self) -> str:
        self._words += 1
        return f"w{self._words}"

    def _seconds(self) -> float:
        return self._random.choice((0.01, 0.1, 0.3, 0.6, 1.0))

    def _place(self) -> str:
        return self._random.choice(("", "", "", *self._queues))

    def _work(self, _: int) -> Plan:
        random = self._random
        seconds = random.choice((0.0, 0.0, 0.1, 0.4, 0.8))
        failures = random.choice((0, 0, 0, 1, 2))
        beats, limit = random.choice((0, 0, 2)), random.choice((0, 1.0))
        return ["work", seconds, failures, beats, self._word(), limit, self._place()]

    def _refuse(self, _: int) -> Plan:
        return ["refuse", self._word() + self._random.choice(("", "!")), self._place()]

    def _sleep(self, _: int) -> Plan:
        return ["sleep", self._seconds()]

    def _both(self, depth: int) -> Plan:
        return ["both", [self.plan(depth + 1) for _ in range(self._random.randint(2, 3))]]

    def _within(self, depth: int) -> Plan:
        return ["within", self._seconds(), self.plan(depth + 1)]

    def _child(self, depth: int) -> Plan:
        return ["child", self.plan(depth + 1), self._place()]

    def _begin(self, depth: int) -> Plan:
        random = self._random
        close = random.choice(("cancel", "cancel", "terminate", "abandon"))
        id = random.choice(("", f"child-{random.randint(0, 3)}"))
        return ["begin", self.plan(depth + 1), id, self._place(), close, self.plan(depth + 1)]

    def _tell(self, _: int) -> Plan:
        words = [self._word() for _ in range(self._random.randint(1, _SIGNALS_AT_ONCE))]
        return ["tell", self._random.choice([*self._ids, "child-0", "nobody"]), words]

    def _hear(self, _: int) -> Plan:
        return ["hear", self._seconds(), self._random.randint(1, _SIGNALS_AT_ONCE)]

    def _stop(self, _: int) -> Plan:
        return ["stop", self._random.choice([*self._ids, "child-0", "child-1"])]

    def _note(self, _: int) -> Plan:
        return ["note", self._word()]

    def _mark(self, _: int) -> Plan:
        return ["mark", self._random.choice("abc")]

    def _shield(self, depth: int) -> Plan:
        return ["shield", self.plan(depth + 1)]

    def _again(self, depth: int) -> Plan:
        # Nothing comes behind it in its plan, so it may as well be nested.
        return ["again", self.plan(depth + 1)]

    def _fail(self, _: int) -> Plan:
        return ["fail", self._word()]

    _table: ClassVar[dict[str, Callable[[_Planner, int], Plan]]] = {
        "work": _work,
        "refuse": _refuse,
        "sleep": _sleep,
        "both": _both,
        "within": _within,
        "child": _child,
        "begin": _begin,
        "tell": _tell,
        "hear": _hear,
        "stop": _stop,
        "note": _note,
        "mark": _mark,
        "shield": _shield,
        "again": _again,
        "fail": _fail,
    }


def draw_plan(random: Random, ids: Sequence[str], queues: Sequence[str]) -> Callable[[], Plan]:
    """What draws plans for one run, of workflows that know each other by ``ids``, on these queues."""
    return _Planner(random, ids, queues).plan
