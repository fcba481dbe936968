"""All functions by name, as both evaluators call them: values in, a value or an EvaluationError out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dabbawala.cel import (
    addresses,
    arithmetic,
    authorizer,
    conversions,
    cost,
    formatting,
    lists,
    quantities,
    strings,
    times,
    urls,
    values,
)
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import NOTHING, Optional


def negated(value: Any) -> bool:
    if value is True or value is False:
        return not value
    raise EvaluationError("no such overload")


def optional_value(holder: Any) -> Any:
    if not isinstance(holder, Optional):
        raise EvaluationError("no such overload")
    if not holder.present:
        raise EvaluationError("optional.none() dereference")
    return holder.value


def has_value(holder: Any) -> bool:
    if isinstance(holder, Optional):
        return holder.present
    raise EvaluationError("no such overload")


def or_other(holder: Any, other: Any) -> Any:
    return holder if has_value(holder) else other


def or_value(holder: Any, other: Any) -> Any:
    return holder.value if has_value(holder) else other


def of_non_zero(value: Any) -> Optional:
    empty = value is None or (type(value) in (str, bytes, list, bool, int, float, values.Uint) and not value)
    return NOTHING if empty or (values.is_map(value) and not len(value)) else Optional(value)


OPERATORS: dict[str, Callable[..., Any]] = {
    "_==_": values.equals,
    "_!=_": lambda left, right: not values.equals(left, right),
    "_<_": arithmetic.less,
    "_<=_": arithmetic.less_equals,
    "_>_": arithmetic.greater,
    "_>=_": arithmetic.greater_equals,
    "_+_": arithmetic.add,
    "_-_": arithmetic.subtract,
    "_*_": arithmetic.multiply,
    "_/_": arithmetic.divide,
    "_%_": arithmetic.modulo,
    "-_": arithmetic.negate,
    "!_": negated,
    "@in": values.contains,
}
OPTIONALS: dict[str, Callable[..., Any]] = {
    "optional.of": Optional,
    "optional.none": lambda: NOTHING,
    "optional.ofNonZeroValue": of_non_zero,
    "value": optional_value,
    "hasValue": has_value,
    "or": or_other,
    "orValue": or_value,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **OPERATORS,
    **OPTIONALS,
    **conversions.FUNCTIONS,
    **times.FUNCTIONS,
    **strings.FUNCTIONS,
    **formatting.FUNCTIONS,
    **lists.FUNCTIONS,
    **quantities.FUNCTIONS,
    **urls.FUNCTIONS,
    **authorizer.FUNCTIONS,
    **addresses.FUNCTIONS,
}


MISSING = object()  # what an optional chain has instead of a value


class Costly(ArithmeticError):
    """The bound of the cost is over the limit of an expression: the interpreter decides."""


class Untyped(TypeError):
    """A variable has not the type that it was declared with: the interpreter takes it as it is."""


def truth(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise TypeError


def iterable(value: Any) -> Any:
    if type(value) is list or values.is_map(value):
        return value
    raise TypeError


def length(value: Any) -> int:
    return len(value) if type(value) in (str, list, dict, bytes, values.MixedMap) else 1


def boxed(value: Any) -> Optional:
    return NOTHING if value is MISSING else Optional(value)


def unboxed(value: Any) -> Any:
    return value.value if value.present else MISSING


def optional_element(value: Any) -> tuple[Any, ...]:
    return (value.value,) if value.present else ()


def optional_entry(key: Any, value: Any) -> tuple[tuple[Any, Any], ...]:
    return ((key, value.value),) if value.present else ()


def type_ident(variables: Any, name: str) -> Any:
    return values.TypeValue(values.TYPE_IDENTS[name])


# What compiled code finds by name beside the functions.
SUPPORT: dict[str, Any] = {
    "M": MISSING,
    "_truth": truth,
    "_range": iterable,
    "_length": length,
    "_index": values.index,
    "_boxed": boxed,
    "_unboxed": unboxed,
    "_lookup": values.lookup,
    "_as_map": values.as_map,
    "_optional_element": optional_element,
    "_optional_entry": optional_entry,
    "_type_ident": type_ident,
    "_uint": values.Uint,
    "_double": float,
    "_Costly": Costly,
    "_Untyped": Untyped,
    **cost.RULES,
}
BUILTINS: dict[str, Any] = {
    "len": len,
    "type": type,
    "str": str,
    "bool": bool,
    "int": int,
    "float": float,
    "list": list,
    "bytes": bytes,
}
