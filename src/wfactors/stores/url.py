"""Stores by address: ``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from wfactors.stores.base import Store
from wfactors.stores.memory import MemoryStore
from wfactors.stores.sqlite import SqliteStore

__all__ = ["open_store_from_url"]

_OPTIONS: dict[str, Any] = {
    "synchronous": str,
    "busy_seconds": float,
    "poll_idle_seconds": float,
    "max_page_count": int,
}
_EXTRAS = {
    "mysql": "mysql",
    "postgresql": "postgres",
    "postgres": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "redis+cluster": "redis",
}


def open_store_from_url(url: str) -> Store:
    """Make the store that a URL names; it still has to be opened.

    Options of a store follow a question mark: ``sqlite:///shop.db?synchronous=normal``.

    Raises:
        ValueError: The URL names no store; the message says what would.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "memory":
            return MemoryStore()
        case "sqlite":
            return _sqlite(url)
        case scheme if scheme in _EXTRAS:
            raise ValueError(
                f"{scheme}:// is not available yet; it will come with the extra wfactors[{_EXTRAS[scheme]}]. "
                "Available are memory:// and sqlite:///path.db"
            )
        case _:
            raise ValueError(
                f"not the URL of a store: {url!r}; write memory://, sqlite:///relative.db or sqlite:////absolute.db"
            )


def _sqlite(url: str) -> SqliteStore:
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path:
        raise ValueError(
            f"{url!r} names no file: three slashes for a relative path (sqlite:///shop.db), four for an absolute one "
            "(sqlite:////var/lib/shop.db)"
        )
    options = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ValueError(f"{url!r}: no option is called {name!r}; there are {', '.join(_OPTIONS)}")
        try:
            options[name] = _OPTIONS[name](text)
        except ValueError as error:
            raise ValueError(f"{url!r}: {name}: {error}") from error
    return SqliteStore(path, **options)
