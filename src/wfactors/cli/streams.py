"""Standard output and error of the process as the command writes them: what fails there is told once, in one place."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

from wfactors.cli.exits import Exit
from wfactors.cli.output import print_problem

__all__ = ["OutputLost", "discard_output", "ended_by", "own_streams"]


class OutputLost(OSError):
    """Standard output cannot be written; the error of the system is its cause.

    It has no number and is no BrokenPipeError, for which the libraries on the way would end the process in their way.
    """

    @property
    def has_reader_left(self) -> bool:
        """Whether it was a pipe that nobody reads any more."""
        return isinstance(self.__cause__, BrokenPipeError)


class _Whole(io.FileIO):
    """Writes all it is given, also where another process has made the pipe or terminal non-blocking."""

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        while rest:
            written = super().write(rest)
            if written is None:
                select.select([], [self], [])
            else:
                rest = rest[written:]
        return memoryview(data).nbytes


class _Output(_Whole):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputLost(error.strerror) from error


class _Errors(_Whole):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            # There is nobody left to tell; how the command ends is told by its exit code.
            return memoryview(data).nbytes


def own_streams() -> None:
    """Put streams with these manners into the place of ``sys.stdout`` and ``sys.stderr``."""
    sys.stdout = _owned(sys.stdout, _Output)
    sys.stderr = _owned(sys.stderr, _Errors)


def _owned(stream: TextIO | None, kind: type[io.FileIO]) -> TextIO:
    if stream is None:
        # It was closed, as Python found at its start: to write there is an error, but not before something is written.
        stream = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        # As Python itself does it where it is asked not to keep anything back.
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        # What a terminal that is not UTF-8 cannot show becomes a question mark; a word beside it says the same.
        errors="replace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def discard_output() -> None:
    """Forget what is still to be written, and all that will be; else Python fails at it once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ended_by(error: OutputLost) -> Exit:
    """How the command ends that could not write, once that has been told to whom it concerns."""
    discard_output()
    if error.has_reader_left:
        # It has seen enough, as in ``wfactors list | head``.
        return Exit.OK
    print_problem(f"standard output cannot be written: {error}", "")
    return Exit.OUTPUT
