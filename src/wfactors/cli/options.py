"""Options that commands share, and how their texts become values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from wfactors.cli.text import parsed_duration

__all__ = [
    "Globals",
    "Id",
    "Json",
    "JsonArguments",
    "Partitions",
    "PayloadsOption",
    "StoreUrl",
    "Timeout",
    "arguments_of",
    "attributes_of",
    "globals_of",
    "json_of",
    "seconds_of",
]

STORE_VARIABLE = "WFACTORS_STORE"
PAYLOADS_VARIABLE = "WFACTORS_PAYLOADS"

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="URL",
        help=f"Where the workflows are: sqlite:///shop.db, sqlite:////absolute.db. Default: ${STORE_VARIABLE}.",
        show_default=False,
    ),
]
PayloadsOption = Annotated[
    str | None,
    typer.Option(
        "--payloads",
        metavar="MODULE:ATTRIBUTE",
        help="How values are stored: a dict with the converter, codecs and retired_codecs of open_engine, or what "
        f"returns one. Default: ${PAYLOADS_VARIABLE}.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, with stable field names, to standard output.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the workflow, as wfactors list shows it, or its instance key.")
]
JsonArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARGS_JSON", help="""The arguments, each one JSON: 42, '"text"', '{"a": [1, 2]}'."""),
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", "-t", metavar="TIME", help="Give up (exit code 124) after this: 30s, 5m.")
]
Partitions = Annotated[
    int, typer.Option(min=1, help="Of each queue; every process on a store must be given the same number.")
]


@attrs.frozen
class Globals:
    """What was said before the name of the command.

    Attributes:
        store: The URL; None if nobody gave one.
        json: Whether JSON is wanted.
        payloads: Where converter and codecs are found; None if nobody said.
    """

    store: str | None = None
    json: bool = False
    payloads: str | None = None


def globals_of(context: typer.Context, store: str | None, *, json: bool) -> Globals:
    """The options of a command, with those before its name where it has none of its own."""
    outer = context.obj if isinstance(context.obj, Globals) else Globals()
    return Globals(store or outer.store, json or outer.json, outer.payloads)


def json_of(text: str, what: str) -> Any:
    """A value given as JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        quoted = json.dumps(text, ensure_ascii=False)
        hint = "" if text.startswith(("{", "[", '"', "-")) else f"; a text is written with its quotes: '{quoted}'"
        raise typer.BadParameter(f"{what} is not JSON ({error.msg}){hint}") from None


def arguments_of(texts: Sequence[str] | None) -> list[Any]:
    """What ``JsonArguments`` were given as JSON."""
    return [json_of(text, f"argument {number}") for number, text in enumerate(texts or [], 1)]


def attributes_of(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Attributes given as NAME=VALUE; a value that is not JSON is a text."""
    if not pairs:
        return None
    found: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not name or not separator:
            raise typer.BadParameter(f"an attribute is written NAME=VALUE, not {pair!r}")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def seconds_of(text: str | None, what: str) -> float | None:
    """Seconds of a duration given as text."""
    if text is None:
        return None
    try:
        return parsed_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{what}: {error}") from None


def readable_file(path: Path) -> str:
    """The text of a file; a usage error if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
