"""The pod template hash that Argo Rollouts computes: FNV-1a over Go's JSON of the template.

Libraries of one generation write `"creationTimestamp":null`, later ones leave it out, and with it every hash changed;
so there are two, and a set that carries either is the template's own. Source: Go's encoding/json;
k8s.io/apimachinery/pkg/util/rand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.templates import ALPHABET
from dabbawala.rollout.go_fields import TYPES, Field

_ESCAPES = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def hashes(template: Object, collisions: int = 0) -> tuple[str, str]:
    """The hash as today's libraries make it, and as older ones did."""
    return tuple(  # type: ignore[return-value]  # a generator of two
        short_hash(encode(template, old=old), collisions) for old in (False, True)
    )


def encode(template: Object, *, old: bool = False) -> str:
    return _struct("PodTemplateSpec", template, old)


def short_hash(text: str, collisions: int = 0) -> str:
    """FNV-1a-32 of the text and of a collision count, in letters that spell no words."""
    value = 0x811C9DC5
    tail = collisions.to_bytes(8, "little") if collisions else b""
    for byte in text.encode() + tail:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(value))


def _struct(type_: str, value: Object, old: bool) -> str:
    fields = [f'"{name}":{text}' for name, text in _fields(type_, value, old)]
    return "{" + ",".join(fields) + "}"


def _fields(type_: str, value: Object, old: bool) -> Iterator[tuple[str, str]]:
    known = TYPES[type_]
    for field in known:
        if old and field.name == "creationTimestamp":
            yield field.name, "null"
            continue
        given = value.get(field.name)
        if given is None and field.always:
            given = {}
        if given is None or (not given and _omitted(field, given)):
            continue
        yield field.name, _value(field, given, old)
    for name in sorted(value.keys() - {field.name for field in known}):
        if value[name] is not None:
            yield name, _plain(value[name])


def _omitted(field: Field, given: Any) -> bool:
    """Whether an empty value is left out: lists and maps always, structs never, the rest as declared."""
    if isinstance(given, list) or (isinstance(given, dict) and (not field.type or field.is_map)):
        return True
    return field.omits_zero


def _value(field: Field, given: Any, old: bool) -> str:
    if field.type == "Quantity":
        if field.is_map:
            return _plain({name: quantity.canonical(amount) for name, amount in given.items()})
        return _plain(quantity.canonical(given))
    if not field.type:
        return _plain(given)
    if isinstance(given, list):
        return "[" + ",".join(_struct(field.type, item, old) for item in given) + "]"
    return _struct(field.type, given, old)


def _plain(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text
