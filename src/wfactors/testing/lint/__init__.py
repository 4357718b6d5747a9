"""``wfactors lint``: what in a workflow would not survive a replay, found without running or importing it.

A file is parsed, never imported. The functions that run inside a workflow are those decorated with ``@wf.workflow`` and
the functions, methods and lambdas of the same file that they use (``functions``). Names are followed through imports,
assignments and annotations as far as one file tells (``names``, ``resolve``); what cannot be told is no finding. Rules
look at one node at a time (``rules``). What the linter cannot see, ``wfactors.testing.guard`` catches in tests.
"""

from __future__ import annotations

from wfactors.testing.lint.check import check_bytes, check_file
from wfactors.testing.lint.config import Config, ConfigError, find_config, read_config
from wfactors.testing.lint.files import python_files
from wfactors.testing.lint.findings import Finding, Severity
from wfactors.testing.lint.rules import RULES, Rule

__all__ = [
    "RULES",
    "Config",
    "ConfigError",
    "Finding",
    "Rule",
    "Severity",
    "check_bytes",
    "check_file",
    "find_config",
    "python_files",
    "read_config",
]
