"""The form in which values of users travel through the engine: JSON text that only the converter looks into."""

from __future__ import annotations

from msgspec import Raw

__all__ = ["NULL", "Payload"]

Payload = Raw
"""JSON text as bytes, embedded as it is in the engine's own records; compare with ``bytes(payload)``."""

NULL = Raw(b"null")
"""The payload of None."""
