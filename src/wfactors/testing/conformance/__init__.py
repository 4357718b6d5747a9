"""One suite that every store passes unchanged: those of wfactors, and yours.

::

    from wfactors.testing.conformance import ManualClock, StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, clock: ManualClock, tmp_path: Path) -> MyStore:
            return MyStore(tmp_path / "store", clock=clock)

``store`` is empty, not opened, and judges leases by ``clock``. The tests are async: run them with pytest-trio, its
``trio_mode`` on. Each stands for a sentence of ``wfactors.stores.base`` or of the records; none waits in real time.
"""

# ruff: noqa: E402 - pytest must hear of the modules before they are imported

from __future__ import annotations

import pytest

_PARTS = ("builders", "cluster", "commits", "creating", "hostile", "messages", "notices", "reads", "removal", "tasks")

# Before they are imported: so that a failing assertion shows its values.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from wfactors.testing.conformance.builders import ManualClock
from wfactors.testing.conformance.cluster import ClusterConformance, LifeConformance
from wfactors.testing.conformance.commits import CommitConformance, FenceConformance
from wfactors.testing.conformance.creating import CreateConformance
from wfactors.testing.conformance.hostile import HostileConformance, LargeConformance
from wfactors.testing.conformance.messages import (
    InboxConformance,
    ReplyConformance,
    SendConformance,
    WakeConformance,
)
from wfactors.testing.conformance.notices import NoticeConformance
from wfactors.testing.conformance.reads import (
    FindConformance,
    HistoryConformance,
    ListConformance,
    QueueConformance,
)
from wfactors.testing.conformance.removal import RemovalConformance
from wfactors.testing.conformance.tasks import CancelConformance, ClaimConformance, ReportConformance

__all__ = ["ManualClock", "StoreConformance"]


class StoreConformance(
    LifeConformance,
    ClusterConformance,
    FenceConformance,
    CommitConformance,
    WakeConformance,
    InboxConformance,
    SendConformance,
    ReplyConformance,
    CreateConformance,
    ClaimConformance,
    ReportConformance,
    CancelConformance,
    FindConformance,
    ListConformance,
    HistoryConformance,
    QueueConformance,
    RemovalConformance,
    NoticeConformance,
    HostileConformance,
    LargeConformance,
):
    """Everything that a store must do; a subclass provides the fixture ``store``."""
