"""The value rules of a custom kind's schema: required, enum, bounds, patterns, formats, list topology, oneOf.

A rule is a function of (value, raw schema, path) that yields what is wrong; `validate` walks the object and asks them
all. The messages are the ones that kube-openapi's validation gives, because users and tests match on them.
Source: apiextensions/v1 JSONSchemaProps, kube-openapi/pkg/validation.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import orjson

from dabbawala.apimachinery import clock, patterns
from dabbawala.apimachinery.patch import same
from dabbawala.apimachinery.schema import Schema
from dabbawala.apimachinery.status import FieldError, duplicate, invalid, not_supported, required
from dabbawala.apimachinery.structural import type_name

Rule = Callable[[Any, Mapping[str, Any], str], Iterator[FieldError]]
MAX_ERRORS = 100
_SCHEMA_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float),
    "object": (dict,), "array": (list,),
}  # fmt: skip


def validate(obj: Any, node: Schema, path: str = "") -> list[FieldError]:
    """What is wrong with the values of an object that has conformed (`structural.conform`); at most 100 errors."""
    errors = []
    for error in _walk(obj, node, path):
        errors.append(error)
        if len(errors) == MAX_ERRORS:
            break
    return errors


def _walk(value: Any, node: Schema, path: str) -> Iterator[FieldError]:
    if value is None and node.nullable:
        return
    yield from _check(value, node.raw, path)
    if isinstance(value, dict):
        for key, inner in value.items():
            child = node.at(key)
            if child is not None:
                yield from _walk(inner, child, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and node.items is not None:
        for index, inner in enumerate(value):
            yield from _walk(inner, node.items, f"{path}[{index}]")


def _check(value: Any, raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    for rule in _RULES.get(type(value), ()):
        yield from rule(value, raw, path)
    if raw.get("enum") is not None and not any(same(value, allowed) for allowed in raw["enum"]):
        yield not_supported(path, value, [str(allowed) for allowed in raw["enum"]])
    yield from _junctors(value, raw, path)


def _body(path: str, value: Any, message: str) -> FieldError:
    return invalid(path, value, f"{path or '<nil>'} in body {message}")


def _text(value: str, raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """The first of length and pattern that it breaks; a text that is too long is not searched."""
    length, pattern = len(value), raw.get("pattern")
    if length > raw.get("maxLength", length):
        yield FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {raw['maxLength']} bytes")
    elif length < raw.get("minLength", 0):
        yield _body(path, value, f"should be at least {raw['minLength']} chars long")
    elif pattern:
        yield from _pattern(value, pattern, path)
    check = _FORMATS.get(raw.get("format", ""))
    if check is not None and not check(value):
        yield _body(path, value, f'must be of type {raw["format"]}: "{value}"')


def _pattern(value: str, pattern: str, path: str) -> Iterator[FieldError]:
    """A definition with a bad pattern is refused; where one is stored, nothing matches it."""
    try:
        if patterns.within(pattern)(value):
            return
        yield _body(path, value, f"should match '{pattern}'")
    except patterns.BadPattern as wrong:
        yield _body(path, value, f"should match '{pattern}, but pattern is invalid: {wrong}'")


def _number(value: float, raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    low, high, step = raw.get("minimum"), raw.get("maximum"), raw.get("multipleOf")
    if low is not None and (value <= low if raw.get("exclusiveMinimum") else value < low):
        yield _body(path, value, f"should be greater than {'' if raw.get('exclusiveMinimum') else 'or equal to '}{low}")
    if high is not None and (value >= high if raw.get("exclusiveMaximum") else value > high):
        yield _body(path, value, f"should be less than {'' if raw.get('exclusiveMaximum') else 'or equal to '}{high}")
    if step and Fraction(str(value)) % Fraction(str(step)):
        yield _body(path, value, f"should be a multiple of {step}")


def _list(value: list[Any], raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    yield from _size(len(value), raw, path, ("maxItems", "minItems", "items"))
    kind = raw.get("x-kubernetes-list-type")
    if kind == "map":
        keys = raw.get("x-kubernetes-list-map-keys") or ()
        items = [item for item in value if isinstance(item, dict)]
        yield from _repeated([{key: item[key] for key in keys if key in item} for item in items], path)
    elif kind == "set":
        yield from _repeated(value, path)
    elif raw.get("uniqueItems") and any(_repeated(value, path)):
        yield _body(path, value, "shouldn't contain duplicates")


def _repeated(items: list[Any], path: str) -> Iterator[FieldError]:
    known: set[bytes] = set()
    for index, item in enumerate(items):
        encoded = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        if encoded in known:
            yield duplicate(f"{path}[{index}]", item if isinstance(item, str) else encoded.decode())
        known.add(encoded)


def _map(value: dict[str, Any], raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    yield from _size(len(value), raw, path, ("maxProperties", "minProperties", "properties"))
    for name in raw.get("required") or ():
        if name not in value:
            yield required(f"{path}.{name}" if path else name)


def _size(count: int, raw: Mapping[str, Any], path: str, words: tuple[str, str, str]) -> Iterator[FieldError]:
    most, least, noun = words
    if count > raw.get(most, count):
        yield FieldError(path, "FieldValueTooMany", f"Too many: {count}: must have at most {raw[most]} items")
    if count < raw.get(least, 0):
        yield _body(path, count, f"should have at least {raw[least]} {noun}")


_RULES: Mapping[type, tuple[Rule, ...]] = {
    str: (_text,), int: (_number,), float: (_number,), list: (_list,), dict: (_map,),
}  # fmt: skip


def _junctors(value: Any, raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    shown = type_name(value) if isinstance(value, dict | list) else value
    branches = raw.get("oneOf")
    if branches:
        count = sum(_valid(value, branch) for branch in branches)
        if count != 1:
            found = "Found none valid" if count == 0 else f"Found {count} valid alternatives"
            yield _body(path, shown, f"must validate one and only one schema (oneOf). {found}")
    if raw.get("anyOf") and not any(_valid(value, branch) for branch in raw["anyOf"]):
        yield _body(path, shown, "must validate at least one schema (anyOf)")
    if raw.get("allOf") and not all(_valid(value, branch) for branch in raw["allOf"]):
        yield _body(path, shown, "must validate all the schemas (allOf)")
    if isinstance(raw.get("not"), dict) and _valid(value, raw["not"]):
        yield _body(path, shown, "must not validate the schema (not)")


def _valid(value: Any, raw: Mapping[str, Any]) -> bool:
    """Whether a value satisfies a branch of a junctor, which has no structure of its own."""
    wanted = raw.get("type")
    if wanted and (type(value) is bool) is not (wanted == "boolean"):
        return False
    if wanted and not isinstance(value, _SCHEMA_TYPES[wanted]):
        return False
    if any(_check(value, raw, "")):
        return False
    if isinstance(value, dict):
        known = raw.get("properties") or {}
        return all(_valid(inner, known[key]) for key, inner in value.items() if key in known)
    if isinstance(value, list) and isinstance(raw.get("items"), dict):
        return all(_valid(inner, raw["items"]) for inner in value)
    return True


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _uri(text: str) -> object:
    parts = urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(text)
    return parts


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
# Formats that Kubernetes enforces; unknown ones are ignored. Source: apiextensions pkg/apiserver/validation/formats.go.
_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _reads(clock.parse_time),
    "date": _reads(date.fromisoformat),
    "ipv4": _reads(ipaddress.IPv4Address),
    "ipv6": _reads(ipaddress.IPv6Address),
    "cidr": _reads(lambda text: ipaddress.ip_network(text, strict=False)),
    "byte": _reads(lambda text: base64.b64decode(text, validate=True)),
    "uuid": _reads(uuid.UUID),
    "uri": _reads(_uri),
    "email": _matches(r"[^@\s]+@[^@\s]+"),
    "hostname": _matches(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*"),
    "mac": _matches(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"),
    "duration": _matches(r"-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+|0"),
}
