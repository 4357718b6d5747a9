"""Start workflows, find them, talk to them."""

from __future__ import annotations

from wfactors.client.client import Client
from wfactors.client.handle import Description, Handle
from wfactors.client.requests import ClientStatistics, LocalOwner, Router

__all__ = ["Client", "ClientStatistics", "Description", "Handle", "LocalOwner", "Router"]
