"""How a command ends: the exit codes that scripts go by, and the one sentence that people read.

The table of codes is in ``docs/how-to/command-line.md``; a code never changes its meaning.
"""

from __future__ import annotations

from enum import IntEnum

from wfactors import errors
from wfactors.cli.text import safe

__all__ = ["Exit", "Problem", "explained"]

TO_THE_DOCTOR = "wfactors doctor looks closer"


class Exit(IntEnum):
    """Exit codes of ``wfactors``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    STORE = 5
    REFUSED = 6
    OUTPUT = 74
    TIMEOUT = 124
    INTERRUPTED = 130


class Problem(Exception):
    """Ends a command with a code, a sentence, and what to do next.

    Args:
        code: The exit code.
        sentence: What is wrong, without a full stop.
        hint: What to do about it; "" if the sentence says so.
    """

    def __init__(self, code: Exit, sentence: str, hint: str = "") -> None:
        self.code = code
        self.sentence = sentence
        self.hint = hint
        super().__init__(sentence)


def explained(error: Exception) -> Problem | None:  # noqa: C901  One line for each kind.
    """What to tell people of an error that is expected; None for one that is not."""
    text = safe(str(error), keep_lines=True)
    match error:
        case Problem():
            return error
        case errors.WorkflowNotFound():
            return Problem(Exit.NOT_FOUND, f"there is no workflow {safe(error.id)}", "wfactors list shows them")
        case errors.WorkflowAlreadyStarted():
            hint = "choose another --id, or say what to do with --on-conflict or --reuse"
            return Problem(Exit.CONFLICT, text, hint)
        case errors.WorkflowClosed():
            hint = f"wfactors show {safe(error.id)} tells how it ended"
            return Problem(Exit.CONFLICT, f"workflow {safe(error.id)} has ended ({error.status})", hint)
        case errors.WorkflowStillOpen():
            hint = "end it first with wfactors cancel or wfactors terminate"
            return Problem(Exit.CONFLICT, f"workflow {safe(error.id)} is still open", hint)
        case errors.UpdateRejected() | errors.QueryError():
            return Problem(Exit.REFUSED, text)
        case errors.ResultError():
            hint = f"wfactors show {safe(error.id)} has the traceback"
            return Problem(Exit.FAILED, text, hint)
        case errors.CodecError():
            hint = "say how values are stored: wfactors --payloads MODULE:ATTRIBUTE ..., or WFACTORS_PAYLOADS"
            return Problem(Exit.USAGE, text, hint)
        case errors.PayloadError():
            return Problem(Exit.USAGE, text)
        case errors.UnknownWorkflow() | errors.UnknownActivity() | errors.NonDeterminismError():
            return Problem(Exit.FAILED, text)
        case errors.StoreError():
            return Problem(Exit.STORE, text, TO_THE_DOCTOR)
        case _:
            return None
