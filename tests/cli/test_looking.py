"""list, show, export, replay, doctor, migrate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.cli_kit import SHOP, data, run


@pytest.fixture(scope="module")
def done(store: str) -> str:
    """The store, with a workflow of each kind in it."""
    run("start", "parent", "--id", "family", "--wait", "-a", "user=7", "-a", "city=Ulm", "-s", store)
    run("start", "broken", "--id", "bad", "--wait", "-s", store)
    run("start", "nap", "1000", "--id", "asleep", "-s", store)
    run("start", "unheard_of", "--id", "lost", "-s", store)
    return store


def ids(*arguments: str) -> list[str]:
    return [item["id"] for item in data("list", *arguments)["workflows"]]


def test_list_filters(done: str) -> None:
    """By status, workflow, attribute and number."""
    assert ["bad"] == ids("--status", "failed", "-s", done)
    assert ["asleep"] == ids("--workflow", "nap", "-s", done)
    assert ["family"] == ids("--attribute", "user=7", "--attribute", "city=Ulm", "-s", done)
    assert [] == ids("--attribute", "user=8", "-s", done)
    assert [] == ids("--queue", "other", "-s", done)
    assert 5 == data("list", "--limit", "1", "-s", done)["total"]


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_list_shows_ids_and_statuses_at_any_width(done: str, width: str) -> None:
    """Narrow terminals lose columns, not these."""
    output = run("list", "-s", done, COLUMNS=width).stdout
    for words in ("family", "bad", "asleep", "✗ failed", "✓ completed", "● open"):
        assert words in output
    assert max(map(len, output.splitlines())) <= int(width)


def test_show_tells_what_it_waits_for(done: str) -> None:
    """A sleeping workflow shows its timer."""
    output = run("show", "asleep", "-s", done).stdout
    assert "timer 16m 40s" in output
    assert "its clock: wakes" in output


def test_show_tells_history_and_children(done: str) -> None:
    """One line for each call, and the tree below."""
    shown = data("show", "family", "-s", done)
    assert [("child", "total", "done")] == [
        (item["kind"], item["name"], item["outcome"]) for item in shown["history"] if item["kind"] == "child"
    ]
    assert ("completed", 3, []) == (shown["status"], shown["result"], shown["waits_for"])
    assert ["total"] == [child["workflow"] for child in shown["children"]]
    assert "RunCompleted" in run("show", "family", "--events", "-s", done).stdout


def test_show_has_the_traceback_of_a_failure(done: str) -> None:
    """And the attempt that was the last one."""
    output = run("show", "bad", "-s", done).stdout
    assert "✗ failed" in output
    assert "attempt 2: ValueError: no luck" in output


def test_export_replays(done: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the code that made it, also from standard input's file form."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_same.py").write_text(SHOP)
    exported = run("export", "family", "-s", done).stdout
    assert 1 == json.loads(exported)["v"]
    Path("family.json").write_text(exported)
    answer = data("replay", "shop_same.py", "family.json")
    assert [("family", "ok")] == [(item["id"], item["verdict"]) for item in answer["histories"]]


def test_replay_finds_the_difference(done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides, the line, and code 1."""
    monkeypatch.chdir(tmp_path)
    changed = SHOP.replace("return await total([1, 2])", "return await add(1, 2)")
    (tmp_path / "shop_changed.py").write_text(changed)
    result = run("replay", "shop_changed.py", "--id", "family", "--json", "-s", done)
    assert 1 == result.exit_code
    difference = json.loads(result.stdout)["histories"][0]["difference"]
    assert (1, "call 0: child workflow 'total'", "call 0: activity 'add'") == (
        difference["event"],
        difference["history"],
        difference["code"],
    )
    line = changed.splitlines().index("    return await add(1, 2)") + 1
    assert [f"{tmp_path}/shop_changed.py:{line} parent"] == difference["where"]
    text = run("replay", "shop_changed.py", "--id", "family", "-s", done).stdout
    assert "history has:  call 0: child workflow 'total'" in text
    assert '>    1 ["ChildScheduled"' in text
    assert f"{tmp_path}/shop_changed.py:{line} parent\n        return await add(1, 2)\n" in text


def test_replay_takes_a_folder(done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its histories in the order of their names; one without any is refused, since it would pass for ever."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_folder.py").write_text(SHOP)
    (tmp_path / "histories/old").mkdir(parents=True)
    for name in ("b", "a", "old/c"):
        (tmp_path / f"histories/{name}.json").write_text(run("export", "family", "-s", done).stdout)
    answer = data("replay", "shop_folder.py", "histories")
    sources = [(item["source"], item["verdict"]) for item in answer["histories"]]
    assert [("histories/a.json", "ok"), ("histories/b.json", "ok"), ("histories/old/c.json", "ok")] == sources
    (tmp_path / "empty").mkdir()
    refused = run("replay", "shop_folder.py", "empty")
    assert (3, True) == (refused.exit_code, "no history like *.json in empty" in refused.stderr)


def test_replay_of_what_is_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told beside the others, code 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_files.py").write_text(SHOP)
    Path("bad.json").write_text('{"v": 1, "events": [["Nothing", {}]]}')
    Path("empty.json").write_text('{"v": 1, "events": []}')
    result = run("replay", "shop_files.py", "bad.json", "empty.json", "--json")
    assert (1, ["error", "error"]) == (
        result.exit_code,
        [item["verdict"] for item in json.loads(result.stdout)["histories"]],
    )


def test_doctor_finds_what_is_wrong(done: str) -> None:
    """A workflow that no node knows, parked."""
    result = run("doctor", "--json", "-s", done)
    found = {item["subject"]: item for item in json.loads(result.stdout)["checks"] if item["level"] == "problem"}
    assert 1 == result.exit_code
    assert {"parked", "code"} == found.keys()
    assert "unheard_of (1)" in found["code"]["words"]


def test_doctor_names_weak_durability(tmp_path: Path) -> None:
    """A red line where an acknowledged write could be lost."""
    url = f"sqlite:///{tmp_path}/weak.db?synchronous=normal"
    run("migrate", "-s", url)
    result = run("doctor", "--json", "-s", url)
    assert ["durability"] == [
        item["subject"] for item in json.loads(result.stdout)["checks"] if item["level"] == "problem"
    ]


def test_migrate_makes_a_store_and_says_so(tmp_path: Path) -> None:
    """From nothing to the version of this release, and no further."""
    url = f"sqlite:///{tmp_path}/new.db"
    first, second = data("migrate", "-s", url), data("migrate", "-s", url)
    assert None is first["before"]
    assert first["after"] == second["before"] == second["after"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "x"],
        ["export", "x"],
        ["result", "x"],
        ["signal", "x", "y"],
        ["query", "x", "y"],
        ["remove", "x"],
        ["doctor"],
    ],
)
def test_a_missing_file_is_not_made(tmp_path: Path, arguments: list[str]) -> None:
    """A mistyped path is code 5 at once."""
    result = run(*arguments, "--store", f"sqlite:///{tmp_path}/missing.db")
    assert 5 == result.exit_code
    assert "there is no file" in result.output
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite://[x", "nonsense", "memory://", "mysql://host/x", ""])
@pytest.mark.parametrize("command", [["list"], ["start", "x"], ["migrate"]], ids=" ".join)
def test_a_url_that_makes_no_sense(command: list[str], url: str) -> None:
    """Code 2, with what would."""
    result = run(*command, "--store", url)
    assert (2, "") == (result.exit_code, result.stdout)
    assert "error: " in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_the_file_that_is_looked_for_is_the_one_that_is_opened(tmp_path: Path) -> None:
    """A line end in its name is one: nothing is made where another file has the rest of the name."""
    run("migrate", "-s", f"sqlite:///{tmp_path}/shop.db")
    result = run("list", "-s", f"sqlite:///{tmp_path}/sh\nop.db")
    assert 5 == result.exit_code
    assert "sh\\x0aop.db" in result.stderr
    assert ["shop.db"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["start", "x"], ["migrate"], ["doctor"], ["demo"]])
def test_an_option_of_a_store_that_makes_no_sense(tmp_path: Path, command: list[str]) -> None:
    """The same for a store that is there."""
    run("migrate", "-s", f"sqlite:///{tmp_path}/shop.db")
    result = run(*command, "--store", f"sqlite:///{tmp_path}/shop.db?synchronous=off")
    assert 2 == result.exit_code
    # The table of doctor breaks lines, where it does depends on the length of the path.
    assert "synchronous must be one of normal, full, extra, not 'off'" in " ".join(result.output.split())


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    """Code 5."""
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be looked at" * 40)
    assert 5 == run("list", "--store", f"sqlite:///{tmp_path}/text.db").exit_code


def test_the_version() -> None:
    """The one of the package."""
    from wfactors import __version__  # noqa: PLC0415  As a user would look.

    assert f"wfactors {__version__}\n" == run("--version").stdout
