"""wfactors run: readiness, an ordered end, an immediate one, and a killed one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.cli_kit import SHOP, data, node, node_line, process, read_all, read_until, run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_the_readiness_line(own: Path) -> None:
    """It says who serves what."""
    with node(own, "--queue", "a", "-q", "b", "--code-version", "v7") as (_, ready):
        assert ["a", "b"] == ready["queues"]
        assert {"total", "broken"} <= set(ready["workflows"])
        assert f"sqlite:///{own}/shop.db" == ready["store"]
        checks = data("doctor", "-s", ready["store"])["checks"]
    assert "code v7" in next(item["words"] for item in checks if item["subject"] == "node")


TELEMETRY = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

import wfactors as wf
from wfactors.telemetry import IdGenerator

class Written(SpanExporter):
    def export(self, spans):
        with open("spans", "a") as file:
            file.writelines(f"{span.name}\\n" for span in spans)

provider = TracerProvider(id_generator=IdGenerator())
provider.add_span_processor(SimpleSpanProcessor(Written()))
good = wf.Telemetry(provider)
bad = wf.Telemetry(TracerProvider())
"""


def test_a_node_with_telemetry(own: Path) -> None:
    """It reports to what a module of the user's has set up; what it cannot use it refuses."""
    (own / "reporting.py").write_text(TELEMETRY)
    with node(own, "--telemetry", "reporting:good") as (started, ready):
        assert 0 == run("start", "total", "[1, 2]", "--wait", "-s", ready["store"]).exit_code
        started.terminate()
        started.communicate(timeout=30)
    assert "workflow total" in (own / "spans").read_text().splitlines()
    with process("run", "shop.py", "-s", ready["store"], "--telemetry", "reporting:bad", cwd=own) as refused:
        _, errors = refused.communicate(timeout=30)
    assert 2 == refused.returncode
    assert "the tracer provider cannot be used" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(own: Path, number: signal.Signals) -> None:
    """Code 0, and the store forgets the node."""
    with node(own) as (started, ready):
        started.send_signal(number)
        output, errors = started.communicate(timeout=30)
        assert (0, "stopped") == (started.returncode, json.loads(output)["event"])
        assert f"{number.name}: stopping" in errors
        assert [] == [
            item
            for item in data("doctor", "-s", ready["store"])["checks"]
            if item["subject"] == "node" and "queues" in item["words"]
        ]


def test_a_second_signal_ends_it_at_once(own: Path) -> None:
    """Though an activity would have its grace period."""
    with node(own, "--grace", "1h") as (started, ready):
        run("start", "blocked", "-s", ready["store"])
        read_until(started.stdout, "blocking")
        started.terminate()
        read_until(started.stderr, "SIGTERM: stopping")
        started.terminate()
        started.communicate(timeout=30)
        assert 128 + signal.SIGTERM == started.returncode


def test_after_kill_9_the_next_node_goes_on(own: Path) -> None:
    """What was open goes on, the killed attempt is handed out again."""
    with node(own) as (started, ready):
        run("start", "blocked", "--id", "torn", "-s", ready["store"])
        run("start", "nap", "0.2", "--id", "nap", "-s", ready["store"])
        read_until(started.stdout, "blocking")
        started.kill()
    with process(*node_line(own), cwd=own) as second:
        # It may go on before it has said that it is ready.
        read_all(second.stdout, "ready", "blocking")
        assert "awake" == data("result", "nap", "-s", ready["store"])["result"]
        pending = data("show", "torn", "-s", ready["store"])["pending_activities"]
        assert [("block", 2)] == [(task["activity"], task["attempt"]) for task in pending]


def test_it_ends_with_its_standard_input(own: Path) -> None:
    """When whoever started it is gone."""
    with node(own, "--exit-with-stdin") as (started, _):
        started.stdin.close()
        assert 0 == started.wait(timeout=30)


def test_what_it_reads_there_is_left_alone(own: Path) -> None:
    """Only the end of standard input says something."""
    with node(own, "--exit-with-stdin") as (started, ready):
        started.stdin.write("anything\n")
        started.stdin.flush()
        run("start", "total", "[1, 2]", "--id", "sum", "-s", ready["store"])
        assert 3 == data("result", "sum", "-s", ready["store"])["result"]
        output, _ = started.communicate(timeout=30)
        assert (0, "stopped") == (started.returncode, json.loads(output)["event"])


def test_its_limits_and_its_promise(own: Path) -> None:
    """No activities here; and a note that a power cut may cost the last commits."""
    url = f"sqlite:///{own}/weak.db?synchronous=normal"
    with process("run", "shop.py", "-s", url, "--activities", "0", "--threads", "2", cwd=own) as started:
        assert "ready: 7 workflows and 3 activities of shop.py on sqlite:///" in read_until(started.stdout, "ready")
        run("start", "total", "[1]", "--id", "sum", "-s", url)
        # One of the node's own would be its from the start.
        while not (pending := data("show", "sum", "-s", url)["pending_activities"]):
            assert None is started.poll()
        assert [None] == [task["node"] for task in pending]
        started.terminate()
        output, errors = started.communicate(timeout=30)
    assert (0, "stopped: everything is in the store\n") == (started.returncode, output)
    assert "a power failure may lose the last commits: use synchronous=full" in errors


def test_it_goes_on_without_a_reader(own: Path) -> None:
    """Whoever read its readiness line may go; the end is in order all the same."""
    url = f"sqlite:///{own}/shop.db"
    with process("run", "shop.py", "-s", url, cwd=own) as started:
        started.stdout.close()
        run("start", "total", "[1, 2]", "--id", "sum", "-s", url)
        assert 3 == data("result", "sum", "--timeout", "30s", "-s", url)["result"]
        started.terminate()
        assert 0 == started.wait(timeout=30)
        assert "Traceback" not in started.stderr.read()


def test_an_option_that_the_engine_refuses(own: Path) -> None:
    """Code 2, and why."""
    with process("run", "shop.py", "-s", f"sqlite:///{own}/shop.db", "--lease", "0", cwd=own) as started:
        _, errors = started.communicate(timeout=30)
    assert (2, "error: lease must be positive, not 0.0\n") == (started.returncode, errors)


def test_a_log_level_that_is_none() -> None:
    """Code 2, and which ones there are."""
    result = run("run", "shop.py", "--log-level", "loud")
    assert 2 == result.exit_code
    assert "--log-level is one of debug, info, warning, error" in " ".join(result.stderr.split())


def test_an_attribute_of_the_module(own: Path) -> None:
    """Only what is in that list is served; see ``test_loading`` for what else can be named."""
    line = ("run", "shop:registered", "--store", f"sqlite:///{own}/shop.db", "--json")
    with process(*line, cwd=own) as started:
        assert ["total"] == json.loads(read_until(started.stdout, "ready"))["workflows"]


def test_a_module_that_cannot_be_imported(own: Path) -> None:
    """Its error in one sentence, with the line."""
    (own / "wrong.py").write_text("x = 1\ny = 1 / 0\n")
    with process("run", "wrong.py", "--store", f"sqlite:///{own}/shop.db", cwd=own) as started:
        _, errors = started.communicate(timeout=30)
    assert 2 == started.returncode
    assert "wrong cannot be imported: ZeroDivisionError" in errors
    assert "wrong.py:2" in errors
    assert "Traceback" not in errors
