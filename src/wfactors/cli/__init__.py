"""The ``wfactors`` command.

What a command needs is imported when it runs: ``wfactors --help`` and shell completion must not wait for the engine.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the ``wfactors`` command with the arguments of the process."""
    from wfactors.cli.app import app  # noqa: PLC0415  As above.

    app(prog_name="wfactors")
