"""Writes JSON objects in Kubernetes' protobuf form, from the same table that the product reads with, for tests."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson

from dabbawala.apimachinery import clock, protobuf


def encode(obj: dict[str, Any]) -> bytes:
    """The request body of an object, envelope included."""
    api_version, kind = obj["apiVersion"], obj["kind"]
    head = _field(1, api_version.encode()) + _field(2, kind.encode())
    raw = _message(obj, protobuf.message_of(api_version, kind))
    return protobuf.MAGIC + _field(1, head) + _field(2, raw) + _field(3, b"") + _field(4, b"")


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _field(number: int, value: bytes | int | float) -> bytes:
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    return _varint(number << 3) + _varint(int(value))


def _message(obj: dict[str, Any], name: str) -> bytes:
    out = b""
    for number, field in protobuf._fields(name).items():
        if field.inline:
            out += _field(number, _message(obj, field.code[2:]))
            continue
        if obj.get(field.name) is None:
            continue
        value = obj[field.name]
        if field.many == "[":
            out += b"".join(_field(number, _value(item, field.code)) for item in value)
        elif field.many == "{":
            for key, item in value.items():
                out += _field(number, _field(1, key.encode()) + _field(2, _value(item, field.code)))
        else:
            out += _field(number, _value(value, field.code))
    return out


def _value(value: Any, code: str) -> bytes | int | float:
    if code.startswith("m:"):
        return _message(value, code[2:])
    match code:
        case "s":
            return str(value).encode()
        case "b" | "i":
            return int(value)
        case "f":
            return float(value)
        case "y":
            return base64.b64decode(value)
        case "quantity":
            return _field(1, value.encode())
        case "intorstring":
            return (
                _field(1, 1) + _field(3, value.encode()) if isinstance(value, str) else _field(1, 0) + _field(2, value)
            )
        case "raw":
            return _field(1, orjson.dumps(value))
        case "strings":
            return b"".join(_field(1, item.encode()) for item in value)
        case "time" | "microtime":
            moment = clock.parse_time(value)
            return _field(1, int(moment.timestamp())) + _field(2, moment.microsecond * 1000)
        case _:
            return _schema_or(value, code)


def _schema_or(value: Any, code: str) -> bytes:
    schema_name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    if isinstance(value, bool):
        return _field(1, int(value))
    if isinstance(value, list):
        return b"".join(
            _field(2, item.encode() if isinstance(item, str) else _message(item, schema_name)) for item in value
        )
    if code == "orbool":
        return _field(1, 1) + _field(2, _message(value, schema_name))
    return _field(1, _message(value, schema_name))
