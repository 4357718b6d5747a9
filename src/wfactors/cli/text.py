"""What is written for people: names that cannot harm a terminal, durations and times that can be read at a glance.

An id may hold anything: control characters that would move the cursor, marks that turn the reading direction, line
ends. ``safe`` writes those as escapes, and the backslash as two, so that what is shown names one id only; ``unescaped``
reads it back. So whatever ``wfactors list`` shows can be pasted after ``wfactors show``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

__all__ = [
    "ago",
    "clock",
    "duration",
    "iso",
    "middle_cut",
    "parsed_duration",
    "plural",
    "safe",
    "shortened",
    "size",
    "unescaped",
]

# Control, format (bidirectional marks, zero width), surrogate, private, unassigned; separators that are not the space.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_ZERO_WIDTH_JOINER = "\u200d"
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MINUTES_SHOWN_AS_SECONDS = 2
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_KIBI = 1024
_BYTE, _LONG = 0x100, 0x10000


def safe(text: str, *, keep_lines: bool = False) -> str:
    """The text with everything that a terminal would obey, or that cannot be seen, as an escape.

    Args:
        text: Anything.
        keep_lines: Leave line ends, tabs and backslashes as they are: for messages rather than for names.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_safe_characters(text, keep_lines=keep_lines))


def _safe_characters(text: str, *, keep_lines: bool) -> Iterator[str]:
    for index, character in enumerate(text):
        if character == "\\":
            yield character if keep_lines else "\\\\"
        elif (keep_lines and character in "\n\t") or (character == _ZERO_WIDTH_JOINER and _joins_pictures(text, index)):
            yield character
        elif character != " " and unicodedata.category(character) in _HARMFUL:
            code = ord(character)
            yield f"\\x{code:02x}" if code < _BYTE else f"\\u{code:04x}" if code < _LONG else f"\\U{code:08x}"
        else:
            yield character


def _joins_pictures(text: str, index: int) -> bool:
    neighbours = text[max(index - 1, 0) : index] + text[index + 1 : index + 2]
    return len(neighbours) == 2 and all(unicodedata.category(it) in {"So", "Sk", "Mn"} for it in neighbours)  # noqa: PLR2004


def unescaped(text: str) -> str:
    """The reverse of ``safe``; what is no escape stays as it is."""

    def character(match: re.Match[str]) -> str:
        code = match[1]
        return "\\" if code == "\\" else chr(int(code[1:], 16))

    try:
        return _ESCAPE.sub(character, text)
    except (ValueError, OverflowError):
        return text


def shortened(text: str, length: int) -> str:
    """At most ``length`` characters of the text, the last one an ellipsis if some are left out."""
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def middle_cut(text: str, length: int) -> str:
    """At most ``length`` characters of the text, its beginning and its end."""
    if len(text) <= length:
        return text
    end = max((length - 1) // 2, 0)
    return f"{text[: max(length - 1 - end, 0)]}…{text[len(text) - end :]}"


def plural(count: int, word: str, words: str = "") -> str:
    """``"1 file"``, ``"2,000 files"``."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def size(count: float) -> str:
    """Bytes for people: ``"17 B"``, ``"4.2 KiB"``."""
    if count < _KIBI:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _KIBI
        if count < _KIBI:
            return f"{count:.1f} {unit}"
    return f"{count / _KIBI:,.1f} TiB"


def duration(seconds: float) -> str:
    """A time for people: ``"3 ms"``, ``"4.2 s"``, ``"3m 20s"``, ``"2d 4h"``."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < _MINUTE * _MINUTES_SHOWN_AS_SECONDS:
        return f"{sign}{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{sign}{seconds // _MINUTE:.0f}m {seconds % _MINUTE:.0f}s"
    if seconds < _DAY:
        return f"{sign}{seconds // _HOUR:.0f}h {seconds % _HOUR // _MINUTE:.0f}m"
    return f"{sign}{seconds // _DAY:,.0f}d {seconds % _DAY // _HOUR:.0f}h"


def parsed_duration(text: str) -> float:
    """Seconds of ``"90"``, ``"1.5s"``, ``"200ms"``, ``"1h30m"``, ``"2d"``; raises ValueError for anything else."""
    try:
        seconds = float(text)
    except ValueError:
        if not text or _PARTS.sub("", text):
            raise ValueError(f"{text!r} is no duration: write seconds (90), or 200ms, 30s, 5m, 1h30m, 2d") from None
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PARTS.findall(text))
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{text!r} is no duration: it must be 0 or more, and end")
    return seconds


def iso(at: datetime | float | None) -> str | None:
    """A time for machines: ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime | float, now: datetime | None = None) -> str:
    """A time for people, in their zone: the time of day if it is today, else with the date."""
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    moment = moment.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M:%S}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago, or in how long: ``"4.2 s ago"``, ``"in 3m 20s"``."""
    seconds = (now - at).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
