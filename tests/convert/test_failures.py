"""Exceptions to failures and back."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid

import attrs
import msgspec
import pytest
import trio

from tests.convert.ids import shown
from wfactors.convert import DataPort, EncryptionCodec, ZlibCodec
from wfactors.errors import ActivityError, ActivityTimeout, Cancelled, CodecError, PermanentError, WorkflowFailed
from wfactors.model.failures import Failure
from wfactors.model.payloads import NULL

PORT = DataPort()
SEALING = DataPort(codecs=[EncryptionCodec(b"k" * 32)])
AN_ID = uuid.UUID(int=1)
A_TIME = datetime.datetime(2026, 1, 1)  # noqa: DTZ001  Without a zone.


class CardError(Exception):
    pass


class Declined(CardError):
    def __init__(self, code: str, at: datetime.datetime) -> None:
        self.code = code
        self.at = at
        super().__init__(f"declined: {code}")


class Annotated(CardError):
    order: uuid.UUID

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


@attrs.define
class AttrsError(Exception):
    order: uuid.UUID
    cents: int = 0


@dataclasses.dataclass
class DataError(Exception):
    amount: decimal.Decimal


class Unresolvable(Exception):
    def __init__(self, code: Nowhere) -> None:  # noqa: F821
        self.code = code
        super().__init__(code)


class Slotted(Exception):
    __slots__ = ("code",)


class NewMade(Exception):
    def __new__(cls, *args: object) -> NewMade:  # noqa: PYI034
        return super().__new__(cls, *args)


class FileGone(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)
        self.reason = "gone"


class HostileStr(Exception):
    def __str__(self) -> str:
        raise SystemExit("no")


class StrOfStr(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise ZeroDivisionError


class HostileNotes(Exception):
    @property
    def __notes__(self) -> object:
        raise ZeroDivisionError


class Comparing:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


def record(error: BaseException, *raises: type[BaseException]) -> Failure:
    """The failure as it comes back from the store."""
    return msgspec.json.decode(msgspec.json.encode(PORT.failure_from_exception(error, raises)), type=Failure)


class TestRecording:
    """What is kept of an exception."""

    def test_type_and_message(self):
        """The qualified name and what str() says."""
        failure = record(CardError("no funds"))

        assert (
            failure.type,
            failure.message,
            failure.kind,
            failure.is_permanent,
            failure.details,
        ) == ("tests.convert.test_failures.CardError", "no funds", "error", False, NULL)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ValueError(), "error"),
            (Cancelled._create(), "cancelled"),
            (trio.Cancelled._create(source="explicit"), "cancelled"),
            (KeyboardInterrupt(), "base_exception"),
            (ExceptionGroup("", [ValueError()]), "group"),
            (BaseExceptionGroup("", [KeyboardInterrupt()]), "group"),
            (ActivityTimeout("a", Failure("a.E", "")), "timeout"),
        ],
        ids=shown,
    )
    def test_kind(self, error, kind):
        """The kind tells control flow from errors."""
        assert kind == record(error).kind

    def test_permanent(self):
        """PermanentError is permanent, and a group with one in it."""
        group = ExceptionGroup("", [ValueError(), ExceptionGroup("", [PermanentError("no")])])

        assert record(PermanentError("no")).is_permanent
        assert record(group).is_permanent
        assert not record(ExceptionGroup("", [ValueError()])).is_permanent

    def test_traceback(self):
        """The author's frames, the error and its notes."""
        error = CardError("no funds")
        error.add_note("order 5")
        text = record(raised(error)).traceback

        assert text.startswith("Traceback (most recent call last):\n")
        assert "in raised\n    raise error\n" in text
        assert text.endswith("tests.convert.test_failures.CardError: no funds\norder 5\n")

    def test_no_frames_of_the_engine(self):
        """Frames of wfactors and Trio are left out, unless there are no others."""

        async def main():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)

        async def fail():
            PORT.converter.encode(object())

        try:
            trio.run(main)
        except ExceptionGroup as group:
            text = record(group.exceptions[0]).traceback
        assert "in fail" in text
        assert "in encode" not in text
        assert "trio" not in text.lower()
        try:
            PORT.converter.encode(object())
        except Exception as error:  # noqa: BLE001
            inner = error.with_traceback(error.__traceback__.tb_next)
        assert "in encode" in record(inner).traceback

    def test_never_raised(self):
        """An exception that was never raised has no frames."""
        assert record(ValueError()).traceback == "builtins.ValueError\n"

    def test_deep_traceback(self):
        """Of very many frames, the first and the last are kept."""

        def descend(depth):
            if depth == 0:
                raise ValueError("deep")
            descend(depth - 1) if depth % 2 else descend(int(depth - 1))

        with pytest.raises(ValueError, match="deep") as caught:
            descend(300)
        assert "frames left out ..." in record(caught.value).traceback
        assert len(record(caught.value).traceback) < 17_000


class TestCauses:
    """What an exception was raised from."""

    def test_cause_and_context(self):
        """The cause, or what was being handled, unless that is suppressed."""

        def chain(how):
            try:
                {}["x"]
            except KeyError as error:
                if how == "from":
                    raise CardError from error
                if how == "none":
                    raise CardError from None
                raise CardError  # noqa: B904  Its context is what is tested.

        causes = []
        for how in ("from", "context", "none"):
            with pytest.raises(CardError) as caught:
                chain(how)
            cause = record(caught.value).cause
            causes.append(cause and (cause.type, cause.message))

        assert causes == [("builtins.KeyError", "'x'"), ("builtins.KeyError", "'x'"), None]

    def test_cycle(self):
        """A cycle of causes ends."""
        first, second = ValueError("1"), ValueError("2")
        first.__cause__, second.__cause__ = second, first

        assert record(first).cause.message == "2"
        assert record(first).cause.cause is None

    def test_long_chain(self):
        """At most 16 deep."""
        error = ValueError("0")
        for number in range(100):
            outer = ValueError(str(number))
            outer.__cause__ = error
            error = outer
        failure = record(error)
        depth = 0
        while failure is not None:
            depth += 1
            failure = failure.cause

        assert depth == 16

    def test_group(self):
        """The members of a group, with their causes."""
        member = ValueError("1")
        member.__cause__ = KeyError("x")
        failure = record(ExceptionGroup("two", [member, ExceptionGroup("inner", [TypeError("2")])]))

        assert [member.message for member in failure.group] == ["1", "inner (1 sub-exception)"]
        assert failure.group[0].cause.type == "builtins.KeyError"
        assert failure.group[1].group[0].type == "builtins.TypeError"

    def test_wide_and_deep_groups(self):
        """Groups are bounded both ways."""
        error: Exception = ExceptionGroup("wide", [ValueError(str(number)) for number in range(200)])
        assert len(record(error).group) == 50
        for _ in range(200):
            error = ExceptionGroup("deep", [error])
        assert len(msgspec.json.encode(record(error))) < 20_000

    def test_the_whole_is_bounded(self):
        """Many large failures in one stay below a limit for all of them."""
        members = [raised(ValueError("x" * 100_000)) for _ in range(50)]
        for member in members:
            member.__cause__ = raised(ValueError("y" * 100_000))
        failure = record(ExceptionGroup("large", [ExceptionGroup("inner", members) for _ in range(50)]))

        assert len(msgspec.json.encode(failure)) < 256 * 1024

    def test_failures_from_elsewhere(self):
        """Of a failed call, the cause is what failed there."""
        there = Failure("shop.Declined", "no", cause=Failure("a.E", "m", group=(Failure("a.G", "g"),)))

        assert there == record(ActivityError("charge", there)).cause
        assert there == record(WorkflowFailed("order-5", there)).cause

    def test_failures_from_far_away(self):
        """A workflow that fails because of a workflow, many times over, stays bounded."""
        failure = record(ValueError("x" * 5_000))
        for _ in range(100):
            failure = record(ActivityError("call", failure))

        assert len(msgspec.json.encode(failure)) < 256 * 1024

    def test_large_failures_from_elsewhere(self):
        """So does one that is large from the beginning."""
        there = Failure("a.E", "x" * 50_000, group=(Failure("a.E", "y" * 50_000, "z" * 50_000),) * 40)

        assert len(msgspec.json.encode(record(ActivityError("call", there)))) < 256 * 1024


class TestHostile:
    """Exceptions that misbehave when looked at."""

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (HostileStr(), "<no message: its __str__ raised SystemExit>"),
            (type("E", (Exception,), {"__str__": lambda _self: 5})(), "<no message: its __str__ raised TypeError>"),
            (
                type("E", (Exception,), {"__str__": lambda self: f"{self}"})(),
                "<no message: its __str__ raised RecursionError>",
            ),
            (type("E", (Exception,), {"__str__": lambda _self: StrOfStr("a")})(), "a"),
            (ValueError("\ud800"), "\\ud800"),
            (ValueError("\x00"), "\x00"),
        ],
        ids=lambda item: type(item).__name__,
    )
    def test_message(self, error, message):
        """A message comes of every exception, and can be stored."""
        assert message == record(raised(error)).message

    def test_interrupted(self):
        """Only Ctrl-C is let through."""
        error = type("E", (Exception,), {"__str__": lambda _self: (_ for _ in ()).throw(KeyboardInterrupt)})()

        with pytest.raises(KeyboardInterrupt):
            record(error)

    def test_long_message(self):
        """A long message keeps both ends."""
        message = record(ValueError("a" * 100_000 + "b" * 100_000)).message

        assert message.startswith("aaa")
        assert message.endswith("bbb")
        assert "191,808 characters left out" in message
        assert len(message) < 8_300

    def test_notes(self):
        """Notes that cannot be read do not matter; odd ones neither."""
        assert record(HostileNotes()).traceback == "<no traceback: ZeroDivisionError>"
        error = ValueError("x")
        error.__notes__ = 5
        assert record(error).traceback == "builtins.ValueError: x\n"


class TestComingBack:
    """Exceptions named in raises= are themselves again."""

    @pytest.mark.parametrize(
        "error",
        [
            CardError("no funds"),
            CardError("a", 1, [2.5, None]),
            Declined("no funds", A_TIME),
            Annotated(order=AN_ID, count=3),
            AttrsError(AN_ID, 5),
            DataError(decimal.Decimal("1.5")),
            Unresolvable("x"),
            FileGone("/tmp/x"),
            ValueError(),
            KeyError("x"),
            FileNotFoundError(2, "No such file", "x"),
            SystemExit(3),
            StopIteration(5),
            UnicodeEncodeError("ascii", "x", 0, 1, "bad"),
            ImportError("no", name="a", path="b"),
        ],
        ids=shown,
    )
    def test_round_trip(self, error):
        """Same class, same text, same args, same attributes."""
        error.add_note("a note is not part of it")
        back = PORT.exception_from_failure(record(raised(error), type(error)), [type(error)])

        assert (type(error), str(error), error.args) == (type(back), str(back), back.args)
        state = {name: value for name, value in vars(error).items() if name != "__notes__"}
        assert state == vars(back)

    def test_fields_of_builtins(self):
        """What builtin exceptions keep outside of args is there as well."""
        back = PORT.exception_from_failure(record(FileGone("/tmp/x"), FileGone), [FileGone])

        assert (back.errno, back.strerror, back.filename, back.reason) == (2, "gone", "/tmp/x", "gone")

    def test_subclasses(self):
        """A subclass of an expected class is itself too."""
        failure = record(Declined("x", A_TIME), CardError)

        assert Declined is type(PORT.exception_from_failure(failure, [OSError, CardError, CardError]))

    def test_others(self):
        """An exception that was not expected does not come back, on neither side."""
        failure = record(CardError("x"), ValueError)

        assert failure.details == NULL
        assert PORT.exception_from_failure(failure, [ValueError]) is None
        assert PORT.exception_from_failure(failure, [CardError]) is None
        assert PORT.exception_from_failure(failure, []) is None

    @pytest.mark.parametrize(
        "error",
        [
            CardError(AN_ID),
            CardError((1, 2)),
            CardError(object()),
            CardError(Comparing()),
            CardError("\ud800"),
            Annotated(at=A_TIME),
            Declined(5, A_TIME),
            Slotted("x"),
            NewMade("x"),
            ExceptionGroup("", [ValueError()]),
            CardError("x" * 3_000_000),
        ],
        ids=shown,
    )
    def test_what_cannot_be_kept(self, error):
        """What would come back as something else does not come back; type and message are told all the same."""
        failure = record(error, type(error))

        assert failure.details == NULL
        assert PORT.exception_from_failure(failure, [type(error)]) is None

    def test_interrupted(self):
        """Ctrl-C is let through."""

        class Interrupting:
            def __eq__(self, other):
                raise KeyboardInterrupt

            __hash__ = None

        port = DataPort()
        port.converter.register(Interrupting, lambda _value: 1, lambda _data: 1)
        with pytest.raises(KeyboardInterrupt):
            port.failure_from_exception(CardError(Interrupting()), [CardError])

    @pytest.mark.parametrize("details", [b"[]", b"{}", b'{"args":1,"state":{}}', b'{"args":[],"state":[]}'])
    def test_details_that_do_not_fit(self, details):
        """If the class has changed since, the engine's own error is raised instead."""
        failure = attrs.evolve(record(CardError("x"), CardError), details=msgspec.Raw(details))

        assert PORT.exception_from_failure(failure, [CardError]) is None


class TestConcealed:
    """Failures under encryption."""

    def test_nothing_to_see(self):
        """The store sees type and kind alone; the engine sees all."""
        error = raised(Declined("secret", A_TIME))
        error.__cause__ = ValueError("secret too")
        failure = SEALING.failure_from_exception(error, [CardError])
        stored = msgspec.json.encode(failure)
        loaded = msgspec.json.decode(stored, type=Failure)

        assert b"secret" not in stored
        assert loaded.summary() == "Declined: (encrypted)"
        assert SEALING.reveal(loaded).summary() == "Declined: declined: secret (caused by ValueError: secret too)"
        assert SEALING.exception_from_failure(loaded, [CardError]).code == "secret"

    def test_sealed_once(self):
        """Failures that pass through many workflows are sealed once, not once for each."""
        failure = SEALING.failure_from_exception(ValueError("x"))
        sizes = []
        for _ in range(8):
            failure = SEALING.failure_from_exception(ActivityError("call", failure))
            sizes.append(len(bytes(failure.sealed)))

        assert failure is SEALING.conceal(failure)
        assert sizes[-1] < 8 * sizes[0]
        assert SEALING.reveal(failure).cause.type == "wfactors.errors.ActivityError"

    def test_reveal_below(self):
        """Sealed causes and members in a failure that is not sealed itself are revealed."""
        sealed = SEALING.failure_from_exception(ValueError("x"))
        failure = SEALING.reveal(Failure("a.E", "m", cause=sealed, group=(sealed,)))

        assert (failure.cause.message, failure.group[0].message) == ("x", "x")

    def test_without_the_key(self):
        """Without the key there is an error for who asks, and none for who records."""
        sealed = SEALING.failure_from_exception(CardError("x"), [CardError])

        with pytest.raises(CodecError, match=r"^failure: was written with the codec 'aes-gcm'"):
            PORT.reveal(sealed)
        with pytest.raises(CodecError, match=r"^failure: was written with the codec 'aes-gcm'"):
            PORT.exception_from_failure(sealed, [CardError])
        assert sealed == PORT.failure_from_exception(ActivityError("call", sealed)).cause

    def test_details_of_a_codec_that_is_gone(self):
        """Details that went through a codec that is not configured are an error, and not another exception."""
        error = CardError("x" * 1_000)
        failure = DataPort(codecs=[ZlibCodec()]).failure_from_exception(error, [CardError])

        with pytest.raises(CodecError, match=r"^details: was written with the codec 'zlib'"):
            PORT.exception_from_failure(failure, [CardError])

    def test_sealed_nonsense(self):
        """What decodes to no failure is an error of the codec."""
        nonsense = Failure("a.E", "m", sealed=msgspec.Raw(SEALING.to_payload([1])))

        with pytest.raises(CodecError, match=r"^failure: is none once decoded"):
            SEALING.reveal(nonsense)

    @pytest.mark.parametrize("field", ["cause", "group"])
    def test_nested_too_deeply(self, field):
        """Deeper than anything that was recorded: an error of the codec, for its reader alone."""
        failure = Failure("a.E", "m")
        for _ in range(5_000):
            failure = Failure("a.E", "m", **{field: failure if field == "cause" else (failure,)})

        with pytest.raises(CodecError, match=r"^failure: is nested too deeply$"):
            PORT.reveal(failure)

    def test_compression_conceals_nothing(self):
        """Without encryption, texts stay readable."""
        port = DataPort(codecs=[ZlibCodec()])

        assert port.failure_from_exception(ValueError("x")).message == "x"
