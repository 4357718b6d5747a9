"""The parameters and the return type of a function, read once."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from wfactors.errors import ConversionError

__all__ = ["CallSignature", "Parameter"]

_EMPTY: Final = inspect.Parameter.empty
_POSITIONAL_ONLY: Final = inspect.Parameter.POSITIONAL_ONLY
_POSITIONAL: Final = (_POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@attrs.frozen
class Parameter:
    """One parameter: its name, the type that says how its values are stored, and whether a call must give it."""

    name: str
    type: Any
    is_required: bool


class CallSignature:
    """What a call of a function takes and returns. Made once, by ``CallSignature.of``.

    Attributes:
        name: The function's name, for messages.
        positional: Parameters that can be given by position.
        keyword_only: Those that cannot, by name.
        var_positional: Type of ``*args``; None if there are none.
        var_keyword: Type of ``**kwargs``; None if there are none.
        return_type: Any if it is not annotated.
        problems: Why annotations could not be resolved, one line each; such a parameter counts as Any.
    """

    __slots__ = (
        "_named_types",
        "_positional_only",
        "_required",
        "_signature",
        "keyword_only",
        "name",
        "positional",
        "problems",
        "return_type",
        "var_keyword",
        "var_positional",
    )

    def __init__(
        self, name: str, signature: inspect.Signature, hints: Mapping[str, Any], problems: Sequence[str]
    ) -> None:
        self.name = name
        self.problems = tuple(problems)
        self.return_type: Any = hints.get("return", Any)
        self._signature = signature
        positional: list[Parameter] = []
        self.keyword_only: dict[str, Parameter] = {}
        self.var_positional: Any = None
        self.var_keyword: Any = None
        for parameter in signature.parameters.values():
            hint = hints.get(parameter.name, Any)
            if parameter.default is None and hint is not Any:
                hint = typing.Optional[hint]  # noqa: UP045  Not every annotation has an operator |.
            value = Parameter(parameter.name, hint, parameter.default is _EMPTY)
            if parameter.kind in _POSITIONAL:
                positional.append(value)
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                self.keyword_only[parameter.name] = value
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.var_positional = hint
            else:
                self.var_keyword = hint
        self.positional = tuple(positional)
        self._named_types = tuple((parameter.name, parameter.type) for parameter in positional)
        self._required = sum(parameter.is_required for parameter in positional)
        self._positional_only = sum(value.kind is _POSITIONAL_ONLY for value in signature.parameters.values())

    def __repr__(self) -> str:
        return f"<CallSignature {self.name}{self._signature}>"

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, skip_first: bool = False, local_names: Mapping[str, Any] | None = None
    ) -> CallSignature:
        """Read the signature of ``function``.

        Args:
            function: Any callable that ``inspect.signature`` understands.
            skip_first: Leave out the first parameter: ``self`` of a function that will be a method.
            local_names: Names for annotations given as text, beside the function's globals.

        Raises:
            TypeError: It has no signature, or no first parameter to skip.
        """
        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        try:
            signature = inspect.signature(function)
        except ValueError as error:
            raise TypeError(f"{name} has no signature that can be read") from error
        parameters = list(signature.parameters.values())
        if skip_first:
            if not parameters or parameters[0].kind not in _POSITIONAL:
                raise TypeError(f"{name} takes no self")
            signature = signature.replace(parameters=parameters[1:])
        hints, problems = _resolve(function, name, local_names)
        return cls(name.rpartition(".")[2], signature, hints, problems)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in one form, however the call was written: by position as far as that goes.

        Defaults are not filled in: they are the business of the code that runs, which may be newer.

        Raises:
            TypeError: Where the call would raise it.
        """
        if not kwargs:
            if self.is_complete(len(args)) and len(args) <= len(self.positional):
                return args, {}
        elif len(args) >= self._positional_only:
            merged = self._merge(args, kwargs)
            if merged is not None:
                return merged, {}
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        rest = dict(kwargs)
        in_order = list(args)
        for index in range(len(args), len(self.positional)):
            parameter = self.positional[index]
            if parameter.name not in rest or index < self._positional_only:
                break
            in_order.append(rest.pop(parameter.name))
        return tuple(in_order), rest

    def is_complete(self, count: int) -> bool:
        """Whether a call needs nothing but ``count`` arguments by position."""
        return count >= self._required and not self.keyword_only

    def _merge(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """All arguments by position, if names continue where positions end; inspect takes four times as long."""
        count = len(args) + len(kwargs)
        following = self.positional[len(args) : count]
        if count > len(self.positional) or not self.is_complete(count):
            return None
        try:
            return (*args, *[kwargs[parameter.name] for parameter in following])
        except KeyError:
            return None

    def type_at(self, index: int) -> tuple[str, Any]:
        """Name and type of the argument at a position, counting those of ``*args``.

        Raises:
            ConversionError: The function takes fewer.
        """
        if index < len(self._named_types):
            return self._named_types[index]
        if self.var_positional is None:
            raise ConversionError(f"{self.name}() takes {len(self.positional)} arguments by position, more are stored")
        return f"argument {index + 1}", self.var_positional

    def type_of(self, name: str) -> Any:
        """Type of the argument of this name.

        Raises:
            ConversionError: The function has no such parameter.
        """
        parameter = self.keyword_only.get(name)
        if parameter is not None:
            return parameter.type
        for parameter in self.positional[self._positional_only :]:
            if parameter.name == name:
                return parameter.type
        if self.var_keyword is None:
            raise ConversionError(f"{self.name}() has no parameter {name!r}, but a value for it is stored")
        return self.var_keyword

    def check_stored(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise ConversionError if stored arguments do not suffice or do not fit: the function was changed since."""
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ConversionError(f"the stored arguments do not fit {self.name}(): {error}") from None


def _resolve(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[str]]:
    target = _annotated(function)
    names = dict(local_names) if local_names else None
    try:
        return typing.get_type_hints(target, localns=names, include_extras=True), []
    except Exception:  # noqa: BLE001  Whatever one annotation raises, the others still count.
        return _resolve_each(target, name, names)


def _resolve_each(target: Any, name: str, names: dict[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    hints: dict[str, Any] = {}
    problems: list[str] = []
    annotations = getattr(target, "__annotations__", {})
    module_names = getattr(target, "__globals__", {})
    for parameter, annotation in annotations.items():
        holder = types.SimpleNamespace(__annotations__={parameter: annotation})
        try:
            hints |= typing.get_type_hints(holder, module_names, names, include_extras=True)
        except Exception as error:  # noqa: BLE001  Kept for a warning.
            problems.append(f"{name}: annotation {annotation!r} of {parameter!r} counts as Any: {error}")
    return hints, problems


def _annotated(function: Any) -> Any:
    """The function that carries the annotations of a callable: below partials, methods, wrappers and classes."""
    while not isinstance(function, types.FunctionType) or hasattr(function, "__wrapped__"):
        if hasattr(function, "__wrapped__"):
            function = typing.cast("Any", function).__wrapped__
        elif isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            is_class = isinstance(function, type)
            owner, method = (function, "__init__") if is_class else (type(function), "__call__")
            inner = inspect.getattr_static(owner, method, None)
            if not isinstance(inner, types.FunctionType):
                return function
            function = inner
    return function
