"""Trio's own tests, from the installed package, with their bodies running inside the kernel.

This is what "Trio's semantics" means here. When it fails after an upgrade of Trio, Trio has changed what it promises
(follow it), tests something new (make it pass, or say in ``excluded.py`` why it does not apply), or moved its tests.
"""

from __future__ import annotations

import functools
import inspect

import pytest

from tests.kernel.trio_suite import excluded, loader, shim


@functools.cache
def suite_of(module: str) -> list[loader.TrioTest]:
    return loader.load(module, shim.stand_ins())


def reason_of(module: str, test_id: str) -> str | None:
    """Why the test is not run: a reason for this case, or for all cases of its function."""
    reasons = excluded.EXCLUDED[module]
    return reasons.get(test_id, reasons.get(test_id.partition("[")[0]))


def portable() -> list[object]:
    return [
        pytest.param(test, id=f"{module.rpartition('.')[2]}.{test.id}")
        for module in excluded.MODULES
        for test in suite_of(module)
        if reason_of(module, test.id) is None
    ]


@pytest.mark.parametrize("trio_test", portable())
def test_of_trio(trio_test: loader.TrioTest) -> None:
    """The kernel does what Trio promises."""
    fixtures = {name: shim.FIXTURES[name]() for name in trio_test.fixtures}
    call = functools.partial(trio_test.function, **trio_test.arguments, **fixtures)
    if inspect.iscoroutinefunction(trio_test.function):
        shim.run(call)
    else:
        call()


@pytest.mark.parametrize("module", excluded.MODULES)
def test_every_exclusion_is_of_a_test_that_exists(module: str) -> None:
    """No name in the table is stale."""
    known = {name for test in suite_of(module) for name in (test.name, test.id)}
    assert [name for name in excluded.EXCLUDED[module] if name not in known] == []


def test_every_test_of_trio_is_either_run_or_excluded() -> None:
    """Nothing falls between the two."""
    everything = [(module, test.id) for module in excluded.MODULES for test in suite_of(module)]
    excused = [(module, id_) for module, id_ in everything if reason_of(module, id_) is not None]
    assert len(set(everything)) == len(everything)
    assert len(portable()) + len(excused) == len(everything)
    assert set(excluded.EXCLUDED) == set(excluded.MODULES)


def test_a_module_that_trio_moved_is_reported() -> None:
    """A test module that is not where it was fails loudly, and so does one without tests."""
    with pytest.raises(LookupError, match="has moved its tests"):
        loader.load("trio._tests.test_no_such_module", shim.stand_ins())
    with pytest.raises(LookupError, match="holds no test"):
        loader.load("trio.testing._sequencer", shim.stand_ins())


def test_what_the_kernel_does_not_have_fails_the_test_that_uses_it() -> None:
    """A stand-in that is absent can be imported and named, not used."""
    trio = shim.stand_ins()["trio"]
    assert isinstance(trio.lowlevel.spawn_system_task, shim.Absent)
    with pytest.raises(shim.NotOffered, match=r"^trio\.lowlevel\.spawn_system_task$"):
        trio.lowlevel.spawn_system_task(print)
