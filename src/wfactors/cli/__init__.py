"""The ``wfactors`` command.

What a command needs is imported when it runs: ``wfactors --help`` and shell completion must not wait for the engine.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the ``wfactors`` command with the arguments of the process."""
    from wfactors.cli.app import app  # noqa: PLC0415  As above.
    from wfactors.cli.streams import OutputLost, ended_by, own_streams  # noqa: PLC0415

    own_streams()
    try:
        try:
            app(prog_name="wfactors")
        finally:
            # While it can still be told that this fails.
            sys.stdout.flush()
    except OutputLost as error:
        sys.exit(ended_by(error))
