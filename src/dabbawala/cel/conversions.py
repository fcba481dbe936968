"""Conversions between types, and `type` itself, with the range errors of cel-go."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import LARGEST_INT, LARGEST_UINT, SMALLEST_INT, Uint, is_map, signature, type_of

_WHOLE = re.compile(r"[+-]?[0-9]+")
_UNSIGNED = re.compile(r"[0-9]+")
_DIGITS_MAX, _SHOWN = 100, 128  # characters
_FRACTION = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def to_int(value: Any) -> int:
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is Uint:
        if value > LARGEST_INT:
            raise EvaluationError("integer overflow")
        return int(value)
    if kind is float:
        if not math.isfinite(value) or not SMALLEST_INT < value < 2.0**63:
            raise EvaluationError("integer overflow")
        return int(value)
    if kind is str:
        return _parsed("ParseInt", _WHOLE, value, SMALLEST_INT, LARGEST_INT)
    if hasattr(value, "cel_int"):
        return int(value.cel_int())
    raise signature("int", value)


def _parsed(function: str, form: re.Pattern[str], text: str, least: int, most: int) -> int:
    if not form.fullmatch(text):
        raise EvaluationError(f'strconv.{function}: parsing "{text[:_SHOWN]}": invalid syntax')
    if len(text) > _DIGITS_MAX or not least <= int(text) <= most:
        raise EvaluationError(f'strconv.{function}: parsing "{text[:_SHOWN]}": value out of range')
    return int(text)


def to_uint(value: Any) -> Uint:
    kind = type(value)
    if kind is Uint:
        return Uint(value)
    if kind is int:
        if value < 0:
            raise EvaluationError("unsigned integer overflow")
        return Uint(value)
    if kind is float:
        if not math.isfinite(value) or value < 0 or value >= 2.0**64:
            raise EvaluationError("unsigned integer overflow")
        return Uint(value)
    if kind is str:
        return Uint(_parsed("ParseUint", _UNSIGNED, value, 0, LARGEST_UINT))
    raise signature("uint", value)


def to_double(value: Any) -> float:
    kind = type(value)
    if kind in (int, Uint, float):
        return float(value)
    if kind is str:
        if _FRACTION.fullmatch(value) or value.lower().lstrip("+-") in ("inf", "infinity", "nan"):
            return float(value)
        raise EvaluationError(f'strconv.ParseFloat: parsing "{value}": invalid syntax')
    raise signature("double", value)


def to_string(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is Uint:
        return str(int(value))
    if kind is float:
        return text_of_double(value)
    if kind is bytes:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if hasattr(value, "cel_string"):
        return str(value.cel_string())
    raise signature("string", value)


def text_of_double(value: float) -> str:
    """As Go's `%g` with the fewest digits: with an exponent below 1e-4 and from 1e6."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + int(exponent) - 1  # of the first digit
    if value == 0:
        return "-0" if sign else "0"
    if -4 <= power < 6:
        return f"{value:.{max(0, len(shown) - 1 - power)}f}"
    fraction = f".{shown[1:]}" if len(shown) > 1 else ""
    return f"{'-' if sign else ''}{shown[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def to_bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode()
    raise signature("bytes", value)


def to_bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value in ("true", "True", "TRUE", "t", "T", "1"):
        return True
    if type(value) is str and value in ("false", "False", "FALSE", "f", "F", "0"):
        return False
    raise (
        EvaluationError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
        if type(value) is str
        else signature("bool", value)
    )


def size(value: Any) -> int:
    if type(value) in (str, bytes, list) or is_map(value):
        return len(value)
    raise signature("size", value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "int": to_int,
    "uint": to_uint,
    "double": to_double,
    "string": to_string,
    "bytes": to_bytes,
    "bool": to_bool,
    "dyn": lambda value: value,
    "type": type_of,
    "size": size,
}
