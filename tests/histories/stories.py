"""How the recorded histories came about. ``python -m tests.histories.stories`` writes those that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.histories import workflows
from tests.kernel.story import Story, boom, close_all
from wfactors.model.wire import encode_events

FOLDER = Path(__file__).parent


def checkout_approved() -> Story:
    story = Story(workflows.checkout).start("visa", ["hat", "shoe"]).completed(2, "receipt-1").signal("approve", True)
    return story.completed(4, "shoe").completed(3, "hat").after(10).timer(2)


def checkout_declined() -> Story:
    story = Story(workflows.checkout)
    declined = story.application.data.failure_from_exception(workflows.Declined("no funds"), (workflows.Declined,))
    story.start("visa", ["hat"]).failed(2, declined, attempt=2).after(4000).timer(0).completed(3, "hat")
    return story.after(10).timer(2)


def family_of_three() -> Story:
    story = Story(workflows.family).start(1).child_started(0).child_completed(0, "first")
    story.child_started(1).accepted(2).after(20).timer(0).stopped(3).after(20).timer(1).after(20).timer(2)
    story.child_failed(5, boom("slow", "wfactors.errors.Cancelled", kind="cancelled"))
    return story.child_failed(1, boom("late", "wfactors.errors.Cancelled", kind="cancelled")).refused(6, "not_found")


def counter_continued() -> Story:
    story = Story(workflows.counter).start(1).signal("later", {"x": 1}).update("add", -5, id="u1")
    return story.update("add", 4, id="u2").completed(0, "4").update("add", 7, id="u3").stopped(1)


def tidy_cancelled() -> Story:
    return Story(workflows.tidy).start().cancel("closing time").completed(0, "back")


def tidy_terminated() -> Story:
    return Story(workflows.tidy).start().terminate()


def broken_by_a_deadline() -> Story:
    return Story(workflows.broken).start("visa").failed(0, boom("late", kind="timeout"), deadline="start_to_close")


STORIES: list[Callable[[], Story]] = [
    checkout_approved,
    checkout_declined,
    family_of_three,
    counter_continued,
    tidy_cancelled,
    tidy_terminated,
    broken_by_a_deadline,
]


def record() -> None:
    for tell in STORIES:
        path = FOLDER / f"{tell.__name__}.json"
        if path.exists():
            continue
        story = tell()
        events = [event for fact, decisions in story.turns for event in (fact, *decisions)]
        history = {"workflow": story.workflow.name, "history": json.loads(encode_events(events))}
        # Tracebacks name files: as they are called in the repository, not on this machine.
        text = json.dumps(history, indent=1).replace(f"{FOLDER.parents[1]}/", "")
        path.write_text(f"{text}\n", encoding="utf-8")
        print(f"{path.name}: {len(events)} events")
    close_all()


if __name__ == "__main__":
    record()
