"""The ``wfactors`` command.

What a command needs is imported when it runs: ``wfactors --help`` and shell completion must not wait for the engine.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Run the ``wfactors`` command with the arguments of the process."""
    from wfactors.cli.app import app  # noqa: PLC0415  As above.

    for stream in (sys.stdout, sys.stderr):
        # What a terminal that is not UTF-8 cannot show becomes a question mark; a word beside it says the same.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    app(prog_name="wfactors")
