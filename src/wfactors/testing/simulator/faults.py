"""The layer of faults between an engine and its store: what one process sees of a store that is somewhere else.

Each simulated process has a ``Link``. A call goes over it as over a network: it may be slow, fail before it was
carried out or after, arrive twice, or arrive when whoever sent it is long gone. Whether it does is drawn for each call,
with the odds of this seed: a *swarm* leaves some faults out altogether and makes others wild, since a run in which
everything fails a little explores less than many that differ.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import trio

from wfactors.errors import LeaseLost, StoreUnavailable, WfactorsError
from wfactors.stores.changes import Changes

if TYPE_CHECKING:
    from wfactors.testing.simulator.world import World

__all__ = ["NO_FAULTS", "Link", "Odds", "ProcessDied", "swarm"]

# Writes that may arrive after their sender is gone, or twice: each is idempotent by the contract of stores.
_REPEATABLE = frozenset({"commit", "report", "send", "create", "heartbeat", "release", "leave"})
_IN_FLIGHT_SHARE = 0.7
# A process that has asked the store so few times has not got far.
_RECOVERY_CALLS = 15


class ProcessDied(BaseException):
    """Goes through everything that a process does, once it has died. Nothing of it is seen outside."""


@attrs.frozen(kw_only=True)
class Odds:
    """How likely each fault is in one run.

    Per call of the store:

    Attributes:
        fails: StoreUnavailable, and nothing was done.
        answer_lost: StoreUnavailable although it was done.
        slow: It takes some tenths of a second.
        stalls: It takes longer than a lease.
        doubled: It arrives a second time, later.
        late_notice: A notice of a change comes late.
        doubled_notice: It comes twice.

    Per virtual second, while faults last:

    Attributes:
        crash: A process dies, now or at one of its next calls.
        breaks: The n-th call of a process from now fails, and maybe all that follow.
        pause: A process is stopped, and goes on after a while.
        cut: A process does not reach the store for a while.
        outage: Nobody does.
        restart: A process is shut down in order and started again, maybe with other code.
        jump: The clock of a process jumps.
        store_jump: The clock of the store jumps ahead.

    And else:

    Attributes:
        relapse: The process after a crash dies too, or its n-th call fails, while it recovers.
        skew: Seconds by which the clocks of processes differ.
    """

    fails: float = 0.0
    answer_lost: float = 0.0
    slow: float = 0.0
    stalls: float = 0.0
    doubled: float = 0.0
    late_notice: float = 0.0
    doubled_notice: float = 0.0
    crash: float = 0.0
    breaks: float = 0.0
    pause: float = 0.0
    cut: float = 0.0
    outage: float = 0.0
    restart: float = 0.0
    jump: float = 0.0
    store_jump: float = 0.0
    relapse: float = 0.0
    skew: float = 0.0


NO_FAULTS = Odds()

# Rare and wild.
_LEVELS: dict[str, tuple[float, float]] = {
    "fails": (0.01, 0.12),
    "answer_lost": (0.01, 0.12),
    "slow": (0.03, 0.3),
    "stalls": (0.004, 0.03),
    "doubled": (0.02, 0.25),
    "late_notice": (0.05, 0.5),
    "doubled_notice": (0.05, 0.4),
    "crash": (0.5, 2.0),
    "breaks": (0.4, 1.5),
    "pause": (0.4, 1.0),
    "cut": (0.3, 0.8),
    "outage": (0.2, 0.5),
    "restart": (0.4, 1.5),
    "jump": (0.4, 1.5),
    "store_jump": (0.2, 0.6),
    "relapse": (0.3, 0.7),
    "skew": (0.5, 30.0),
}
_QUIET_SHARE = 0.1
_OFF_SHARE = 0.6
_RARE_SHARE = 0.25


def swarm(random: Random, kinds: Collection[str] | None = None) -> Odds:
    """The odds of one run: each kind, or each of these, off, rare or wild; some runs without any."""
    if unknown := set(kinds or ()) - _LEVELS.keys():
        raise ValueError(f"no such faults: {sorted(unknown)}; there are {', '.join(_LEVELS)}")
    if random.random() < _QUIET_SHARE:
        return NO_FAULTS
    chosen = {}
    for name, (rare, wild) in _LEVELS.items():
        draw = random.random()
        chosen[name] = 0.0 if draw < _OFF_SHARE else rare if draw < _OFF_SHARE + _RARE_SHARE else wild
    if kinds is not None:
        chosen = {name: chosen[name] for name in _LEVELS if name in kinds}
    return Odds(**chosen)


class _Request:
    """A call on its way, which arrives by itself."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_abandoned = False


class Link:
    """A store, as one process sees it; every method is the store's own, over a network.

    Attributes:
        name: Of the process.
        changes: What this process hears of changes.
        is_dead: The process has died: nothing gets through any more, in either direction.
        is_cut: The store is out of reach.
        is_safe: It is always in reach.
        clock_now: The time of the process.
        fuse: The process dies at its call of this number from now, and, if the flag is set, before it is carried out.
    """

    def __init__(self, world: World, name: str, odds: Odds, now: Callable[[], float]) -> None:
        self.url = "memory://"
        self.name = name
        self.changes = Changes()
        self.odds = odds
        self.is_dead = False
        self.is_cut = False
        self.is_safe = False
        self.clock_now = now
        self.fuse: tuple[int, bool] | None = None
        self.on_fuse: Callable[[], None] = lambda: None
        self._world = world
        self._random = Random(f"{world.seed}/{name}")
        self._gate: trio.Event | None = None
        self._calls = 0
        self._breaks_at: float = math.inf
        self._stays_broken = False

    # --- What the world does to it ---

    def pause(self) -> None:
        """Let nothing through, in either direction, until ``resume``."""
        if self._gate is None:
            self._gate = trio.Event()

    def resume(self) -> None:
        """Let everything through that was held."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.set()

    @property
    def is_paused(self) -> bool:
        """Whether the process is stopped."""
        return self._gate is not None

    def break_at_call(self, number: int, *, for_ever: bool) -> None:
        """Let the call of this number from now fail, and all after it if ``for_ever``."""
        self._breaks_at = self._calls + number
        self._stays_broken = for_ever

    def die(self) -> None:
        """The process is gone: whatever it has asked, or will ask, raises ProcessDied in it."""
        self.is_dead = True
        self.resume()

    def notify(self, topics: Iterable[str]) -> None:
        """Bring a notice to the process, now or later, once or twice."""
        odds, random = self.odds, self._random
        if odds is NO_FAULTS:
            self.changes.publish(topics)
            return
        if odds.late_notice and random.random() < odds.late_notice:
            self._world.count("fault late notice")
            self._world.later(random.expovariate(2.0), self.changes.publish, topics)
        else:
            self.changes.publish(topics)
        if odds.doubled_notice and random.random() < odds.doubled_notice:
            self._world.count("fault doubled notice")
            self._world.later(random.expovariate(2.0), self.changes.publish_all)

    # --- The store's methods ---

    def open(self) -> Any:
        """As the store's own."""
        return self._world.store.open()

    def durability(self) -> Any:
        """As the store's own."""
        return self._world.store.durability()

    def __getattr__(self, operation: str) -> Any:
        if operation.startswith("_"):
            raise AttributeError(operation)
        call = self.__dict__[operation] = partial(self._call, operation, getattr(self._world.store, operation))
        return call

    async def _call(self, operation: str, method: Callable[..., Awaitable[Any]], /, *args: Any, **options: Any) -> Any:
        world = self._world
        self._calls += 1
        try:
            if self._is_disturbed:
                await self._pass(is_before=True)
            if self.odds is NO_FAULTS:
                value = await self._carry_out(operation, method, args, options)
            else:
                try:
                    value = await self._call_faulty(operation, method, args, options)
                finally:
                    world.settle()
            if self._is_disturbed:
                await self._pass(is_before=False)
        except WfactorsError as error:
            if self.is_dead:
                raise ProcessDied from None
            world.called(self, operation, type(error).__name__)
            raise
        world.called(self, operation, "")
        return value

    @property
    def _is_disturbed(self) -> bool:
        """Whether a call has more to expect than the odds say."""
        return (
            self._gate is not None
            or self.fuse is not None
            or self.is_dead
            or self.is_cut
            or self._calls > self._breaks_at
        )

    async def _pass(self, *, is_before: bool) -> None:
        while self._gate is not None:
            await self._gate.wait()
        if self.fuse is not None:
            self._burn(self.fuse, is_before=is_before)
        if self.is_dead:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise ProcessDied
        if self.is_cut:
            self._world.count("fault cut off")
            await trio.sleep(self._random.uniform(0.01, 0.3))
            raise StoreUnavailable("simulated: the store is out of reach")
        if self._calls > self._breaks_at and is_before:
            await self._fail_for_good()

    def _burn(self, fuse: tuple[int, bool], *, is_before: bool) -> None:
        number, dies_before = fuse
        if dies_before != is_before:
            return
        self.fuse = None if number == 0 else (number - 1, dies_before)
        if number == 0:
            self._world.count(f"fault crash {'before' if is_before else 'after'} a call")
            if self._calls <= _RECOVERY_CALLS:
                self._world.count("fault crash in recovery")
            self.on_fuse()

    async def _fail_for_good(self) -> None:
        self._world.count(f"fault n-th call fails{' for ever' if self._stays_broken else ''}")
        if self._calls <= _RECOVERY_CALLS:
            self._world.count("fault failure in recovery")
        if not self._stays_broken:
            self._breaks_at = math.inf
        await trio.sleep(self._random.uniform(0.0, 0.1))
        raise StoreUnavailable("simulated: this call failed")

    async def _call_faulty(self, operation: str, method: Callable[..., Awaitable[Any]], args: Any, options: Any) -> Any:
        odds, random, world = self.odds, self._random, self._world
        if random.random() < odds.fails:
            world.count("fault fails")
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("simulated: it failed")
        if odds.doubled and operation in _REPEATABLE and random.random() < odds.doubled:
            world.count("fault doubled call")
            world.later_call(random.expovariate(1.0), self, operation, method, args, options)
        delay = self._delay()
        if delay:
            value = await self._travel(delay, operation, method, args, options)
        else:
            value = await self._carry_out(operation, method, args, options)
        if random.random() < odds.answer_lost:
            world.count("fault answer lost")
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("simulated: the answer was lost")
        delay = self._delay()
        if delay:
            await trio.sleep(delay)
        return value

    def _delay(self) -> float:
        odds, random = self.odds, self._random
        if odds.stalls and random.random() < odds.stalls:
            self._world.count("fault stall")
            return self._world.lease_seconds * random.uniform(0.8, 2.0)
        if odds.slow and random.random() < odds.slow:
            self._world.count("fault slow")
            return random.uniform(0.001, 0.3)
        return 0.0

    async def _travel(
        self, delay: float, operation: str, method: Callable[..., Awaitable[Any]], args: Any, options: Any
    ) -> Any:
        """Be on the way for ``delay``: the request arrives even if nobody waits for its answer any more."""
        request = _Request()
        self._world.in_flight += 1
        self._world.nursery.start_soon(self._arrive, request, delay, operation, method, args, options)
        try:
            await request.answered.wait()
        except BaseException:
            request.is_abandoned = True
            raise
        if request.error is not None:
            raise request.error
        return request.value

    async def _arrive(
        self,
        request: _Request,
        delay: float,
        operation: str,
        method: Callable[..., Awaitable[Any]],
        args: Any,
        options: Any,
    ) -> None:
        await trio.sleep(delay)
        self._world.arrived()
        is_orphan = request.is_abandoned or self.is_dead
        if is_orphan and (operation not in _REPEATABLE or self._random.random() > _IN_FLIGHT_SHARE):
            request.error = StoreUnavailable("simulated: it never arrived")
        else:
            if is_orphan:
                self._world.count("fault late arrival")
            try:
                request.value = await self._carry_out(operation, method, args, options)
            except (WfactorsError, ProcessDied) as error:
                request.error = error
        request.answered.set()

    async def _carry_out(self, operation: str, method: Callable[..., Awaitable[Any]], args: Any, options: Any) -> Any:
        """At the store itself; the world checks what was done."""
        world, task = self._world, trio.lowlevel.current_task()
        world.callers[task] = self
        try:
            value = await method(*args, **options)
        except LeaseLost:
            world.refused(self, operation, args)
            raise
        finally:
            del world.callers[task]
        world.done(self, operation, args, value)
        return value

    async def repeat(self, operation: str, method: Callable[..., Awaitable[Any]], args: Any, options: Any) -> None:
        """Carry out a call once more, for nobody."""
        try:
            await self._carry_out(operation, method, args, options)
        except WfactorsError:
            self._world.count("rare repeated call refused")

    def calm(self) -> None:
        """No more faults of any kind."""
        self.odds = NO_FAULTS
        self.is_cut = False
        self.fuse = None
        self._breaks_at = math.inf
        self.resume()
