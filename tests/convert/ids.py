"""Names of parametrised cases that are the same in every process: pytest-xdist compares them."""

from __future__ import annotations


def shown(item: object) -> str:
    """What ``item`` looks like if that is always the same, else its type: no address, no order of a set."""
    if item is None or isinstance(item, str | bytes | int | float):
        return ascii(item)[:40]
    return item.__name__ if isinstance(item, type) else type(item).__name__
