"""Operators on numbers, text and lists: 64-bit whole numbers that never wrap, and comparison across kinds of number."""

from __future__ import annotations

import math
from typing import Any

from dabbawala.cel.errors import CostExceeded, EvaluationError
from dabbawala.cel.values import LARGEST_INT, LARGEST_UINT, SMALLEST_INT, Uint, is_number

TEXT_MAX = 16 * 2**20  # characters or bytes that one operation may make
LIST_MAX = 2**20  # elements


def no_overload() -> EvaluationError:
    return EvaluationError("no such overload")


def whole(value: int) -> int:
    if SMALLEST_INT <= value <= LARGEST_INT:
        return value
    raise EvaluationError("integer overflow")


def unsigned(value: int) -> Uint:
    if 0 <= value <= LARGEST_UINT:
        return Uint(value)
    raise EvaluationError("unsigned integer overflow")


def too_long(length: int, limit: int = TEXT_MAX) -> None:
    """Raises CostExceeded before memory is taken for a result that nobody can want."""
    if length > limit:
        raise CostExceeded(f"operation cancelled: a result of {length} elements is over the limit of {limit}")


def add(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return whole(left + right)
        if kind is str or kind is bytes:
            too_long(len(left) + len(right))
            return left + right
        if kind is list:
            too_long(len(left) + len(right), LIST_MAX)
            return left + right
        if kind is float:
            return left + right
        if kind is Uint:
            return unsigned(int(left) + int(right))
    if hasattr(left, "cel_add"):
        return left.cel_add(right)
    raise no_overload()


def subtract(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return whole(left - right)
        if kind is float:
            return left - right
        if kind is Uint:
            return unsigned(int(left) - int(right))
    if hasattr(left, "cel_subtract"):
        return left.cel_subtract(right)
    raise no_overload()


def multiply(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return whole(left * right)
        if kind is float:
            return left * right
        if kind is Uint:
            return unsigned(int(left) * int(right))
    raise no_overload()


def divide(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is not type(right):
        raise no_overload()
    if kind is float:
        return _divided(left, right)
    if kind is not int and kind is not Uint:
        raise no_overload()
    if right == 0:
        raise EvaluationError("division by zero")
    quotient = abs(int(left)) // abs(int(right))
    if kind is Uint:
        return Uint(quotient)
    return whole(quotient if (left < 0) == (right < 0) else -quotient)


def _divided(left: float, right: float) -> float:
    """IEEE 754, which Python refuses for a zero."""
    if right:
        return left / right
    if not left or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def modulo(left: Any, right: Any) -> Any:
    kind = type(left)
    if kind is not type(right) or (kind is not int and kind is not Uint):
        raise no_overload()
    if right == 0:
        raise EvaluationError("modulus by zero")
    if left == SMALLEST_INT and right == -1:
        raise EvaluationError("integer overflow")
    remainder = abs(int(left)) % abs(int(right))
    return Uint(remainder) if kind is Uint else -remainder if left < 0 else remainder


def negate(value: Any) -> Any:
    if type(value) is int:
        return whole(-value)
    if type(value) is float:
        return -value
    if hasattr(value, "cel_negate"):
        return value.cel_negate()
    raise no_overload()


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1. Raises EvaluationError for what has no order."""
    kind = type(left)
    if kind is type(right):
        if kind is not str and kind is not int and kind not in (float, bool, bytes, Uint):
            if not hasattr(left, "cel_order"):
                raise no_overload()
            left, right = left.cel_order, right.cel_order
    elif not (is_number(left) and is_number(right)):
        raise no_overload()
    if left < right:
        return -1
    if left > right:
        return 1
    if left != right:
        raise EvaluationError("NaN values cannot be ordered")
    return 0


def less(left: Any, right: Any) -> bool:
    return compare(left, right) == -1


def less_equals(left: Any, right: Any) -> bool:
    return compare(left, right) <= 0


def greater(left: Any, right: Any) -> bool:
    return compare(left, right) == 1


def greater_equals(left: Any, right: Any) -> bool:
    return compare(left, right) >= 0
