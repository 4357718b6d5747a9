"""The reference, from the docstrings of all public names: ``python -m tests.reference`` writes it.

A docstring is the contract of its name; so the pages only bring them into an order in which they are looked for.
"""

from __future__ import annotations

import enum
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import wfactors
from wfactors import errors

__all__ = ["FOLDER", "PAGES", "pages"]

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

PAGES = {
    "engine": (
        "Engines, clients and stores",
        ("actors", "client", "stores", "telemetry", "model.limits", "model.status"),
    ),
    "workflows": ("In a workflow", ("workflow", "registry", "kernel")),
    "activities": ("Activities", ("activity", "model.options", "model.failures")),
    "payloads": ("Payloads", ("convert",)),
    "errors": ("Errors", ("errors",)),
}
"""File name to title, and the modules whose names it has: each name of ``wfactors`` is on one page."""

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
_ENTRY = re.compile(r"(\S[^:]*): (.*)")


def pages() -> dict[str, str]:
    """The text of each page by file name."""
    names: dict[str, list[str]] = {page: [] for page in PAGES}
    for name in sorted(wfactors.__all__, key=lambda name: (name.lower(), name)):
        if name != "__version__":
            names[_page_of(name)].append(name)
    return {f"{page}.md": _page(title, names[page], page) for page, (title, _) in PAGES.items()}


def _page_of(name: str) -> str:
    home = getattr(wfactors, name).__module__.removeprefix("wfactors.") + "."
    (page,) = (page for page, (_, homes) in PAGES.items() if any(home.startswith(f"{each}.") for each in homes))
    return page


def _page(title: str, names: list[str], page: str) -> str:
    parts = [f"# {title}", "Written by `python -m tests.reference` from the docstrings. `import wfactors as wf`."]
    if page == "errors":
        parts += [_markdown(inspect.getdoc(errors) or "")]
    for name in names:
        parts += _entry(f"wf.{name}", getattr(wfactors, name), "##")
    return "\n\n".join(parts) + "\n"


def _entry(name: str, value: Any, heading: str) -> list[str]:
    parts = [f"{heading} `{name}`"]
    is_error = inspect.isclass(value) and issubclass(value, BaseException)
    if is_error:
        parts.append(f"Derives from {', '.join(f'`{base.__name__}`' for base in value.__bases__)}.")
    elif callable(value) and not (inspect.isclass(value) and issubclass(value, enum.Enum)):
        parts.append(_signature(name, value))
    parts.append(_markdown(inspect.getdoc(value) or ""))
    if inspect.isclass(value) and not is_error:
        if issubclass(value, enum.Enum):
            parts.append("\n".join(f"* `{member.name}`: `{member.value!r}`" for member in value))
        for each, member in vars(value).items():
            if not each.startswith("_") and (inspect.isfunction(member) or isinstance(member, property | classmethod)):
                of_class = getattr(value, each) if isinstance(member, classmethod) else member
                parts += _entry(f"{name.removeprefix('wf.')}.{each}", of_class, "###")
    return parts


def _signature(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    shown = [
        each.replace(annotation=_annotation(each.annotation), default=_shown(each.default))
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    result = inspect.Signature.empty if inspect.isclass(value) else _annotation(signature.return_annotation)
    call = f"{name}{inspect.Signature(shown, return_annotation=result)}"
    is_async = inspect.iscoroutinefunction(value)
    return "\n".join(["```text", *textwrap.wrap(f"{'await ' * is_async}{call}", 116, subsequent_indent="    "), "```"])


class _Words:
    """Text that ``inspect`` shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _annotation(value: Any) -> Any:
    return _Words(value) if isinstance(value, str) else _shown(value)


def _shown(value: Any) -> Any:
    """A default as a reader would write it."""
    if value is inspect.Parameter.empty:
        return value
    if isinstance(value, enum.Enum):
        return _Words(repr(value.value))
    text = getattr(value, "__name__", repr(value))
    return _Words("..." if " object at 0x" in text or text == "NOTHING" else text)


def _markdown(text: str) -> str:
    """A docstring as Markdown: its sections become lists, its literal blocks stay what they are."""
    lines: list[str] = []
    section = False
    for line in text.splitlines():
        if _SECTION.fullmatch(line):
            lines += [f"**{line[:-1]}**", ""]
            section = True
        elif section and (entry := _ENTRY.fullmatch(line.removeprefix("    "))) and not line.startswith("     "):
            lines.append(f"* `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            section = section and not line
            lines.append("" if line == "::" else line.removesuffix(":") if line.endswith("::") else line)
    return "\n".join(lines).replace("``", "`")


if __name__ == "__main__":
    for file, page in pages().items():
        (FOLDER / file).write_text(page, encoding="utf-8")
    sys.stdout.write(f"{len(PAGES)} pages written to {FOLDER}\n")
