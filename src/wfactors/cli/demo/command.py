"""``wfactors demo``: the story, from the plan to the closing table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import attrs
import trio
from rich.table import Table
from rich.text import Text

from wfactors.actors.engine import open_client
from wfactors.cli.demo.display import Display, open_display
from wfactors.cli.demo.looking import Look, Looker
from wfactors.cli.demo.pipeline import Summary
from wfactors.cli.demo.plan import DemoOptions, Place, Plan, choose_place, plan_anew, plan_to_go_on, remove_made
from wfactors.cli.demo.verify import Verdict, verify_effects, verify_files
from wfactors.cli.demo.worker import Worker, start_worker
from wfactors.cli.exits import Exit, Problem
from wfactors.cli.options import Globals
from wfactors.cli.output import error_console, out_console, print_json
from wfactors.cli.running import opened, reporting, store_option, this_command
from wfactors.cli.text import duration, plural, safe, size
from wfactors.client import Client, Handle
from wfactors.model.events import ActivityCompleted
from wfactors.model.status import Status

__all__ = ["DemoOptions", "demo_command"]

_LOOK_SECONDS = 0.08
_TRACE_SECONDS = 0.005
_STILL_SECONDS = 1.5
_HURT_SECONDS = 1.5
_APPROVAL_SECONDS = 1.0
_RECOVERY_SECONDS_MAX = 60.0
_MISTAKES_SHOWN = 5
_FASTER = 10


@attrs.define(eq=False)
class _Story:
    """What the closing table tells."""

    began: float = attrs.field(factory=time.monotonic)
    kills: int = 0
    recovery_ms: float | None = None
    python_ms: float = 0.0
    seconds: float = 0.0


def demo_command(options: Globals, wanted: DemoOptions) -> None:
    """Run the demo, and say how to go on with it if it is interrupted."""
    with reporting():
        place = choose_place(options.store, wanted)
        console = error_console() if options.json else out_console()
        try:
            trio.run(_run, options, place, wanted, console)
        except BaseException as error:
            if _is_interrupt(error):
                again = f"{this_command()} demo {store_option(place.url)}"
                console.print(f"interrupted; nothing is lost. It goes on where it was with:\n  {again}", soft_wrap=True)
            raise


def _is_interrupt(error: BaseException) -> bool:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return isinstance(error, KeyboardInterrupt)


async def _run(options: Globals, place: Place, wanted: DemoOptions, console: Any) -> None:
    async with opened(open_client(place.url)) as client:
        with open_display(console) as display:
            story = _Story()
            plan, handle = await _begin(client, place, wanted, display)
            demo = _Demo(client, place, wanted, display, plan, handle, story)
            verdict, summary = await demo.play()
            story.seconds = time.monotonic() - story.began
    if options.json:
        print_json(_as_json(place, plan, story, verdict, summary))
    else:
        _print_closing(console, place, plan, story, verdict, wanted)
    if verdict.mistakes:
        raise Problem(Exit.FAILED, f"{plural(len(verdict.mistakes), 'mistake')} found: {verdict.mistakes[0]}")
    if not wanted.keep:
        await trio.to_thread.run_sync(remove_made, plan)


async def _begin(client: Client, place: Place, wanted: DemoOptions, display: Display) -> tuple[Plan, Handle[Any]]:
    """Find the pipeline that was interrupted, or start one."""
    found = await plan_to_go_on(client)
    if found is not None:
        plan, handle = found
        display.say(f"{plan.id} was interrupted; it goes on where it was ({safe(plan.job.source)})", "bold cyan", "▶")
        return found
    plan = await plan_anew(client, place, wanted)
    kind = "made for the demo" if wanted.folder is None else "only read, never changed"
    display.say(f"{plural(len(plan.paths), 'file')}, {size(plan.size)}, {kind}: {safe(plan.job.source)}")
    display.say(f"the results go to {safe(plan.job.output)}")
    display.say(f"all that is durable goes to {place.url}")
    commits, owners = await _used_before(client)
    handle = await client.start(
        "demo.pipeline",
        attrs.asdict(plan.job),
        id=plan.id,
        queue="demo",
        attributes={"commits_before": commits, "owners_before": owners, "made": [str(folder) for folder in plan.made]},
    )
    display.say(f"workflow {plan.id} is started: it is in the store, though nothing runs it yet", sign="✓")
    return plan, handle


async def _used_before(client: Client) -> tuple[int, int]:
    for row in await client.store.partitions():
        if row.partition == "0:demo":
            return row.sequence, row.epoch
    return 0, 0


class _Demo:
    """Plays the demo with one pipeline."""

    def __init__(
        self,
        client: Client,
        place: Place,
        wanted: DemoOptions,
        display: Display,
        plan: Plan,
        handle: Handle[Any],
        story: _Story,
    ) -> None:
        self._client = client
        self._place = place
        self._wanted = wanted
        self._display = display
        self._plan = plan
        self._handle = handle
        self._story = story
        self._looker = Looker(client, handle, plan.job.output)
        self._worker: Worker | None = None
        self._worker_began = 0.0
        self._told_retry = False

    async def play(self) -> tuple[Verdict, Summary]:
        """From the first worker to the proof."""
        try:
            await self._start_worker()
            await self._work()
            await self._rest()
            await self._approve()
            summary = await self._finish()
        finally:
            if self._worker is not None:
                # Bounded by the worker itself: closing takes a few seconds at most.
                with trio.CancelScope(shield=True):
                    await self._worker.stop()
        return await self._verify(), summary

    def _seconds(self, seconds: float) -> float:
        """A time that is there to be watched."""
        return seconds / _FASTER if self._wanted.fast else seconds

    # --- The worker ---

    async def _start_worker(self) -> Worker:
        self._worker = worker = await start_worker(self._place.url, self._place.folder / "worker.log")
        self._worker_began = await worker.wait_ready()
        if not self._story.kills:
            self._display.say(f"worker {worker.pid} is ready: a process of its own (wfactors run)", sign="✓")
        return worker

    async def _kill_and_recover(self) -> None:
        """Kill the worker, show that nothing moves, start it again, take the time."""
        assert self._worker is not None
        display, pid = self._display, self._worker.pid
        await self._wait_mid_activity()
        await self._worker.kill()
        self._story.kills += 1
        look = await self._looker.look()
        torn = len(self._looker.journal.under_way)
        at = f"{look.done} of {look.files} files done, {look.working} under way, "
        at += f"{plural(torn, 'activity', 'activities')} torn from its work" if torn else "none at work that moment"
        display.say(f"kill -9 {pid}: the worker is dead; {at}", "bold red", "✗")
        still = await self._look_still()
        words = "something else works on this store" if still is None else "nothing moves, nothing is lost"
        display.say(f"{words} (looked for {duration(self._seconds(_STILL_SECONDS))})", "yellow", "‖")
        before = await self._looker.trace()
        started = time.time()
        worker = await self._start_worker()
        with trio.fail_after(_RECOVERY_SECONDS_MAX):
            while await self._looker.trace() == before:  # noqa: ASYNC110  Timed; a notice would come later.
                await trio.sleep(_TRACE_SECONDS)
        self._story.recovery_ms = (time.time() - started) * 1000
        self._story.python_ms = (self._worker_began - started) * 1000
        display.say(
            f"worker {worker.pid} goes on where the other one was: {_recovery_words(self._story)}",
            "bold green",
            "✓",
        )

    async def _wait_mid_activity(self) -> None:
        """Until some activity is in the middle of its work, so that the kill hurts; but not for long."""
        journal = self._looker.journal
        with trio.move_on_after(_HURT_SECONDS):
            while True:
                journal.read()
                if journal.under_way:
                    return
                await trio.sleep(_TRACE_SECONDS / 5)

    async def _look_still(self) -> Look | None:
        """Look at a pipeline that nobody runs; None if it moves all the same."""
        first = look = await self._looker.look()
        end = time.monotonic() + self._seconds(_STILL_SECONDS)
        while time.monotonic() < end:
            look = await self._looker.look()
            self._display.update(look, "no worker: nothing moves", "bold red")
            await trio.sleep(_LOOK_SECONDS)
        return first if (first.events, first.attempts) == (look.events, look.attempts) else None

    # --- The acts ---

    async def _watch(self, is_over: Callable[[Look], bool], state: Callable[[Look], str]) -> Look:
        """Show the pipeline until something is so."""
        while True:
            began = time.monotonic()
            look = await self._looker.look()
            await self._check(look)
            self._display.update(look, state(look))
            if is_over(look):
                return look
            # Looking at thousands of workflows takes a while; leave most of the time to the worker.
            await trio.sleep(max(_LOOK_SECONDS, 3 * (time.monotonic() - began)))

    async def _check(self, look: Look) -> None:
        assert self._worker is not None
        if look.parked is not None:
            raise Problem(
                Exit.FAILED,
                f"a workflow stands still: {look.parked}",
                f"wfactors doctor {store_option(self._place.url)}",
            )
        if not self._worker.is_running:
            # Ctrl-C strikes the whole process group, and the worker may be gone first: here it is raised.
            await trio.lowlevel.checkpoint()
            raise Problem(Exit.STORE, "the worker has ended by itself", f"log: {self._place.folder / 'worker.log'}")
        retried = self._looker.journal.failures_on_purpose
        if retried and not self._told_retry:
            self._told_retry = True
            words = f"{retried[0].kind} of {safe(retried[0].path)} failed on purpose and was tried again"
            self._display.say(words, "yellow", "↻")

    async def _work(self) -> None:
        def state(look: Look) -> str:
            return "listing the files" if look.files is None else f"working on {plural(look.working, 'file')}"

        look = await self._watch(lambda look: look.files is not None, state)
        if self._wanted.kill and not look.has_all_files:
            assert look.files is not None
            middle = max(look.files // 2, look.done + 1)
            look = await self._watch(lambda look: look.done >= min(middle, look.files or 0), state)
            if not look.has_all_files:
                await self._kill_and_recover()
        look = await self._watch(lambda look: look.has_all_files or look.status is not Status.OPEN, state)
        self._display.say(f"{plural(look.done, 'file')} done", sign="✓")

    async def _rest(self) -> None:
        def state(look: Look) -> str:
            seconds = max((look.wake_at or 0) - time.time(), 0.0)
            return f"the pipeline sleeps, durably: {seconds:.1f} s left"

        has_slept = False
        while await self._phase() in ("working on the files", "resting"):
            look = await self._looker.look()
            await self._check(look)
            if look.wake_at is not None:
                has_slept = True
                self._display.update(look, state(look), "magenta")
            await trio.sleep(_LOOK_SECONDS)
        if has_slept:
            self._display.say(f"slept {duration(self._plan.job.rest)}: a timer in the store, it costs a row", sign="✓")

    async def _phase(self) -> str | None:
        """What the pipeline says it is doing: a query, answered by the worker. None once it has ended."""
        look = await self._looker.look()
        if look.status is not Status.OPEN:
            return None
        return str((await self._handle.query("progress"))["phase"])

    async def _approve(self) -> None:
        if await self._phase() != "waiting for approval":
            return
        command = f"{this_command()} signal {self._plan.id} approve true {store_option(self._place.url)}"
        look = await self._looker.look()
        if self._wanted.ask:
            self._display.say("waits for approval: press Enter, or in another terminal:", "bold magenta", "?")
            self._display.say(command, "cyan")
            self._display.update(look, "waits for your approval", "bold magenta")
            await self._wait_for_person()
        else:
            self._display.say(
                "waits for the signal 'approve'; the demo sends it itself, as anybody could:", "magenta", "?"
            )
            self._display.say(command, "cyan")
            end = time.monotonic() + self._seconds(_APPROVAL_SECONDS)
            while time.monotonic() < end:
                self._display.update(look, "waits for the signal 'approve'", "magenta")
                await trio.sleep(_LOOK_SECONDS)
        if await self._phase() == "waiting for approval":
            await self._handle.signal("approve", True)

    async def _wait_for_person(self) -> None:
        """Until Enter is pressed here, or somebody has approved from elsewhere."""
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                # At the end of standard input nobody presses Enter any more; somebody else may send the signal.
                with contextlib.suppress(EOFError):
                    await trio.to_thread.run_sync(input, abandon_on_cancel=True)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(read)
            while await self._phase() == "waiting for approval":  # noqa: ASYNC110  Another process's.
                await trio.sleep(_LOOK_SECONDS * 4)
            nursery.cancel_scope.cancel()

    async def _finish(self) -> Summary:
        await self._watch(lambda look: look.status is not Status.OPEN, lambda _: "summing up")
        summary = Summary(**await self._handle.result())
        self._display.say(
            f"approved and summed up: {summary.words:,} words, most of all {', '.join(summary.top)}", sign="✓"
        )
        return summary

    # --- The proof ---

    async def _verify(self) -> Verdict:
        history = await self._handle.history()
        listed = next(event for event in history if isinstance(event, ActivityCompleted) and event.call == 0)
        paths = self._client.data.from_payload(listed.result)
        look = await self._looker.look()
        self._display.update(look, "verifying every file against its source")
        verdict = await trio.to_thread.run_sync(verify_files, self._plan.job, paths)
        verdict = await verify_effects(self._client, self._looker, verdict)
        description = await self._handle.describe()
        verdict = attrs.evolve(
            verdict,
            commits=verdict.commits - description.attributes.get("commits_before", 0),
            owners=verdict.owners - description.attributes.get("owners_before", 0),
        )
        if verdict.mistakes:
            for mistake in verdict.mistakes[:_MISTAKES_SHOWN]:
                self._display.say(safe(mistake), "bold red", "✗")
        else:
            words = "unpacked and compared: every file is whole, and in the index once"
            self._display.say(words, "bold green", "✓")
        self._display.update(look, "done", "green")
        return verdict


# --- The closing table -----------------------------------------------------------------------------------------------


def _print_closing(
    console: Any, place: Place, plan: Plan, story: _Story, verdict: Verdict, wanted: DemoOptions
) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    ratio = verdict.packed / verdict.size if verdict.size else 0.0
    once = "each result recorded exactly once" if not verdict.mistakes else "NOT as it should be"
    repeated = f", {verdict.repeated:,} of them again after a failure or a kill" if verdict.repeated else ""
    rows = [
        ("files", f"{verdict.files:,}, each whole and in the index once"),
        ("bytes", f"{size(verdict.size)} packed to {size(verdict.packed)} ({ratio:.0%})"),
        ("activities", f"{verdict.calls:,} calls, {once}"),
        ("attempts", f"{verdict.attempts:,}{repeated}"),
        ("workers", f"{verdict.owners:,}, of which {story.kills} killed with kill -9 by this demo"),
    ]
    if story.recovery_ms is not None:
        rows.append(("recovery", _recovery_words(story)))
    rows.append(("history", f"{verdict.events:,} events in {verdict.commits:,} commits"))
    rows.append(("time", duration(story.seconds)))
    for name, words in rows:
        table.add_row(name, Text(words))
    console.print()
    console.print(table)
    console.print("\nlook closer:", style="bold")
    for command in (
        f"list --roots {store_option(place.url)}",
        f"show {plan.id} {store_option(place.url)}",
        f"doctor {store_option(place.url)}",
    ):
        console.print(Text(f"  {this_command()} {command}", style="cyan"), soft_wrap=True)
    if wanted.keep or not plan.made:
        console.print(Text(f"  the results are in {safe(plan.job.output)}"), soft_wrap=True)
    else:
        console.print("  the files were made for the demo and are removed now; --keep keeps them", style="dim")


def _recovery_words(story: _Story) -> str:
    assert story.recovery_ms is not None
    rest = story.recovery_ms - story.python_ms
    return (
        f"first progress after {story.recovery_ms:.0f} ms ({story.python_ms:.0f} Python's start, {rest:.0f} wfactors)"
    )


def _as_json(place: Place, plan: Plan, story: _Story, verdict: Verdict, summary: Summary) -> dict[str, Any]:
    return {
        "id": plan.id,
        "store": place.url,
        "output": plan.job.output,
        "files": verdict.files,
        "bytes": verdict.size,
        "bytes_packed": verdict.packed,
        "words": summary.words,
        "calls": verdict.calls,
        "attempts": verdict.attempts,
        "attempts_repeated": verdict.repeated,
        "workers": verdict.owners,
        "kills": story.kills,
        "recovery_ms": None if story.recovery_ms is None else round(story.recovery_ms, 1),
        "python_start_ms": round(story.python_ms, 1),
        "events": verdict.events,
        "commits": verdict.commits,
        "seconds": round(story.seconds, 3),
        "was_continued": not plan.is_new,
        "mistakes": list(verdict.mistakes),
    }
