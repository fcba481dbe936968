"""`'…'.format([…])` as cel-go's strings of version 2 do it, whose numbers with `%f` and `%e` are written in English.

Source: cel-go's ext/formatting.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dabbawala.cel.arithmetic import too_long
from dabbawala.cel.conversions import to_string
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.strings import quoted
from dabbawala.cel.values import Uint, is_map, signature, type_of

_DEFAULT_PRECISION = 6
_PRECISION_MAX = 1000  # digits
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_text(template: Any, arguments: Any) -> str:
    """The template with its clauses filled in. Raises EvaluationError."""
    if type(template) is not str or type(arguments) is not list:
        raise signature("format", template, arguments)
    made: list[str] = []
    at = used = 0
    while at < len(template):
        letter = template[at]
        if letter != "%":
            made.append(letter)
            at += 1
        elif template[at + 1 : at + 2] == "%":
            made.append("%")
            at += 2
        else:
            verb, precision, at = _clause(template, at + 1)
            if used >= len(arguments):
                raise EvaluationError(f"index {used} out of range")
            made.append(_filled(verb, precision, arguments[used]))
            used += 1
    too_long(sum(map(len, made)))
    return "".join(made)


def _clause(template: str, at: int) -> tuple[str, int, int]:
    """The verb of a clause, its precision, and where the text goes on."""
    precision = _DEFAULT_PRECISION
    if template[at : at + 1] == ".":
        end = at + 1
        while template[end : end + 1].isdecimal():
            end += 1
        if end - at > 5 or end == at + 1:
            raise EvaluationError("could not parse formatting clause: error while parsing precision")
        precision, at = int(template[at + 1 : end]), end
    verb = template[at : at + 1]
    if not verb:
        raise EvaluationError("could not parse formatting clause: unexpected end of string")
    if verb not in _VERBS:
        raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')
    if precision > _PRECISION_MAX:
        raise EvaluationError(f"could not parse formatting clause: precision over {_PRECISION_MAX}")
    return verb, precision, at + 1


def _filled(verb: str, precision: int, value: Any) -> str:
    try:
        return _VERBS[verb](value, precision)
    except TypeError:
        kinds, name = _EXPECTED[verb], type_of(value).name
        raise EvaluationError(f"error during formatting: {kinds} was given {name}") from None


def _string(value: Any, precision: int = 0) -> str:
    if value is None:
        return "null"
    if type(value) is list:
        return f"[{', '.join(map(_literal, value))}]"
    if is_map(value):
        return f"{{{', '.join(f'{key}:{part}' for key, part in sorted(_entries(value)))}}}"
    if type(value) in (str, int, bool, Uint, float, bytes) or hasattr(value, "cel_string"):
        return to_string(value)
    if type_of(value).name == "type":
        return str(value)
    raise TypeError


def _entries(value: Any) -> list[tuple[str, str]]:
    return [(_literal(key), _literal(part)) for key, part in value.items()]


def _literal(value: Any) -> str:
    """A value inside a list or a map, as it would be written in an expression."""
    if type(value) is str:
        return quoted(value)
    if type(value) is bytes:
        return "b" + quoted(to_string(value))
    if type(value) is float:
        return f"{value:.6f}" if math.isfinite(value) else quoted(to_string(value))
    if hasattr(value, "cel_string"):
        return repr(value)
    return _string(value)


def _decimal(value: Any, precision: int) -> str:
    if type(value) is int or type(value) is Uint:
        return str(int(value))
    raise TypeError


def _double(value: Any) -> float:
    if type(value) is str and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if type(value) is float:
        return value
    raise TypeError


def _fixed(value: Any, precision: int) -> str:
    number = _double(value)
    return f"{number:,.{precision}f}" if math.isfinite(number) else _infinite(number)


def _scientific(value: Any, precision: int) -> str:
    number = _double(value)
    if not math.isfinite(number):
        return _infinite(number)
    mantissa, _, exponent = f"{number:.{precision}e}".partition("e")
    return f"{mantissa}\u202f×\u202f10{exponent.removeprefix('+').translate(_RAISED)}"


def _infinite(number: float) -> str:
    return "NaN" if math.isnan(number) else "∞" if number > 0 else "-∞"


def _whole(form: str) -> Callable[[Any, int], str]:
    def written(value: Any, precision: int) -> str:
        if type(value) is bool and form == "b":
            return "1" if value else "0"
        if type(value) is int or type(value) is Uint:
            return format(int(value), form)
        if form in "xX" and type(value) in (str, bytes):
            digits = (value.encode() if type(value) is str else value).hex()
            return str(digits.upper() if form == "X" else digits)
        raise TypeError

    return written


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _string,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _whole("b"),
    "x": _whole("x"),
    "X": _whole("X"),
    "o": _whole("o"),
}
_EXPECTED = {
    "s": "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
    "timestamps,",
    "d": "decimal clause can only be used on integers,",
    "f": "fixed-point clause can only be used on doubles,",
    "e": "scientific clause can only be used on doubles,",
    "b": "only integers and bools can be formatted as binary,",
    "x": "only integers, byte buffers, and strings can be formatted as hex,",
    "X": "only integers, byte buffers, and strings can be formatted as hex,",
    "o": "octal clause can only be used on integers,",
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"format": format_text}
