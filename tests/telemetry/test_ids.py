"""The generator that gives wfactors' spans their ids, and leaves all others alone."""

from __future__ import annotations

import threading

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator as AnyIdGenerator

from wfactors.telemetry import IdGenerator


class Counting(AnyIdGenerator):
    """1, 2, 3 ... for both kinds."""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    generate_trace_id = generate_span_id


def test_a_chosen_id_serves_once() -> None:
    """The next span has ids of the other generator."""
    ids = IdGenerator(Counting())
    ids.choose(77, 88)
    assert [77, 88, 1, 2] == [
        ids.generate_trace_id(),
        ids.generate_span_id(),
        ids.generate_trace_id(),
        ids.generate_span_id(),
    ]


def test_a_choice_is_for_one_thread() -> None:
    """Spans that other threads start meanwhile have ids of their own."""
    ids = IdGenerator(Counting())
    ids.choose(77, 88)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend([ids.generate_trace_id(), ids.generate_span_id()]))
    thread.start()
    thread.join()
    assert [1, 2, 77] == [*found, ids.generate_trace_id()]


def test_spans_of_others_are_random() -> None:
    """As if the generator was not there."""
    tracer = TracerProvider(id_generator=IdGenerator(), shutdown_on_exit=False).get_tracer("tests")
    contexts = [tracer.start_span("any").get_span_context() for _ in range(100)]
    assert 100 == len({it.trace_id for it in contexts}) == len({it.span_id for it in contexts})


def test_whether_ids_are_random_is_what_the_other_generator_says() -> None:
    """OpenTelemetry writes it into the flags of a trace."""

    class Random(Counting):
        def is_trace_id_random(self) -> bool:
            return True

    assert [True, False] == [IdGenerator(others).is_trace_id_random() for others in (Random(), Counting())]
