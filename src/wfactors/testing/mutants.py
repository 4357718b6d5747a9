"""Planted bugs, to see whether the simulator would have found them: a green run of a blind harness proves nothing.

Each mutant takes away one thing that the engine's promises rest on, by replacing a method for the time of a run; the
code itself has nothing of it. ``hunt`` runs seeds until one of them breaks something::

    python -m wfactors.testing.mutants --seeds 300 --jobs 2
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Annotated, Any

import attrs
import trio
import typer
from rich.console import Console
from rich.table import Table

from wfactors.actors import claims, effects, intake, journal, loader, parking, partition, timers, turns
from wfactors.actors.activities import Activities
from wfactors.actors.instance import Instance, State
from wfactors.actors.ledger import Ledger
from wfactors.errors import LeaseLost, StoreUnavailable
from wfactors.kernel.replay import Recorder
from wfactors.model.events import Event, TimerFired
from wfactors.model.messages import Message
from wfactors.model.records import Append, Batch, Lease, NodeRow, TaskRow
from wfactors.stores.memory import MemoryStore
from wfactors.stores.memory_state import MemoryState
from wfactors.stores.memory_tables import HistoryTable, InboxTable, ReplyTable
from wfactors.testing.simulator.determinism import patched
from wfactors.testing.simulator.run import run_seed

__all__ = ["MUTANTS", "Find", "hunt", "mutated"]

Patch = tuple[Any, str, Any]

MUTANTS: dict[str, Patch] = {}
"""By name: what to replace, and with what."""


def _mutant(name: str, target: Any, attribute: str) -> Callable[[Any], Any]:
    def register(replacement: Any) -> Any:
        MUTANTS[name] = (target, attribute, replacement)
        return replacement

    return register


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Plant the bug inside the block."""
    with patched(*MUTANTS[name]):
        yield


@attrs.frozen
class Find:
    """What became of a mutant.

    Attributes:
        seeds: How many it took; None if none of those tried found it.
        violation: The first one.
    """

    mutant: str
    seeds: int | None
    violation: str = ""


def hunt(name: str, seeds: int, first: int = 0) -> Find:
    """Run up to ``seeds`` seeds with the bug planted, until one finds it."""
    with mutated(name):
        for number in range(seeds):
            outcome = run_seed(first + number)
            if outcome.violations:
                return Find(name, number + 1, outcome.violations[0])
    return Find(name, None)


def _nothing_now(*_: Any) -> None:
    """Do nothing."""


# --- The fence and the store ------------------------------------------------------------------------------------------


@_mutant("no fence", MemoryState, "is_committed")
def _no_fence(self: MemoryState, batch: Batch) -> bool:
    return batch.sequence == self.partition(batch.partition).sequence


@_mutant("epoch is not checked", MemoryState, "is_committed")
def _no_epoch(self: MemoryState, batch: Batch) -> bool:
    owner = self.partition(batch.partition)
    if batch.sequence not in (owner.sequence, owner.sequence + 1):
        raise LeaseLost("sequence")
    return batch.sequence == owner.sequence


@_mutant("a repeated commit is applied again", MemoryState, "is_committed")
def _no_dedupe(self: MemoryState, batch: Batch) -> bool:
    owner = self.partitions.get(batch.partition)
    if owner is None or owner.node is None or owner.epoch != batch.epoch:
        raise LeaseLost("epoch")
    return False


@_mutant("an epoch is used twice", MemoryStore, "acquire")
async def _same_epoch(self: MemoryStore, name: str, node: str) -> Lease | None:
    await trio.lowlevel.checkpoint()
    state = self._state
    row = state.partition(name)
    if not state.is_alive(node) or (row.node not in (None, node) and state.is_alive(str(row.node))):
        return None
    state.partitions[name] = attrs.evolve(row, node=node, epoch=max(row.epoch, 1))
    self.changes.publish(["nodes"])
    return Lease(name, max(row.epoch, 1), row.sequence)


@_mutant("the sequence begins anew with each lease", partition.Partition, "__init__")
def _new_sequence(self: Any, context: Any, lease: Lease) -> None:
    _ORIGINALS["the sequence begins anew with each lease"](self, context, attrs.evolve(lease, sequence=0))


@_mutant("a claimed task stays free", MemoryStore, "claim")
async def _claim_free(self: MemoryStore, node: str, activities: Any, now: float, limit: int) -> list[TaskRow]:
    await trio.lowlevel.checkpoint()
    return [attrs.evolve(row, node=node) for row in self._state.tasks.due(activities, now, limit)]


@_mutant("a result is accepted from whoever reports it", MemoryState, "report")
def _any_report(self: MemoryState, report: Any, topics: Any) -> bool:
    task = self.tasks.get(report.key)
    if task is None:
        if report.outcome is not None:
            self._put_message(report.outcome)
        return True
    claimed = attrs.evolve(report, node=task.node, attempt=task.attempt)
    return bool(_ORIGINALS["a result is accepted from whoever reports it"](self, claimed, topics))


@_mutant("nobody hears of messages", MemoryState, "_apply_messages")
def _silent_messages(self: MemoryState, batch: Batch, _: Any) -> None:
    _ORIGINALS["nobody hears of messages"](self, batch, {})


@_mutant("messages are never removed", InboxTable, "remove")
def _keep_messages(self: InboxTable, id: str) -> None:
    del self, id


@_mutant("one append of a batch is lost", HistoryTable, "add")
def _lose_append(self: HistoryTable, append: Append) -> None:
    if append.count != 2:  # noqa: PLR2004
        _ORIGINALS["one append of a batch is lost"](self, append)


@_mutant("lease by the local clock", MemoryStore, "join")
async def _local_lease(self: MemoryStore, node: NodeRow, lease_seconds: float) -> NodeRow:
    row: NodeRow = await _ORIGINALS["lease by the local clock"](self, node, lease_seconds)
    self._state.nodes[node.node] = late = attrs.evolve(row, lease_until=node.joined_at + lease_seconds)
    return late


@_mutant("a node leaves its row behind", MemoryStore, "leave")
async def _stay(*_: Any) -> None:
    await trio.lowlevel.checkpoint()


@_mutant("replies stay for ever", ReplyTable, "expire")
def _keep_replies(*_: Any) -> None:
    pass


# --- The journal ------------------------------------------------------------------------------------------------------


@_mutant("acknowledge before the commit", partition.Partition, "after_commit")
def _ack_early(self: Any, action: Any) -> None:
    del self
    action()


@_mutant("act before the commit", journal.Journal, "write")
def _act_early(self: Any, sealed: Any) -> None:
    for action in sealed.actions:
        action()
    _ORIGINALS["act before the commit"](self, attrs.evolve(sealed, actions=[]))


async def _commit_once(self: Any, sealed: Any, errors: type[Exception]) -> None:
    try:
        await self._store.commit(sealed.batch)
    except errors:
        return


@_mutant("a failed commit is taken for done", journal.Journal, "_commit")
async def _ignore_failure(self: Any, sealed: Any) -> None:
    await _commit_once(self, sealed, StoreUnavailable)


@_mutant("a lost lease is ignored by the journal", journal.Journal, "_commit")
async def _ignore_lost(self: Any, sealed: Any) -> None:
    while True:
        try:
            await self._store.commit(sealed.batch)
        except LeaseLost:
            return
        except StoreUnavailable:
            await trio.sleep(0.1)
        else:
            return


@_mutant("loose mail is not stored", partition.Partition, "_store_loose_mail")
def _lose_mail(self: Any) -> None:
    self._loose = []


def _always_idle(self: Instance) -> bool:
    return not self.mail and self.state is not State.LOADING


_mutant("instances leave memory with unsaved events", Instance, "is_idle")(property(_always_idle))


# --- Turns ------------------------------------------------------------------------------------------------------------


@_mutant("the ids of signals are forgotten", Ledger, "note")
def _forget_signals(self: Ledger, new: Sequence[Event]) -> None:
    _ORIGINALS["the ids of signals are forgotten"](self, new)
    self.taken.clear()


@_mutant("timers fire a little early", turns.Turns, "taking")
def _early(self: Any, instance: Any, mail: Any) -> Iterator[None]:
    now = max(instance.time, self._partition.clock.now())
    run = instance.run
    if run is not None and instance.state is State.READY and now < run.next_deadline <= now + 0.05:
        yield from self._turn(instance, TimerFired(now, 0))
    yield from _ORIGINALS["timers fire a little early"](self, instance, mail)


@_mutant("timers fire late", timers.Timers, "push")
def _late(self: Any, at: float, key: str) -> None:
    _ORIGINALS["timers fire late"](self, at + 6.0, key)


@_mutant("an accepted cancel is lost", turns.Turns, "_cancel")
def _lose_cancel(self: Any, instance: Any, mail: Any, content: Any, _: float) -> None:
    self._acknowledge(instance, mail, content.sender)


@_mutant("an accepted terminate is lost", turns.Turns, "_terminate")
def _lose_terminate(self: Any, instance: Any, mail: Any, *_: Any) -> None:
    self._acknowledge(instance, mail, None)


@_mutant("who is terminated unread forgets what time it was", loader.Loader, "_read_ledger")
async def _timeless(self: Any, instance: Any) -> None:
    await _ORIGINALS["who is terminated unread forgets what time it was"](self, instance)
    instance.time = 0.0


@_mutant("what a terminated workflow was sent while it was parked stays", intake.Intake, "deliver_kept")
def _never_again(*_: Any) -> None:
    pass


@_mutant("a parked workflow does not answer from afar", turns.Turns, "refuse_question")
def _no_answer_from_afar(self: Any, _: str, mail: Any, *__: Any) -> None:
    self._partition.draft.messages_removed.append(mail.id)


@_mutant("taken messages are remembered for ever", intake.Intake, "removed")
def _remember(*_: Any) -> None:
    pass


@_mutant("time may go back", Instance, "feed")
def _back(self: Instance, author_code: Any, fact: Any, *_: Any) -> Any:
    earlier = attrs.evolve(fact, time=fact.time - 0.02) if self.time and hasattr(fact, "time") else fact
    self.time = 0.0
    decisions = yield from _ORIGINALS["time may go back"](self, author_code, earlier)
    self.time = fact.time
    return decisions


@_mutant("outcomes are taken in twice", turns.Turns, "_is_expected")
def _expect_all(self: Any, instance: Any, run: int, *, is_open: bool) -> bool:
    del self, run, is_open
    return instance.state is State.READY


@_mutant("a closed run still takes signals' acknowledgements", turns.Turns, "_refuse")
def _accept_closed(self: Any, instance: Any, mail: Any, sender: Any) -> None:
    self._acknowledge(instance, mail, sender)


@_mutant("replay does not compare", Recorder, "issue")
def _no_compare(self: Any, decision: Any) -> bool:
    # The auditor, who is strict, keeps the real one.
    if self._is_strict or not self.is_replaying or self.expected() is None:
        return bool(_ORIGINALS["replay does not compare"](self, decision))
    if not self._scheduler.is_evicting:
        self.take()
    return True


@_mutant("mail of a parked workflow is dropped", parking.Parking, "keep")
def _drop_kept(self: Any, instance: Any, mail: Any) -> None:
    del instance
    if mail.done is not None:
        self._partition.after_commit(partial(mail.done, None))
    elif mail.is_stored:
        self._partition.draft.messages_removed.append(mail.id)


@_mutant("when to wake is not saved", Instance, "snapshot")
def _no_wake_at(self: Instance) -> Any:
    self.wake_at, kept = None, self.wake_at
    try:
        return _ORIGINALS["when to wake is not saved"](self)
    finally:
        self.wake_at = kept


@_mutant("done tasks keep their rows", MemoryState, "_apply_tasks")
def _keep_tasks(self: MemoryState, batch: Batch, topics: Any) -> None:
    _ORIGINALS["done tasks keep their rows"](self, attrs.evolve(batch, tasks_removed=()), topics)


@_mutant("an outcome of a child elsewhere is not sent", effects.Effects, "_tell_parent")
def _far_parents(self: Any, instance: Any, parent: Any) -> None:
    if parent.partition == self._partition.name:
        _ORIGINALS["an outcome of a child elsewhere is not sent"](self, instance, parent)


@_mutant("signals do not go over to the next run", effects.Effects, "_continue_as_new")
def _drop_carried(self: Any, instance: Any, event: Any) -> None:
    _ORIGINALS["signals do not go over to the next run"](self, instance, attrs.evolve(event, signals=()))


@_mutant("a cancel does not go over to the next run", effects.Effects, "_continue_as_new")
def _drop_cancel(self: Any, instance: Any, event: Any) -> None:
    name = "a cancel does not go over to the next run"
    _ORIGINALS[name](self, instance, attrs.evolve(event, cancel_reason=None))


@_mutant("an activity is started without its row", effects.Effects, "_schedule_activity")
def _no_row(self: Any, instance: Any, decision: Any) -> None:
    _ORIGINALS["an activity is started without its row"](self, instance, decision)
    for key in list(self._partition.draft.tasks)[-1:]:
        if self._partition.draft.tasks[key].node is None:
            del self._partition.draft.tasks[key]


@_mutant("updates are not answered", effects.Effects, "_answer_update")
def _no_answer(_: Any, instance: Any, decision: Any) -> None:
    instance.update_waiters.pop(decision.update, None)


# --- Recovery ---------------------------------------------------------------------------------------------------------


@_mutant("an orphan is handed out as the same attempt", intake.Intake, "_requeue")
def _same_attempt(self: Any, task: TaskRow) -> None:
    self._partition.draft.tasks[task.key] = attrs.evolve(task, node=None)
    self._partition.wake()


@_mutant("orphans are left alone", intake.Intake, "_requeue")
def _no_requeue(*_: Any) -> None:
    pass


@_mutant("lost answers to claims are forgotten", claims.Claims, "_settle_doubts")
async def _no_doubts(self: Any) -> None:
    self._is_answer_lost = False
    self._in_doubt.clear()


@_mutant("outcomes of a lost partition are forgotten", Activities, "disown")
def _forget_outcomes(self: Any, name: str) -> None:
    self._unsettled.clear()
    self.unreserve([key for key, (owner, _) in self._reserved.items() if owner == name])


@_mutant("parked workflows are not tried again", intake.Intake, "_retry_parked")
async def _no_retry(_: Any) -> None:
    await trio.lowlevel.checkpoint()


@_mutant("wake-ups are not read after a takeover", timers.Timers, "_fill")
async def _no_wakes(self: Any) -> None:
    await trio.lowlevel.checkpoint()
    self._window_end = float("inf")


@_mutant("the inbox is read only once", intake.Intake, "_read")
async def _read_once(self: Any) -> None:
    if not getattr(self, "_was_read", False):
        self._was_read = True
        await _ORIGINALS["the inbox is read only once"](self)
    await trio.lowlevel.checkpoint()


@_mutant("a refused child is not told to its parent", loader.Loader, "_create")
async def _silent_refusal(self: Any, instance: Any) -> Any:
    kept, self._partition.send = self._partition.send, _nothing_now
    try:
        return await _ORIGINALS["a refused child is not told to its parent"](self, instance)
    finally:
        self._partition.send = kept


@_mutant("waiting clients are not told that the owner is gone", partition.Partition, "_drop_everything")
def _silent_drop(self: Any) -> None:
    for instance in self.residents.values():
        instance.drop_run()
    self.residents.clear()


@_mutant("a forwarded signal leaves its errand behind", intake.Intake, "_forward")
async def _errand_stays(self: Any, mail: Any, content: Any) -> None:
    await _ORIGINALS["a forwarded signal leaves its errand behind"](self, mail, content)
    if mail.id in self._partition.draft.messages_removed:
        self._partition.draft.messages_removed.remove(mail.id)


@_mutant("a forwarded signal gets a new id", Message, "__init__")
def _new_ids(self: Any, id: str, *args: Any, **options: Any) -> None:
    number = next(_numbers) if id.endswith("/on") else ""
    _ORIGINALS["a forwarded signal gets a new id"](self, f"{id}{number}", *args, **options)


_numbers = count(1)
_ORIGINALS: dict[str, Any] = {name: target.__dict__.get(attribute) for name, (target, attribute, _) in MUTANTS.items()}


# --- The command ------------------------------------------------------------------------------------------------------


def main(
    seeds: Annotated[int, typer.Option(help="How many to try for each mutant.")] = 300,
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes to use.", min=1)] = 1,
    only: Annotated[str, typer.Option(help="Only mutants with this in their name.")] = "",
) -> None:
    """Plant one bug after the other and count the seeds that it takes to find it."""
    names = [name for name in MUTANTS if only in name]
    console = Console()
    table = Table("mutant", "seeds", "found as")
    survivors = 0
    with ExitStack() as stack:
        work = partial(hunt, seeds=seeds, first=first)
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(jobs)) if jobs > 1 else None
        finds: Iterator[Find] = map(work, names) if pool is None else pool.imap(work, names)
        for find in finds:
            survivors += find.seeds is None
            style = "red" if find.seeds is None else None
            table.add_row(find.mutant, str(find.seeds or "survived"), find.violation[:60], style=style)
            console.print(f"{find.mutant}: {find.seeds or 'survived'}", highlight=False)
    console.print(table)
    console.print(f"{len(names) - survivors} of {len(names)} mutants found within {seeds} seeds", style="bold")
    raise typer.Exit(1 if survivors else 0)


if __name__ == "__main__":
    typer.run(main)
