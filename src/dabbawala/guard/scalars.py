"""What a plain word of YAML means to Kubernetes: JSON's types, by the rules of the reader that kubectl has.

That reader speaks YAML 1.1 where people least expect it: `yes` and `off` are booleans, `014` is twelve. Dates stay
strings and so does `22:30`. A float without a fraction is an integer once it has been through JSON. Pure.
Source: sigs.k8s.io/yaml, goyaml.v2 resolve.go.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL = ("", "~", "null", "Null", "NULL")
_NOT_FINITE = (".nan", ".NaN", ".NAN", *(sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")))
_WORDS: dict[str, Any] = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False), **dict.fromkeys(_NULL)}
_HINTS = frozenset("yYnNtTfFoO~+-.0123456789")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_POINT_FIRST = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+)?\Z")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z")
_BASES = (16, 2, 8, 10)
_DIGITS_MAX = 80
_NUMBER_LENGTH_MAX = 1000
_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_STANDARD = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,), "int": (int,), "float": (int, float), "null": (type(None),),
}  # fmt: skip


def resolve(text: str) -> Any:
    """The value of a scalar without quotes and without a tag. Raises ValueError for what JSON cannot hold."""
    if text and (text[0] not in _HINTS or len(text) > _NUMBER_LENGTH_MAX):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text in _NOT_FINITE:
        raise ValueError(f"{text} has no place in JSON")
    return _number(text)


def _number(text: str) -> Any:
    if text[0] == "." and not _POINT_FIRST.match(text):
        return text
    plain = text.replace("_", "")
    found = _INTEGER.match(plain)
    if found is not None and len(plain) <= _DIGITS_MAX:
        value = _integer(found)
        if _INT64_MIN <= value <= _UINT64_MAX:
            return value
    return _float(plain) if _NUMBER.match(plain) else text


def _integer(found: re.Match[str]) -> int:
    base, digits = next((base, digits) for base, digits in zip(_BASES, found.groups()[1:], strict=True) if digits)
    value = int(digits, base)
    return -value if found[1] == "-" else value


def _float(plain: str) -> int | float | str:
    value = float(plain)
    if not math.isfinite(value):
        return plain
    return int(value) if value.is_integer() and _INT64_MIN <= value <= _INT64_MAX else value


def tagged(text: str, tag: str) -> Any:
    """The value of a scalar with an explicit tag. Raises ValueError where the two do not agree."""
    name = tag.removeprefix(_STANDARD)
    if name == "binary":
        try:
            joined = text.replace("\n", "").replace("\r", "")
            return base64.b64decode(joined, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as wrong:
            raise ValueError("!!binary value contains invalid base64 data") from wrong
    wanted = _TYPES.get(name) if name != tag else None
    if wanted is None:
        return text
    value = resolve(text)
    if not isinstance(value, wanted) or (isinstance(value, bool) and name != "bool"):
        raise ValueError(f"cannot decode `{text[:40]}` as a !!{name}")
    return value


def key(value: Any) -> str:
    """A mapping's key as JSON has it: `on:` is the key `true`. Raises ValueError for what cannot be one."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(value)
        case _:
            raise ValueError("a key must be a word: null and collections cannot be the name of a field")
