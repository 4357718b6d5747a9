"""Errors that only the engine makes."""

from __future__ import annotations

import pickle

import pytest

import wfactors as wf


def test_nobody_else_makes_a_cancelled() -> None:
    """It belongs to a scope; raised by hand it would belong to none."""
    with pytest.raises(TypeError, match="cancel a scope instead"):
        wf.Cancelled()


def test_a_cancelled_does_not_travel() -> None:
    """In another process its scope does not exist."""
    cancelled = wf.Cancelled._create()
    assert "Cancelled" == str(cancelled)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(cancelled)
