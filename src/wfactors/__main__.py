"""``python -m wfactors`` is the ``wfactors`` command."""

from __future__ import annotations

from wfactors.cli import main

if __name__ == "__main__":
    main()
