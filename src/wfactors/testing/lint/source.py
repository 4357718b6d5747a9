"""From the bytes of a file to a syntax tree, or to the one finding that says why there is none."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings

import attrs

from wfactors.testing.lint.findings import Finding, Severity

__all__ = ["Source", "parse"]

_LINE_END = re.compile(r"\r\n|\r|\n")
SYNTAX_ERROR = "WF100"


@attrs.frozen
class Source:
    """A file that has been read.

    Attributes:
        path: As it was named.
        text: Its text.
        lines: Of the text, as Python counts them.
        tree: Its syntax tree.
    """

    path: str
    text: str
    lines: list[str]
    tree: ast.Module

    def column(self, line: int, offset: int) -> int:
        """The column, from 1 and in characters, of an offset that Python counts in bytes of UTF-8."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return (offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace"))) + 1


def parse(path: str, data: bytes) -> Source | Finding:
    """Parse a file; whatever is wrong with it is a finding."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = codecs.decode(data, encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        return unreadable(path, f"cannot be decoded: {error}")
    text = text.removeprefix("\ufeff")
    try:
        with warnings.catch_warnings():
            # Invalid escapes and the like are the business of other linters.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        return unreadable(path, f"syntax error: {error.msg}", error.lineno or 1, error.offset or 1)
    except (RecursionError, MemoryError):
        return too_deep(path)
    except ValueError as error:
        return unreadable(path, f"cannot be parsed: {error}")
    return Source(path, text, _LINE_END.split(text), tree)


def unreadable(path: str, message: str, line: int = 1, column: int = 1) -> Finding:
    """The finding for a file that cannot be checked."""
    line, column = max(line, 1), max(column, 1)
    one_line = " ".join(message.split())
    return Finding(path, line, column, SYNTAX_ERROR, one_line, Severity.ERROR, line, column + 1)


def too_deep(path: str) -> Finding:
    """The finding for a file whose code is nested more deeply than Python's stack allows."""
    return unreadable(path, "too deeply nested to be checked")
