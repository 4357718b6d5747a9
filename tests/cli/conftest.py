"""A shop with a running node, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_kit import SHOP, node
from tests.cli.leftovers import leave


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shop's code."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(SHOP)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[str]:
    """The URL of a store that a node serves."""
    with node(folder) as (started, ready):
        yield ready["store"]
        started.terminate()
        started.communicate(timeout=30)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store that its node has left; see ``leftovers``."""
    url = f"sqlite:///{tmp_path_factory.mktemp('left')}/left.db"
    leave(url)
    return url
