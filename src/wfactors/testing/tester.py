"""Run workflows in virtual time: months of durable sleep in milliseconds, and every race decided by the test.

::

    async with open_tester(register=[checkout, charge], now=datetime(2027, 1, 1, tzinfo=UTC)) as tester:
        charging = tester.fake(charge, returns="receipt-1")
        tester.after(timedelta(days=3) - timedelta(milliseconds=1), tester.signal, "order-7", "approve", True)
        assert await tester.run(checkout, "visa", id="order-7") == "receipt-1"
        tester.calls(charge).assert_once_with("visa", 100)

It is the production engine on a memory store. Time is that of Trio's MockClock, so it stands still while anything can
run, and then jumps to the next thing that is due: a timer, a retry, a deadline, a callback of ``at`` or ``after``.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wfactors.actors.engine import Engine, open_engine
from wfactors.client import Handle
from wfactors.errors import NonDeterminismError
from wfactors.model.options import seconds
from wfactors.model.status import Status
from wfactors.registry import Activity, Registry, Workflow
from wfactors.stores.base import Store
from wfactors.stores.changes import instance_topic
from wfactors.stores.memory import MemoryStore
from wfactors.testing.clocks import AutojumpHold, VirtualClock
from wfactors.testing.fakes import (
    _NOTHING,
    Call,
    Calls,
    Fake,
    Recorder,
    activity_wrapper,
    faked_activity,
    faked_workflow,
    recorded_activity,
    recorded_workflow,
)
from wfactors.testing.replays import lines_waiting
from wfactors.testing.sanitizer import assert_no_difference

__all__ = ["LIMIT_SECONDS", "Tester", "current_mock_clock", "open_tester", "run_in_virtual_time"]

T = TypeVar("T")

LIMIT_SECONDS = 20 * 365 * 24 * 3600.0
"""How long a test may take in virtual time. When nothing is left to happen the clock jumps there: a deadlock ends at
once."""

LEASE_SECONDS = 1e9
"""The lease of an engine in virtual time."""

_STARTED = "is started, by engine() or with the first workflow"

_PATIENCE = timedelta(days=10 * 365)


def run_in_virtual_time(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function like ``trio.run``, under a clock that jumps whenever nothing can run.

    Raises:
        trio.TooSlowError: It waits for something that will never happen.
    """

    async def bounded() -> T:
        with trio.fail_after(LIMIT_SECONDS):
            return await function(*args)

    return trio.run(bounded, clock=MockClock(autojump_threshold=0))


def current_mock_clock() -> MockClock:
    """The MockClock of this run; RuntimeError, saying what to do, if it has another clock."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, MockClock):
        raise RuntimeError(  # noqa: TRY004  Nobody passed it.
            "virtual time needs trio.testing.MockClock: use the fixture `tester`, take pytest-trio's `autojump_clock` "
            "as an argument of the test, or run the function with wfactors.testing.run_in_virtual_time()"
        )
    return clock


@asynccontextmanager
async def open_tester(
    *,
    register: Iterable[Any] = (),
    now: datetime | None = None,
    store: Store | None = None,
    replay_check: str | float | None = 1.0,
    clock: VirtualClock | None = None,
    hold: AutojumpHold | None = None,
    **options: Any,
) -> AsyncIterator[Tester]:
    """Make a Tester; its engine starts with the first workflow and stops with the block.

    Args:
        register: As for ``open_engine``; ``Tester.register`` and ``Tester.fake`` add to it.
        now: The time when the block is entered; some time in 2023 if not given.
        store: A memory store of its own if not given.
        replay_check: As for ``open_engine``. By default each run that ends is replayed; leaving the block raises
            AssertionError if one did not make the same decisions again.
        clock: Of the store, if one is given.
        hold: Of the store, if one is given that uses threads.
        options: Others of ``open_engine``.

    Raises:
        RuntimeError: The clock of this Trio run is no MockClock.
        AssertionError: A replay made other decisions.
    """
    mock_clock = current_mock_clock()
    clock = clock or VirtualClock(mock_clock)
    clock.begin_at(now)
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            tester = Tester(nursery, clock, hold or AutojumpHold(mock_clock), store, replay_check, options)
            tester.register(*register)
            try:
                yield tester
                await tester._close()  # noqa: SLF001  Made for here.
            except BaseException as error:
                raised = error
                raise
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # What the block, or a callback, raised, as it was raised.
        inner = group.exceptions[0]
        if len(group.exceptions) > 1 or (isinstance(inner, BaseExceptionGroup) and inner is not raised):
            raise
        raise inner from inner.__cause__


class Tester:
    """A small application in virtual time; ``open_tester`` and the fixture ``tester`` make one.

    Attributes:
        clock: The time of workflows.
        store: What the engine works on.
        hold: Keeps the clock from jumping while threads work; for stores and code of your own that use threads.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: VirtualClock,
        hold: AutojumpHold,
        store: Store | None,
        replay_check: str | float | None,
        options: dict[str, Any],
    ) -> None:
        self.clock = clock
        self.hold = hold
        self.store: Store = MemoryStore(clock=clock.now) if store is None else store
        self._nursery = nursery
        # No renewals of the lease: they would cut years of virtual time into pieces of seconds.
        self._options = {"grace": 0, "lease": LEASE_SECONDS, "replay_check": replay_check, **options}
        self._registered: list[Any] = []
        self._recorder = Recorder()
        self._recorder.on_child = self._child_started
        self._fakes: dict[tuple[str, str], tuple[Any, Fake]] = {}
        self._listeners: list[Callable[[Call, Handle[Any]], Any]] = []
        self._engine: Engine | None = None
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._starting = trio.Lock()
        self._stop = trio.Event()
        self._stopped = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._wrap = activity_wrapper.get()

    # --- What takes part ---

    def register(self, *items: Any) -> None:
        """Add workflows, activities, objects with activities or modules; before the first start."""
        if self._engine is not None and items:
            raise RuntimeError(f"register() comes before the engine {_STARTED}")
        self._registered.extend(items)

    def fake(
        self,
        target: Activity[Any, Any] | Workflow[Any, Any],
        function: Callable[..., Any] | None = None,
        *,
        returns: Any = _NOTHING,
        raises: BaseException | type[BaseException] | None = None,
        sequence: Iterable[Any] | None = None,
        delay: float | timedelta = 0.0,
    ) -> Fake:
        """Let something else answer for an activity, or for a child workflow; it returns None if nothing is said.

        Args:
            target: The activity or workflow; it need not be registered.
            function: Called with the arguments instead; sync or async, and it may sleep.
            returns: What is returned.
            raises: What is raised.
            sequence: What each attempt in turn returns or, if it is an exception, raises.
            delay: Virtual seconds (or a timedelta) before it answers.

        Called again for the same target, it replaces what was said before, also while workflows run.

        Raises:
            RuntimeError: The engine runs already, with the real one.
            TypeError: More than one answer is given.
        """
        if not isinstance(target, Activity | Workflow):
            raise TypeError(f"fake() takes what is decorated with @wf.activity or @wf.workflow, not {target!r}")
        key = ("workflow" if isinstance(target, Workflow) else "activity", target.name)
        if key not in self._fakes and self._engine is not None:
            raise RuntimeError(f"fake() of {target.name} comes before the engine {_STARTED}")
        _, fake = self._fakes.setdefault(key, (target, Fake(target.name)))
        fake.set(function, returns, raises, sequence, seconds(delay, "delay") or 0.0 if delay else 0.0)
        return fake

    def calls(self, target: Activity[Any, Any] | Workflow[Any, Any]) -> Calls:
        """The calls of an activity so far, real or fake, or the runs of a workflow, in the order they began.

        A call counts once, however many attempts it takes.
        """
        return self._recorder.calls(target)

    def on_child(self, callback: Callable[[Call, Handle[Any]], Any]) -> None:
        """Call ``callback(call, handle)``, sync or async, whenever a child has started (and is durable)."""
        self._listeners.append(callback)

    # --- Time ---

    @property
    def now(self) -> datetime:
        """The virtual time."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def at(self, when: datetime | float, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)``, sync or async, at a virtual time.

        At the very time of a deadline the deadline comes first; a millisecond earlier, the callback does. What it
        raises ends the test, and is noted to come from the line of this call. After the test it is not called any more.
        """
        time = when.timestamp() if isinstance(when, datetime) else float(when)
        self._nursery.start_soon(self._call_at, time, callback, args, _line_of_caller())

    def after(self, delay: float | timedelta, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` when seconds (or a timedelta) have passed; as for ``at``."""
        wait = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= wait < math.inf:
            raise ValueError(f"after() takes a time to come, not {delay!r}")
        self.at(self.clock.now() + wait, callback, *args)

    async def sleep(self, delay: float | timedelta) -> None:
        """Let virtual time pass, with all that happens in it."""
        wait = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        await self.sleep_until(self.clock.now() + wait)

    async def sleep_until(self, when: datetime | float) -> None:
        """Return at a virtual time, after everything that was due until then has been done."""
        await self.clock.sleep_until(when.timestamp() if isinstance(when, datetime) else float(when))
        await self.settle()

    async def settle(self) -> None:
        """Wait, without letting time pass, until nothing more can be done now."""
        await wait_all_tasks_blocked()
        while self.hold.is_held:
            # A thread works; what it brings is still of this moment.
            await wait_all_tasks_blocked(0.001)

    async def _call_at(self, time: float, callback: Callable[..., Any], args: tuple[Any, ...], line: str) -> None:
        await self.clock.sleep_until(time)
        try:
            await _call(callback, *args)
        except Exception as error:
            error.add_note(f"raised by what tester.at() or after() was given at {line}")
            raise

    # --- Workflows ---

    async def engine(self) -> Engine:
        """The engine, which is started if it does not run yet: for all that the Tester has no method for."""
        async with self._starting:
            running = self._engine
            if running is None:
                running = self._engine = await self._nursery.start(self._serve)
            return running

    async def start(self, workflow: Workflow[..., Any] | str, *args: Any, **options: Any) -> Handle[Any]:
        """Start a workflow; takes the options of ``Client.start``."""
        if isinstance(workflow, Workflow):
            self._know(workflow)
        return await (await self.engine()).start(workflow, *args, **options)

    async def run(self, workflow: Workflow[..., Any] | str, *args: Any, **options: Any) -> Any:
        """Start a workflow and wait for its result; takes the options of ``Client.start``, raises as ``result``."""
        return await self.result(await self.start(workflow, *args, **options))

    async def result(self, handle: Handle[Any]) -> Any:
        """What the workflow returned; raises what ``Handle.result`` raises.

        Raises:
            AssertionError: It will never end: it is parked, or nothing happens any more. The message says where
                everything stands.
        """
        is_parked = False
        with trio.move_on_after(_PATIENCE.total_seconds()):
            with self.store.changes.subscribe(instance_topic(handle.instance)) as subscription:
                while (header := await self.store.header(handle.instance)) is not None:
                    is_parked = header.parked is not None
                    if header.status not in (Status.OPEN, Status.CONTINUED) or is_parked:
                        break
                    await subscription.wait()
            if not is_parked:
                return await handle.result()
        raise AssertionError(f"workflow {handle.id!r} will never end:\n{await self.describe()}")

    async def get(self, id: str, workflow: Workflow[..., Any] | None = None) -> Handle[Any]:
        """A handle to the workflow of this id, also of a child; raises WorkflowNotFound."""
        return await (await self.engine()).get(id, workflow)

    async def signal(self, id: str, name: str, value: object = None) -> None:
        """Signal the workflow of this id; for ``at`` and ``after``."""
        await (await self.get(id)).signal(name, value)

    async def cancel(self, id: str, reason: str = "") -> None:
        """Ask the workflow of this id to stop; for ``at`` and ``after``."""
        await (await self.get(id)).cancel(reason)

    async def restart(self) -> None:
        """Stop the engine and start another one on the same store, which replays what goes on."""
        await self._close()
        self._stop, self._stopped = trio.Event(), trio.Event()
        await self.engine()

    async def describe(self) -> str:
        """Where each open workflow stands and what it waits for: in words, and the lines of its code."""
        engine = await self.engine()
        lines = []
        async for item in engine.list(status=Status.OPEN):
            handle = await engine.get(item.id)
            found = await handle.describe()
            lines.append(f"  {item.id} ({item.workflow}){'' if item.parked is None else f', parked: {item.parked}'}")
            lines.extend(f"    waits for {words}" for words in found.waits_for)
            if item.parked is None:
                lines.extend(await self._lines_waiting(handle))
            lines.extend(self._unknown(task.activity) for task in found.activities)
        return "\n".join(line for line in lines if line) or "  no workflow is open"

    async def _lines_waiting(self, handle: Handle[Any]) -> list[str]:
        application = (await self.engine())._node._settings.application  # noqa: SLF001  Its own kit.
        try:
            return lines_waiting(await handle.history(), application)
        except (NonDeterminismError, ValueError) as error:
            return [f"    where in its code is not known: {error}"]

    def _unknown(self, activity: str) -> str:
        if ("activity", activity) in self._known:
            return ""
        return f"    nobody knows the activity {activity}: add it to register=[...], or fake() it"

    # --- The engine ---

    def _know(self, workflow: Workflow[..., Any]) -> None:
        """See to it that what is started is registered."""
        plain: Workflow[..., Any] = Workflow(workflow.definition)
        if self._engine is None:
            self._registered.append(plain)
        elif ("workflow", workflow.name) not in self._known:
            # A run is opened by name; nothing else keeps a list of workflows.
            registry = self._engine._node._settings.application.registry  # noqa: SLF001  Only a test adds to it.
            registry._add(recorded_workflow(workflow.definition, self._recorder))  # noqa: SLF001  As above.
            self._known |= {("workflow", workflow.name)}
            self._registered.append(plain)

    async def _serve(self, *, task_status: trio.TaskStatus[Engine]) -> None:
        register = self._substitutes()
        registry = Registry(register)
        self._known = frozenset(
            [("workflow", name) for name in registry.workflows] + [("activity", name) for name in registry.activities]
        )
        definitions = [*registry.workflows.values(), *(it.definition for it in registry.activities.values())]
        queues = ["default", *(it.queue for it in definitions if it.queue is not None)]
        options: dict[str, Any] = {"queues": list(dict.fromkeys(queues)), **self._options}
        async with open_engine(self.store, register=register, clock=self.clock, hold=self.hold, **options) as engine:
            task_status.started(engine)
            await self._stop.wait()
            if engine.replay_check is not None:
                await self.settle()
        self._stopped.set()
        if engine.replay_check is not None:
            assert_no_difference(engine)

    async def _close(self) -> None:
        if self._engine is not None:
            self._engine = None
            self._stop.set()
            await self._stopped.wait()

    def _substitutes(self) -> list[Any]:
        """What the engine is given: what was registered, with recorders and fakes in its place."""
        registry = Registry(self._registered)
        recorder = self._recorder
        found: list[Any] = []
        fakes = dict(self._fakes)
        for name, definition in registry.workflows.items():
            if ("workflow", name) not in fakes:
                found.append(recorded_workflow(definition, recorder))
        for name, activity in registry.activities.items():
            if ("activity", name) not in fakes:
                found.append(recorded_activity(activity, recorder, self._wrap))
        for (kind, _), (target, fake) in fakes.items():
            if kind == "activity":
                found.append(faked_activity(target, fake, recorder, self._wrap))
            else:
                found.extend(faked_workflow(target.definition, fake, recorder, self._wrap))
        return found

    def _child_started(self, call: Call) -> None:
        if self._listeners:
            # This is inside of the child's turn, where Trio is out of reach; its token is not.
            self._token.run_sync_soon(self._nursery.start_soon, partial(self._tell_of_child, call))

    async def _tell_of_child(self, call: Call) -> None:
        instance = call.key.rpartition("/")[0]
        while (header := await self.store.header(instance)) is None:
            await trio.lowlevel.checkpoint()
        handle = (await self.engine())._handle(header)  # noqa: SLF001  By its key: its id may be used again.
        for callback in self._listeners:
            await _call(callback, call, handle)


def _line_of_caller() -> str:
    """The line outside of this file that called into it."""
    frame = sys._getframe()  # noqa: SLF001  Much cheaper than what is public.
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


async def _call(callback: Callable[..., Any], *args: Any) -> None:
    answer = callback(*args)
    if inspect.isawaitable(answer):
        await answer
