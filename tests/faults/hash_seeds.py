"""``python -m tests.faults.hash_seeds record|replay FOLDER SEED``: what workflows decide in a process, to compare.

``record`` runs the examples and tells the fresh stories, and keeps the histories. ``replay`` runs the examples for the
applications they make, replays what was kept with them, and prints a line for each history: the digest of all that the
code has issued, byte for byte (what a codec encrypts, before it is encrypted).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec

import wfactors as wf
from tests.faults import fresh
from tests.faults.fresh_workflows import fetch
from tests.kernel.story import Story
from tests.test_histories import PATHS as RECORDED
from tests.test_histories import read
from wfactors.actors import loader
from wfactors.actors.loader import turns_of
from wfactors.convert import EncryptionCodec
from wfactors.kernel import replay as kernel_replay
from wfactors.kernel.decisions import _PAYLOADS, is_same
from wfactors.kernel.run import Run
from wfactors.model.events import Event, RunStarted
from wfactors.model.payloads import Payload
from wfactors.model.wire import decode_events, encode_event, encode_events
from wfactors.workflow import Application, open_run

EXAMPLES = Path(__file__).parents[2] / "examples"
# Those in folders run their workflows in processes of their own.
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
FRESH_OF_EACH = 10


@attrs.frozen
class Place:
    """Where a history was made; a file's name."""

    program: str
    workflow: str
    instance: str
    run: int
    queue: str

    @property
    def name(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@wf.workflow
async def careless() -> None:
    """What depends on the hash seed, so that it can be seen that nothing else does."""
    wanted = {"salt", "rice", "tea", "figs", "silk", "zinc", "wax", "oil"}
    await wf.gather(*[fetch(name) for name in wanted])


# --- Watching --------------------------------------------------------------------------------------------------------


class Watch:
    """The runs of this process: their applications, and what was fed to them with what they decided."""

    def __init__(self) -> None:
        self.program = ""
        self.applications: dict[tuple[str, str], Application] = {}
        self.histories: dict[Place, list[Event]] = {}
        self._places: dict[Run, Place] = {}

    def open_run(self, app: Application, definition: Any, **more: Any) -> Run:
        run = open_run(app, definition, **more)
        place = Place(self.program, definition.name, more["instance"], more["run"], more["queue"])
        self.applications[place.program, place.workflow] = app
        self.histories[place] = []
        self._places[run] = place
        return run

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        begin, go_on = Run.begin, Run.go_on

        def begun(run: Run, fact: Any, recorded: Any = None) -> list[Any] | None:
            if run in self._places:
                self.histories[self._places[run]].append(fact)
            return begin(run, fact, recorded)

        def gone_on(run: Run) -> list[Any] | None:
            decisions = go_on(run)
            if run in self._places:
                self.histories[self._places[run]] += decisions or ()
            return decisions

        loader.open_run, Run.begin, Run.go_on = self.open_run, begun, gone_on  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            loader.open_run, Run.begin, Run.go_on = open_run, begin, go_on  # type: ignore[method-assign]

    def run_examples(self) -> None:
        """Run each as its author does; what it prints is not of interest here."""
        EncryptionCodec.generate_key = staticmethod(lambda: b"k" * 32)  # type: ignore[method-assign]
        with self.on():
            for program in PROGRAMS:
                self.program = program.name
                sys.argv = [str(program)]
                with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                    runpy.run_path(str(program), run_name="__main__")


# --- Replaying -------------------------------------------------------------------------------------------------------


def issued_in_replay(app: Application, place: Place, told: list[Event]) -> bytes:
    """All that the code issues when the history is fed to it; NonDeterminismError if that is not what it holds."""
    issued: list[bytes] = []

    def compared(recorded: Any, decision: Any, plain: Any = None) -> bool:
        issued.append(encode_event(_in_the_clear(app, decision)))
        return is_same(recorded, decision, plain)

    kernel_replay.is_same = compared
    definition = app.registry.workflow(place.workflow)
    run = open_run(app, definition, instance=place.instance, run=place.run, queue=place.queue, is_strict=True)
    try:
        for fact, decisions in turns_of(told):
            issued += [type(decision).__name__.encode() for decision in run.feed(fact, decisions)]
    finally:
        run.close()
        kernel_replay.is_same = is_same
    return b"\n".join(issued)


def _in_the_clear(app: Application, decision: Any) -> Any:
    field = _PAYLOADS.get(type(decision))
    if field is not None:
        decision = attrs.evolve(decision, **{field: Payload(app.data.plain(getattr(decision, field)))})
    if getattr(decision, "failure", None) is not None:
        decision = attrs.evolve(decision, failure=app.data.reveal(decision.failure))
    return decision


# --- The command -----------------------------------------------------------------------------------------------------


def record(folder: Path, seed: str) -> None:
    watch = Watch()
    watch.run_examples()
    for number, told in enumerate(fresh.histories(seed, FRESH_OF_EACH)):
        assert isinstance(told[0], RunStarted)
        watch.histories[Place("", told[0].workflow, "key", 1, f"home/{number}")] = told
    for place, told in watch.histories.items():
        if told:
            data = msgspec.json.encode({"place": attrs.asdict(place), "history": msgspec.Raw(encode_events(told))})
            (folder / f"{place.name}.json").write_bytes(data)


def replay(folder: Path, seed: str) -> None:
    watch = Watch()
    watch.run_examples()
    own = fresh.application()
    for path in sorted(folder.glob("*.json")):
        fields = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
        place = Place(**msgspec.json.decode(fields["place"]))
        app = watch.applications[place.program, place.workflow] if place.program else own
        digest = hashlib.sha256(issued_in_replay(app, place, decode_events(bytes(fields["history"])))).hexdigest()
        print(place.program or "fresh", place.workflow, path.stem, digest)
    for path in RECORDED:
        workflow, told = read(path)
        digest = hashlib.sha256(issued_in_replay(own, Place("", workflow, "key", 1, "home"), told)).hexdigest()
        print("recorded", workflow, path.stem, digest)
    for number, told in enumerate(fresh.histories(seed, FRESH_OF_EACH)):
        print("live", told[0].workflow, number, hashlib.sha256(encode_events(told)).hexdigest())  # type: ignore[union-attr]
    story = Story(careless).start()
    print("careless", *[bytes(decision.input) for decision in story.decisions])  # type: ignore[union-attr]
    story.run.close()


if __name__ == "__main__":
    {"record": record, "replay": replay}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
