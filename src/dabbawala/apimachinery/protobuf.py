"""Request bodies in Kubernetes' protobuf form, decoded to the JSON object that they stand for.

kubectl's typed commands, helm and every client-go program send built-in kinds as protobuf and do not fall back, so a
server must read it; answers may be JSON. A body is four magic bytes and an envelope (runtime.Unknown) around the
message of the kind. Messages are described by a compact table (`tools/extract_protobuf.py` made it), compiled when
first used. What Go's JSON leaves out when it is empty is left out here too. Unknown fields are skipped, as protobuf
asks. Source: apimachinery/pkg/runtime/serializer/protobuf, and the field numbers of k8s.io/api.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery import clock, schema
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
MAX_DEPTH = 64
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Malformed(ValueError):
    """The bytes are no message; `decode` turns it into BadRequest."""


class _Field(NamedTuple):
    name: str
    code: str
    many: str
    omit_zero: bool
    inline: bool


_Fields = Mapping[int, _Field]


def decode(body: bytes, *, message: str = "") -> Object:
    """The object in a request's body. `message` names the definition to read it as (`io.k8s.api.core.v1.Pod`); by
    default the envelope's apiVersion and kind say it. Raises BadRequest."""
    if not body.startswith(MAGIC):
        raise BadRequest("the body of the request does not begin with the bytes 'k8s\\0' of Kubernetes' protobuf form")
    try:
        return _enveloped(body, message, 0)
    except (_Malformed, UnicodeDecodeError, OverflowError, struct.error) as error:
        raise BadRequest(f"the body of the request is not a valid protobuf message: {error}") from error


def _enveloped(body: bytes, message: str, depth: int) -> Object:
    if depth > MAX_DEPTH:
        raise _Malformed("messages are nested too deeply")
    envelope = _split(body, 4, len(body))
    head = envelope.get(1, b"")
    kind_of = _split(head, 0, len(head))
    api_version, kind = kind_of.get(1, b"").decode(), kind_of.get(2, b"").decode()
    raw = envelope.get(2, b"")
    if envelope.get(4, b"") == b"application/json":
        obj = _any_json(raw)
        if not isinstance(obj, dict):
            raise _Malformed("the enveloped JSON is not an object")
    else:
        obj = _message(raw, _fields(message or message_of(api_version, kind)), depth)
    return {"apiVersion": api_version, "kind": kind, **obj} if kind else obj


def message_of(api_version: str, kind: str) -> str:
    """The definition that a kind's message has. Raises BadRequest for a kind that has none."""
    group, _, version = api_version.rpartition("/")
    known = _index()[0]
    for name in (schema.definition_of(group, version, kind), f"{_META}.{kind}"):
        if name in known:
            return name
    raise BadRequest(f'no protobuf message is known for kind "{kind}" in version "{api_version}"; send JSON')


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, list[int]], memoryview]:
    return schema.read_table("protobuf.z")


@cache
def _fields(message: str) -> _Fields:
    places, body = _index()
    if message not in places:
        # Messages without fields (BasicSchedulingPolicy and the like) have no entry.
        return {}
    offset, length = places[message]
    compiled = {}
    for number, name, code, flags in orjson.loads(body[offset : offset + length]):
        many = code[0] if code[0] in "[{" else ""
        compiled[number] = _Field(name, code.lstrip("[{"), many, "o" in flags and "p" not in flags, "n" in flags)
    return compiled


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed("a number does not end")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _next(data: bytes, at: int) -> tuple[int, int, Any, int]:
    """The field at a place: its number, wire type and value, and where the next one begins."""
    tag, at = _varint(data, at)
    wire = tag & 7
    if wire == _VARINT:
        value, at = _varint(data, at)
        return tag >> 3, wire, value, at
    if wire == _BYTES:
        length, at = _varint(data, at)
    elif wire in (_FIXED64, _FIXED32):
        length = 8 if wire == _FIXED64 else 4
    else:
        raise _Malformed(f"unknown wire type {wire}")
    end = at + length
    if end > len(data):
        raise _Malformed("a field is longer than the message")
    return tag >> 3, wire, data[at:end], end


def _split(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """The fields of a small message by number; the last of each counts."""
    found: dict[int, bytes] = {}
    while at < end:
        number, wire, value, at = _next(data, at)
        if wire == _BYTES:
            found[number] = value
    return found


def _message(data: bytes, fields: _Fields, depth: int) -> Object:
    if depth > MAX_DEPTH:
        raise _Malformed("messages are nested too deeply")
    result: Object = {}
    at, end = 0, len(data)
    while at < end:
        # Nearly all fields are short texts or messages: one byte of tag, one of length. The rest takes the long way.
        tag, stop = data[at], at + 2 + (data[at + 1] if at + 1 < end else end)
        if tag & 0x87 == _BYTES and stop <= end and data[at + 1] < 128:
            number, wire, raw, at = tag >> 3, _BYTES, data[at + 2 : stop], stop
        else:
            number, wire, raw, at = _next(data, at)
        field = fields.get(number)
        if field is None:
            continue
        if field.many:
            _add(result, field, (wire, raw), depth)
        elif field.code == "s" and wire == _BYTES:
            if raw or not field.omit_zero:
                result[field.name] = raw.decode()
        else:
            _set(result, field, _value(field.code, wire, raw, depth=depth))
    return result


def _add(result: Object, field: _Field, found: tuple[int, Any], depth: int) -> None:
    if field.many == "{":
        key, value = _entry(found[1], field.code, depth)
        result.setdefault(field.name, {})[key] = value
    else:
        _append(result.setdefault(field.name, []), field.code, found, depth)


def _set(result: Object, field: _Field, value: Any) -> None:
    if field.inline:
        result.update(value)
    elif value is None or (field.omit_zero and not value):
        result.pop(field.name, None)
    else:
        result[field.name] = value


def _append(items: list[Any], code: str, found: tuple[int, Any], depth: int) -> None:
    """One item, or several numbers packed into one field."""
    wire, raw = found
    if wire == _BYTES and code in ("i", "b"):
        at = 0
        while at < len(raw):
            number, at = _varint(raw, at)
            items.append(_value(code, _VARINT, number, depth=depth))
    else:
        items.append(_value(code, wire, raw, depth=depth))


def _entry(data: Any, code: str, depth: int) -> tuple[str, Any]:
    """A map's entry: key 1, value 2, either left out when it is zero."""
    if not isinstance(data, bytes):
        raise _Malformed("a map's entry is no message")
    key, value, at = "", None, 0
    while at < len(data):
        number, wire, raw, at = _next(data, at)
        if number == 1:
            key = _value("s", wire, raw, depth=depth)
        elif number == 2:
            value = _value(code, wire, raw, depth=depth)
    return key, _ZERO.get(code, {}) if value is None else value


_ZERO: Mapping[str, Any] = {"s": "", "b": False, "i": 0, "f": 0, "y": "", "quantity": "0", "raw": None}


def _value(code: str, wire: int, raw: Any, *, depth: int) -> Any:
    if wire == _BYTES and code in _READ:
        return _READ[code](raw, depth)
    if wire == _BYTES and code[:2] == "m:":
        return _message(raw, _fields(code[2:]), depth + 1)
    if wire == _VARINT and code in ("i", "b"):
        return bool(raw) if code == "b" else raw - (1 << 64) if raw >= 1 << 63 else raw
    if code == "f" and wire == _FIXED64:
        return _number(struct.unpack("<d", raw)[0])
    raise _Malformed(f"wire type {wire} does not fit a field of type {code}")


def _number(value: float) -> float:
    """As JSON writes it: a float64 that is whole is printed without a fraction."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _signed(data: bytes, number: int) -> int:
    at = 0
    found = 0
    while at < len(data):
        key, wire, value, at = _next(data, at)
        if key == number and wire == _VARINT:
            found = value - (1 << 64) if value >= 1 << 63 else value
    return found


def _moment(data: bytes) -> datetime:
    return _EPOCH + timedelta(seconds=_signed(data, 1), microseconds=_signed(data, 2) // 1000)


def _time(data: bytes, depth: int) -> str | None:
    return clock.format_time(_moment(data)) if data else None


def _micro_time(data: bytes, depth: int) -> str | None:
    return clock.format_micro_time(_moment(data)) if data else None


def _quantity(data: bytes, depth: int) -> str:
    return _split(data, 0, len(data)).get(1, b"0").decode() or "0"


def _int_or_string(data: bytes, depth: int) -> int | str:
    if _signed(data, 1):
        return _split(data, 0, len(data)).get(3, b"").decode()
    return _signed(data, 2)


def _raw(data: bytes, depth: int) -> Any:
    inner = _split(data, 0, len(data)).get(1, b"")
    if inner.startswith(MAGIC):
        return _enveloped(inner, "", depth + 1)
    return _any_json(inner) if inner else None


def _any_json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _Malformed(f"embedded JSON: {error}") from error


def _strings(data: bytes, depth: int, number: int = 1) -> list[str]:
    found, at = [], 0
    while at < len(data):
        key, wire, value, at = _next(data, at)
        if key == number and wire == _BYTES:
            found.append(value.decode())
    return found


def _schema_or_bool(data: bytes, depth: int) -> Any:
    inner = _split(data, 0, len(data)).get(2)
    return bool(_signed(data, 1)) if inner is None else _message(inner, _fields(_JSON_SCHEMA), depth + 1)


def _schema_or_list(data: bytes, depth: int) -> Any:
    listed, at = [], 0
    while at < len(data):
        number, _, value, at = _next(data, at)
        if number in (1, 2) and isinstance(value, bytes):
            node = _message(value, _fields(_JSON_SCHEMA), depth + 1)
            if number == 1:
                return node
            listed.append(node)
    return listed


def _schema_or_strings(data: bytes, depth: int) -> Any:
    inner = _split(data, 0, len(data)).get(1)
    return _strings(data, depth, 2) if inner is None else _message(inner, _fields(_JSON_SCHEMA), depth + 1)


_READ: Mapping[str, Callable[[bytes, int], Any]] = {
    "s": lambda data, depth: data.decode(),
    "y": lambda data, depth: base64.b64encode(data).decode(),
    "time": _time,
    "microtime": _micro_time,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "raw": _raw,
    "strings": _strings,
    "orbool": _schema_or_bool,
    "orarray": _schema_or_list,
    "orstrings": _schema_or_strings,
}
