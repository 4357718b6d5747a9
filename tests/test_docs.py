"""The Python in the README and in docs/ runs, and prints what the page says.

The ``python`` blocks of a page are one program, in their order, run in an empty folder by a fresh interpreter in which
warnings are errors. An ``output`` block after a ``python`` block is what that block prints, to the letter. A block
``python file=NAME`` is written to that file of the folder instead, for the blocks after it to import.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
MARK = "\x1e"


@attrs.frozen
class Block:
    """A fenced block of a page; ``line`` is where its body begins."""

    kind: str
    file: str | None
    body: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page that this file knows, in their order."""
    found = []
    for match in FENCE.finditer(text):
        kind, _, rest = match["info"].strip().partition(" ")
        if kind in {"python", "output"}:
            file = re.fullmatch(r"file=(\S+)", rest.strip())
            assert file or not rest.strip(), f"what does {match['info']!r} mean?"
            line = text.count("\n", 0, match.start("body")) + 1
            found.append(Block(kind, file[1] if file else None, match["body"], line))
    return found


def program_of(blocks: list[Block]) -> str:
    """One program with every block at the lines it has on the page, so that a traceback points there."""
    lines: list[str] = []
    for block in blocks:
        if block.kind == "python" and block.file is None:
            lines += [""] * (block.line - 1 - len(lines))
            lines += [*block.body.splitlines(), f"print({MARK!r}, end='', flush=True)"]
    return "\n".join(lines) + "\n"


def expected_outputs(blocks: list[Block]) -> list[str | None]:
    """For each block that runs, what the page says it prints; None where it says nothing."""
    expected: list[str | None] = []
    for block in blocks:
        if block.kind == "python" and block.file is None:
            expected.append(None)
        elif block.kind == "output":
            assert expected, f"line {block.line}: output of nothing"
            assert expected[-1] is None, f"line {block.line}: a second output of one block"
            expected[-1] = block.body
    return expected


def run_page(page: Path, folder: Path) -> None:
    """Run a page in an empty folder; raise AssertionError where it does not do what it says."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    for block in blocks:
        if block.file is not None:
            (folder / block.file).write_text(block.body, encoding="utf-8")
    program = folder / f"{page.stem}_md.py"
    program.write_text(program_of(blocks), encoding="utf-8")
    command = [sys.executable, "-W", "error", program.name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"{page.name}, at the line of the page:\n{result.stderr}"
    printed = result.stdout.split(MARK)
    for expected, actual in zip(expected_outputs(blocks), printed, strict=False):
        assert expected is None or expected == actual
    assert result.stderr == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "page",
    [
        "```python\nprint(1)\n```\n\n```output\n2\n```\n",
        "```python\n1 / 0\n```\n",
        "```python\nimport warnings\nwarnings.warn('old', DeprecationWarning)\n```\n",
        "```python\nprint(1)\n```\n```output\n1\n```\n```python\nimport sys\nsys.exit(3)\n```\n",
    ],
    ids=["other output", "an error", "a warning", "an exit"],
)
def test_a_page_that_is_wrong_is_noticed(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page)
    with pytest.raises(AssertionError):
        run_page(tmp_path / "page.md", tmp_path)


def test_blocks_of_a_page_share_names_and_files(tmp_path: Path) -> None:
    page = "```python file=shop.py\nprice = 7\n```\n```python\nimport shop\n```\n```python\nprint(shop.price)\n```\n"
    (tmp_path / "page.md").write_text(page + "```output\n7\n```\n")
    run_page(tmp_path / "page.md", tmp_path)
