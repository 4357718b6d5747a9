"""Addresses of stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wfactors.stores.memory import MemoryStore
from wfactors.stores.sqlite import SqliteStore
from wfactors.stores.url import open_store_from_url

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.db", "shop.db"),
        ("sqlite:////var/lib/shop.db", "/var/lib/shop.db"),
        ("sqlite:///a%20folder/shop%3F.db", "a folder/shop?.db"),
        ("sqlite:////tmp/q%23frag.db", "/tmp/q#frag.db"),
        ("sqlite:///50%25.db", "50%.db"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, path: str) -> None:
    store = open_store_from_url(url)
    assert isinstance(store, SqliteStore)
    assert store.path == path
    assert store.url == url


def test_a_sign_that_no_url_has_is_not_dropped() -> None:
    """A tab in the name of the file is one."""
    store = open_store_from_url("SQLite:///a\tb.db")
    assert isinstance(store, SqliteStore)
    assert ("a\tb.db", "sqlite:///a%09b.db") == (store.path, store.url)


def test_memory() -> None:
    assert isinstance(open_store_from_url("memory://"), MemoryStore)


async def test_options_follow_a_question_mark(tmp_path: Path) -> None:
    store = open_store_from_url(f"sqlite:///{tmp_path}/shop.db?synchronous=normal&busy_seconds=1.5&max_page_count=100")
    async with store.open():
        assert store.durability().level == "process"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://localhost", r"wfactors\[redis\]"),
        ("mysql://localhost/x", r"wfactors\[mysql\]"),
        ("postgresql://localhost/x", r"wfactors\[postgres\]"),
        ("shop.db", "not the URL of a store"),
        ("", "not the URL of a store"),
        ("sqlite://shop.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///shop.db?colour=blue", "no option is called 'colour'; there are synchronous"),
        ("sqlite:///shop.db?busy_seconds=long", "busy_seconds: could not convert"),
        ("sqlite:///shop.db?synchronous=off", r"'sqlite:///shop.db\?synchronous=off': synchronous must be one of"),
        ("sqlite:///shop.db?synchronous=FULL", "synchronous must be one of"),
        ("sqlite:///shop.db?synchronous=", "synchronous must be one of"),
        ("sqlite:///shop.db?busy_seconds=-1", "busy_seconds must be from 0"),
        ("sqlite:///shop.db?busy_seconds=nan", "busy_seconds must be from 0"),
        ("sqlite:///shop.db?poll_idle_seconds=inf", "poll_idle_seconds must be from 0.001"),
        ("sqlite:///shop.db?max_page_count=0", "max_page_count must be from 1"),
        ("sqlite:///shop.db?busy_seconds=1&busy_seconds=2", "busy_seconds is given twice"),
        ("sqlite:////tmp/q#frag.db", "write %23 for a # in the name of a file"),
        ("sqlite:///shop.db#", "write %23 for a #"),
        ("sqlite:///what?.db", "no option is called '.db'; there are .*; write %3F for a [?] in the name of a file"),
        ("sqlite:///shop.db?", "no option follows the question mark; write %3F for a [?] in the name of a file"),
        ("sqlite:///shop%FF.db", "not the UTF-8"),
        ("memory://shop", "memory:// has nothing behind it"),
    ],
)
def test_what_names_no_store_is_told_what_would(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_store_from_url(url)
