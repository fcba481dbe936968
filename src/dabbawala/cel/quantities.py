"""Kubernetes quantities in expressions. Source: apiserver/pkg/cel/library/quantity.go."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

from dabbawala.apimachinery import quantity as quantities
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import LARGEST_INT, SMALLEST_INT, signature

_EXACT = Context(prec=200)


class Quantity:
    """An exact number; `1Gi` and `1024Mi` are the same."""

    __slots__ = ("number",)
    cel_type = "kubernetes.Quantity"

    def __init__(self, number: Decimal) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f'quantity("{quantities.format_quantity(self.number)}")'


def parse(text: Any) -> Quantity:
    if type(text) is not str:
        raise signature("quantity", text)
    try:
        return Quantity(quantities.parse(text))
    except quantities.QuantityError as error:
        raise EvaluationError(str(error)) from None


def is_quantity(text: Any) -> bool:
    if type(text) is not str:
        raise signature("isQuantity", text)
    return quantities.is_valid(text)


def _number(function: str, value: Any, *others: Any) -> Decimal:
    if type(value) is not Quantity:
        raise signature(function, value, *others)
    return value.number


def _operand(function: str, value: Any, other: Any) -> Decimal:
    return Decimal(other) if type(other) is int else _number(function, other, value)


def is_integer(value: Any) -> bool:
    number = _number("isInteger", value)
    return number == number.to_integral_value() and SMALLEST_INT <= number <= LARGEST_INT


def as_integer(value: Any) -> int:
    if not is_integer(value):
        raise EvaluationError("cannot convert value to integer")
    return int(_number("asInteger", value))


def sign(value: Any) -> int:
    number = _number("sign", value)
    return (number > 0) - (number < 0)


def compare(value: Any, other: Any) -> int:
    left, right = _number("compareTo", value, other), _number("compareTo", other, value)
    return (left > right) - (left < right)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "quantity": parse,
    "isQuantity": is_quantity,
    "isInteger": is_integer,
    "asInteger": as_integer,
    "asApproximateFloat": lambda value: float(_number("asApproximateFloat", value)),
    "sign": sign,
    "isGreaterThan": lambda value, other: compare(value, other) > 0,
    "isLessThan": lambda value, other: compare(value, other) < 0,
    "compareTo": compare,
    "add": lambda value, other: Quantity(_EXACT.add(_number("add", value, other), _operand("add", value, other))),
    "sub": lambda value, other: Quantity(_EXACT.subtract(_number("sub", value, other), _operand("sub", value, other))),
}
