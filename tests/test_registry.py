"""Decorators, wrappers and the registry."""

from __future__ import annotations

import functools
import inspect
import types
from datetime import timedelta

import attrs
import pytest

import wfactors as wf
from wfactors.errors import UnknownActivity, UnknownWorkflow, WorkflowMisuseError
from wfactors.model.options import ActivityOptions, Retry
from wfactors.model.status import OnCancel, ParentClose
from wfactors.registry import Activity, Registry, Workflow


@wf.activity
async def charge(card: str, cents: int = 5) -> str:
    """Charge a card."""
    return f"{card}:{cents}"


@wf.activity(start_to_close=timedelta(minutes=1), on_cancel="abandon", queue="cpu")
def resize(width: int) -> int:
    return width * 2


@wf.workflow
async def checkout(card: str) -> str:
    return await charge(card, 1)


@wf.workflow(name="other-name", queue="far", raises=KeyError)
async def renamed() -> None: ...


class Payments:
    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    @wf.activity(heartbeat=3)
    async def charge(self, cents: int) -> str:
        return f"{self.prefix}{cents}"

    @staticmethod
    @wf.activity
    async def refund(cents: int) -> int:
        return -cents

    @property
    def dangerous(self) -> int:
        raise AssertionError("registering must not run properties")

    def helper(self) -> None: ...


# --- Calls outside of a workflow -------------------------------------------------------------------------------------


async def test_outside_of_a_workflow_a_call_is_the_plain_function():
    """A unit test needs no engine."""
    assert await charge("visa", cents=7) == "visa:7"
    assert resize(4) == 8
    assert await checkout("visa") == "visa:1"
    assert await charge.options(queue="x")("visa") == "visa:5"
    assert await Payments("EUR ").charge(5) == "EUR 5"
    assert await Payments("EUR ").charge.options(queue="x")(5) == "EUR 5"
    assert await Payments.refund(5) == -5


def test_the_wrapper_looks_like_the_function():
    """Signature, name and documentation are those of the function."""
    assert (charge.__name__, charge.__doc__, charge.__module__) == ("charge", "Charge a card.", __name__)
    assert str(inspect.signature(charge)) == "(card: 'str', cents: 'int' = 5) -> 'str'"
    assert repr(charge) == "<Activity 'charge'>"
    assert repr(renamed) == "<Workflow 'other-name'>"


def test_wrong_arguments_outside_are_the_function_s_own_type_error():
    """Nothing is between the caller and the function."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        charge("visa", wrong=1)


def test_methods_named_for_workflows_cannot_be_called_outside():
    """There is no instance to call them on."""
    with pytest.raises(WorkflowMisuseError, match="outside of one, call the method of an instance"):
        wf.activities(Payments).charge(5)
    with pytest.raises(AttributeError, match="Payments.helper is no activity"):
        wf.activities(Payments).helper()
    with pytest.raises(TypeError, match=r"write activities\(Payments\)"):
        wf.activities(Payments())  # type: ignore[arg-type]


# --- Definitions -----------------------------------------------------------------------------------------------------


def test_names():
    """The qualified name from the last <locals> on, unless another one is given."""

    @wf.workflow
    async def local() -> None: ...

    class Local:
        @wf.activity
        def method(self) -> None: ...

    assert (local.name, charge.name, renamed.name) == ("local", "charge", "other-name")
    assert (Payments.charge.name, Local.method.name) == ("Payments.charge", "Local.method")


def test_definitions():
    """What the decorator said is what the engine reads."""
    assert resize.definition.options == {"start_to_close": 60.0, "on_cancel": OnCancel.ABANDON}
    assert (resize.definition.queue, resize.definition.is_async, charge.definition.is_async) == ("cpu", False, True)
    assert (renamed.definition.queue, renamed.definition.raises) == ("far", (KeyError,))
    assert [parameter.name for parameter in Payments.charge.definition.signature.positional] == ["cents"]
    assert (Payments.charge.definition.is_method, Payments.refund.definition.is_method) == (True, False)


def test_annotations_may_name_local_and_later_classes():
    """They are resolved when they are first needed."""

    class Before: ...

    @wf.activity
    async def local(first: Before) -> Before: ...

    assert local.definition.signature.return_type is Before
    assert later.definition.signature.return_type is Later


@wf.activity
async def later() -> Later: ...


@attrs.frozen
class Later:
    x: int = 0


def test_options_are_resolved_call_before_decorator_before_default():
    """Each says only what it knows."""
    default = ActivityOptions(heartbeat=9.0, start_to_close=100.0, retry=Retry(attempts=7))
    call = resize.options(retry=Retry(attempts=1)).options(start_to_close=5)
    assert call.resolve(default) == ActivityOptions(
        retry=Retry(attempts=1), start_to_close=5.0, heartbeat=9.0, on_cancel=OnCancel.ABANDON
    )
    assert charge.options(queue="x").resolve(default) == default
    options = checkout.options(id="a", parent_close="abandon").options(queue="q")
    assert options.overrides == {"id": "a", "parent_close": ParentClose.ABANDON, "queue": "q"}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: charge.options(retires=3), TypeError, "retires"),
        (lambda: charge.options(retry=3), TypeError, r"write Retry\(attempts=3\)"),
        (lambda: charge.options(start_to_close=0), ValueError, "start_to_close must be positive"),
        (lambda: charge.options(heartbeat="1"), TypeError, "heartbeat must be seconds or a timedelta"),
        (
            lambda: charge.options(on_cancel="stop"),
            ValueError,
            "on_cancel must be one of 'wait', 'abandon', not 'stop'",
        ),
        (lambda: charge.options(queue=""), ValueError, "a queue name must not be empty"),
        (lambda: checkout.options(id=5), TypeError, "a workflow id must be a str"),
        (lambda: checkout.options(parent_close="kill"), ValueError, "parent_close must be one of"),
        (lambda: wf.activity(raises="KeyError")(len), TypeError, "takes exception types, not 'K'"),
        (lambda: wf.activity(raises=5), TypeError, "takes exception types, not 5"),
        (lambda: wf.workflow(queue=5), TypeError, "a queue name must be a str"),
    ],
)
def test_options_that_make_no_sense(make, error, words):
    """They are refused where they are written."""
    with pytest.raises(error, match=words):
        make()


def plain() -> None: ...


def generator():
    yield 1


async def async_generator():
    yield 1


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("decorate", "error", "words"),
    [
        (lambda: wf.workflow(plain), TypeError, r"plain\(\) is synchronous: write async def"),
        (lambda: wf.workflow(generator), TypeError, r"generator\(\) is a generator"),
        (lambda: wf.workflow(async_generator), TypeError, r"async_generator\(\) is a generator"),
        (lambda: wf.activity(generator), TypeError, r"generator\(\) is a generator"),
        (lambda: wf.activity(lambda: 1), ValueError, "a lambda has no name"),
        (lambda: wf.activity(5), TypeError, "needs a function, not 5"),
        (lambda: wf.activity(functools.partial(plain)), TypeError, "needs a function"),
        (lambda: wf.activity(Payments), TypeError, "needs a function"),
        (lambda: wf.activity(charge), TypeError, "<Activity 'charge'> is decorated already"),
        (lambda: wf.workflow(checkout), TypeError, "is decorated already"),
        (lambda: wf.activity(staticmethod(plain)), TypeError, "put @staticmethod outermost"),
        (lambda: wf.activity(classmethod(plain)), TypeError, "cannot decorate a classmethod"),
        (lambda: wf.activity(name="")(plain), ValueError, "must not be empty"),
    ],
)
def test_functions_that_cannot_be_decorated(decorate, error, words):
    """The message says what to write instead."""
    with pytest.raises(error, match=words):
        decorate()


def test_a_lambda_with_a_name():
    """The name is all that was missing."""
    assert wf.activity(name="half")(lambda x: x / 2).name == "half"


def test_a_workflow_is_no_method():
    """It has no instance when it is replayed."""

    class Shop:
        @wf.workflow
        async def sell(self) -> None: ...

    assert isinstance(Shop.sell, Workflow)
    with pytest.raises(TypeError, match=r"'Shop.sell' is no method"):
        Shop().sell  # noqa: B018


# --- The registry ----------------------------------------------------------------------------------------------------


def test_a_registry_finds_by_name():
    """Functions as they are, methods bound to their instance."""
    payments = Payments("EUR ")
    registry = Registry([checkout, renamed, charge, payments])
    assert sorted(registry.workflows) == ["checkout", "other-name"]
    assert sorted(registry.activities) == ["Payments.charge", "Payments.refund", "charge"]
    assert registry.workflow("checkout") is checkout.definition
    assert registry.activity("charge").bound_function() is charge.definition.function
    method = registry.activity("Payments.charge").bound_function()
    assert isinstance(method, types.MethodType)
    assert method.__self__ is payments


def test_one_method_can_be_registered_alone():
    """Looked up on the instance that it is to run on."""
    assert list(Registry([Payments().charge]).activities) == ["Payments.charge"]


def test_a_module_is_registered_whole():
    """All workflows and activities in it, but for methods."""
    module = types.ModuleType("shop")
    module.__dict__.update(checkout=checkout, charge=charge, Payments=Payments, x=5)
    registry = Registry([module])
    assert (list(registry.workflows), list(registry.activities)) == (["checkout"], ["charge"])


def test_unknown_names():
    """They are told."""
    with pytest.raises(UnknownWorkflow, match="'x'"):
        Registry().workflow("x")
    with pytest.raises(UnknownActivity, match="'x'"):
        Registry().activity("x")


def test_the_same_function_may_be_registered_twice():
    """It is what it is."""
    assert list(Registry([charge, charge, charge.options(queue="x")]).activities) == ["charge"]


@wf.activity(name="charge")
async def second_charge() -> None: ...


@wf.workflow(name="checkout")
async def second_checkout() -> None: ...


@pytest.mark.parametrize(
    ("register", "error", "words"),
    [
        ([charge, second_charge], ValueError, "two activities are named 'charge'"),
        ([checkout, second_checkout], ValueError, "two workflows are named 'checkout'"),
        ([Payments(), Payments()], ValueError, "two instances have the activity 'Payments.charge'"),
        ([Payments], TypeError, r"register an instance of Payments, not the class: Payments\(...\)"),
        ([Payments.charge], TypeError, r"is a method: register an instance, Payments\(...\)"),
        ([wf.activities(Payments).charge], TypeError, "is a method: register an instance"),
        ([plain], TypeError, r"plain\(\) is neither a workflow nor an activity"),
        ([5], TypeError, "there is nothing to register in 5"),
    ],
)
def test_what_cannot_be_registered(register, error, words):
    """The message says what to pass instead."""
    with pytest.raises(error, match=words):
        Registry(register)


def test_bound_methods_share_a_definition():
    """The instance is all that differs."""
    first, second = Payments().charge, Payments().charge
    assert isinstance(first, Activity)
    assert first.definition is second.definition
