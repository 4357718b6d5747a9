"""Stores by address: ``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

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
_HINT = "; write %3F for a ? in the name of a file"
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

    Options of a store follow a question mark: ``sqlite:///shop.db?synchronous=normal``. In the name of a file,
    ``%23`` stands for ``#``, ``%3F`` for ``?`` and ``%25`` for ``%``.

    Raises:
        ValueError: The URL names no store, or an option makes no sense; the message says what would.
    """
    # Not urlsplit(), which drops what it does not expect: another file would be opened than was named.
    scheme, separator, rest = url.partition("://")
    match scheme.lower() if separator else "":
        case "memory":
            if rest:
                raise ValueError(f"{url!r}: memory:// has nothing behind it: each is a store of its own")
            return MemoryStore()
        case "sqlite":
            try:
                return _sqlite(rest)
            except ValueError as error:
                raise ValueError(f"{url!r}: {error}") from error
        case other if other in _EXTRAS:
            raise ValueError(
                f"{other}:// is not available yet; it will come with the extra wfactors[{_EXTRAS[other]}]. "
                "Available are memory:// and sqlite:///path.db"
            )
        case _:
            raise ValueError(
                f"not the URL of a store: {url!r}; write memory://, sqlite:///relative.db or sqlite:////absolute.db"
            )


def _sqlite(rest: str) -> SqliteStore:
    """The store of what stands behind ``sqlite://``."""
    if "#" in rest:
        raise ValueError("write %23 for a # in the name of a file")
    location, has_options, options = rest.partition("?")
    host, _, quoted = location.partition("/")
    if host or not quoted:
        raise ValueError(
            "this names no file: three slashes for a relative path (sqlite:///shop.db), four for an absolute one "
            "(sqlite:////var/lib/shop.db)"
        )
    try:
        path = unquote(quoted, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError(f"the name of the file is not the UTF-8 that URLs have: {error}") from error
    return SqliteStore(path, **(_options(options) if has_options else {}))


def _options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ValueError(f"no option is called {name!r}; there are {', '.join(_OPTIONS)}{_HINT}")
        if name in options:
            raise ValueError(f"{name} is given twice")
        try:
            options[name] = _OPTIONS[name](value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if not options:
        raise ValueError(f"no option follows the question mark{_HINT}")
    return options
