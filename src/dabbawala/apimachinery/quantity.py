"""Quantities such as `500m`, `1.5Gi` and `2e3`, exactly.

A quantity is a decimal number with a suffix; it is never a float here, because sums of requests decide whether a
pod fits. Precision ends at 1n: anything finer is rounded away from zero, as upstream does.
Source: apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal
from functools import lru_cache

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_NAMES = ("", *_BINARY)
_DECIMAL_NAMES = {power: name for name, power in _DECIMAL.items()}
_FORM = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d+))?")
_FINEST = -9
_NANO = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
_EXACT = Context(prec=200)
_LONGEST = 128  # characters
_LONGEST_EXPONENT = 3


class QuantityError(ValueError):
    """The text is not a quantity. The message is the one that the API gives."""

    def __init__(self, value: object) -> None:
        pattern = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
        super().__init__(f"quantities must match the regular expression '{pattern}', got {value!r}")


def parse(value: str | int | float) -> Decimal:
    """The number, exact down to 1n. Raises QuantityError."""
    return _parse(value if isinstance(value, str) else str(value))[0]


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Decimal, str]:
    """The number and its family: `binary` (Ki), `decimal` (k) or `exponent` (e3)."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or len(found[3] or "") > _LONGEST_EXPONENT + 1:
        raise QuantityError(text)
    number, suffix, exponent = Decimal(found[1]), found[2] or "", found[3]
    if suffix in _BINARY:
        number, family = _EXACT.multiply(number, Decimal(1024 ** _BINARY[suffix])), "binary"
    elif exponent is not None:
        number, family = number.scaleb(int(exponent), _EXACT), "exponent"
    else:
        number, family = number.scaleb(_DECIMAL[suffix], _EXACT), "decimal"
    number = max(min(number, _LARGEST), -_LARGEST)
    if number.as_tuple().exponent < _FINEST:  # type: ignore[operator]  # finite by construction: never 'n', 'F'
        number = number.quantize(_NANO, rounding=ROUND_UP, context=_EXACT)
    return number, family


def is_valid(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    try:
        parse(value)
    except QuantityError:
        return False
    return True


def family(value: str | int | float) -> str:
    """How it is written: `binary` (Ki), `decimal` (k) or `exponent` (e3). Raises QuantityError."""
    return _parse(value if isinstance(value, str) else str(value))[1]


@lru_cache(maxsize=4096)
def canonical(value: str | int | float) -> str:
    """The one way the API writes this quantity back: `0.5` is `500m`, `1024Mi` is `1Gi`. Raises QuantityError."""
    number, family = _parse(value if isinstance(value, str) else str(value))
    return format_quantity(number, family)


def format_quantity(number: Decimal | int, family: str = "decimal") -> str:
    """The canonical text of a number in a family: `decimal`, `binary` or `exponent`."""
    number = Decimal(number)
    if not number:
        return "0"
    if family == "binary" and abs(number) >= 1024 and number == number.to_integral_value():
        return _format_binary(int(number))
    sign, digits, exponent = number.normalize(_EXACT).as_tuple()
    power = int(exponent)
    shift = power % 3
    mantissa = int("".join(map(str, digits))) * 10**shift
    power -= shift
    text = f"-{mantissa}" if sign else str(mantissa)
    if family == "exponent":
        return f"{text}e{power}" if power else text
    if power > 18:
        return f"{text}{'0' * (power - 18)}E"
    return f"{text}{_DECIMAL_NAMES[power]}"


def _format_binary(number: int) -> str:
    step = 0
    while number % 1024 == 0 and step < len(_BINARY_NAMES) - 1:
        number //= 1024
        step += 1
    return f"{number}{_BINARY_NAMES[step]}"


def milli(value: str | int | float) -> int:
    """Thousandths, rounded up: CPU `100m` is 100, `0.5` is 500."""
    return int(parse(value).scaleb(3, _EXACT).to_integral_value(ROUND_CEILING))


def whole(value: str | int | float) -> int:
    """The value as a whole number, rounded up: bytes of memory, count of pods."""
    return int(parse(value).to_integral_value(ROUND_CEILING))


def compare(left: str | int | float, right: str | int | float) -> int:
    """-1, 0 or 1."""
    first, second = parse(left), parse(right)
    return (first > second) - (first < second)


def add(left: str | int | float, right: str | int | float) -> str:
    """The sum, canonical, in the family of the first that is not zero."""
    (first, family), (second, other) = _parse(str(left)), _parse(str(right))
    return format_quantity(_EXACT.add(first, second), family if first else other)
