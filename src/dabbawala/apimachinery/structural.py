"""Objects against their schema: unknown fields, types, nulls, defaults.

`conform` is the one walk that every written object goes through. It works in place on a private copy, because
what it removes is rarely there: unknown fields go (and are reported), a null counts as absent, quantities, times and
bytes get their canonical form in built-in kinds, and values of the wrong type are reported. Custom kinds then get
their schema's defaults (`default`) and the checks of `structural_values`.
Sources: KEP-2885 (field validation), apiextensions structural schemas, encoding/json for the words of type errors.
"""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery import clock, quantity, schema
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import MISSING, Schema
from dabbawala.apimachinery.status import BadRequest, FieldError, invalid

_SMALL = 2**31
_INTEGERS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_GO_TYPES = {"string": "string", "boolean": "bool", "number": "float64"}
_JSON_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value of the wrong type. `owner` is the built-in definition whose field it is; `problem` says more where the
    type is right but the text is not (a time, a quantity)."""

    path: str
    wanted: str
    value: Any
    owner: str = ""
    problem: str = ""

    def field_error(self) -> FieldError:
        """In the words used for custom kinds."""
        found = type_name(self.value)
        if self.problem:
            return invalid(self.path, self.value, self.problem)
        return invalid(self.path, found, f'{self.path} in body must be of type {self.wanted}: "{found}"')

    def go_message(self) -> str:
        """In the words used for built-in kinds."""
        if self.problem:
            return self.problem
        found = "bool" if isinstance(self.value, bool) else _JSON_NAMES.get(type(self.value), "null")
        found = {"integer": "number", "boolean": "bool"}.get(found, found)
        if found == "number" and self.wanted.startswith("int"):
            found = f"number {self.value}"
        struct = self.owner.rpartition(".")[2]
        place = f"{struct}.{_unindexed(self.path)}"
        return f"json: cannot unmarshal {found} into Go struct field {place} of type {self.wanted}"


@dataclass(slots=True)
class Findings:
    """What `conform` removed and what it could not accept."""

    unknown: list[str] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """`unknown field "spec.foo"`, as a Warning header or a strict decoding error says it."""
        return [f'unknown field "{path}"' for path in self.unknown]

    def field_errors(self) -> list[FieldError]:
        return [mismatch.field_error() for mismatch in self.mismatches]


def type_name(value: Any) -> str:
    return "null" if value is None else _JSON_NAMES[type(value)]


def strict_error(api_version: str, kind: str, problems: Iterable[str]) -> BadRequest:
    """400 as `fieldValidation=Strict` answers it; `problems` are the warnings of unknown and duplicate fields."""
    return BadRequest(_cannot(api_version, kind, f"strict decoding error: {', '.join(problems)}"))


def decode_error(api_version: str, kind: str, mismatch: Mismatch) -> BadRequest:
    """400 for a built-in kind with a value of the wrong type."""
    return BadRequest(_cannot(api_version, kind, mismatch.go_message()))


def _cannot(api_version: str, kind: str, why: str) -> str:
    version = api_version.rpartition("/")[2]
    return f'{kind} in version "{version}" cannot be handled as a {kind}: {why}'


def _unindexed(path: str) -> str:
    return ".".join(part.partition("[")[0] for part in path.split("."))


def conform(obj: Object, node: Schema, *, pruning: bool = True) -> Findings:
    """Make `obj`, in place, what its schema says, and report what was not. Without `pruning` unknown fields stay
    where they are and are only reported."""
    walk = _Walk(Findings(), custom=node.custom, pruning=pruning)
    walk.object(obj, node, "")
    return walk.findings


class _Walk:
    """One pass over one object. Each method gets a value, its schema and its path."""

    __slots__ = ("custom", "findings", "pruning")

    def __init__(self, findings: Findings, *, custom: bool, pruning: bool) -> None:
        self.findings = findings
        self.custom = custom
        self.pruning = pruning

    def object(self, obj: Object, node: Schema, path: str) -> None:
        properties, extra, gone = node.properties, node.additional_properties, []
        for key, value in obj.items():
            child = properties.get(key) or extra
            if child is None:
                if not node.preserve_unknown and not _is_opaque(node):
                    self.findings.unknown.append(f"{path}.{key}" if path else key)
                    gone.append(key)
            elif value is None:
                if not child.nullable and child.default is MISSING:
                    gone.append(key)
            elif (kind := type(value)) is not child.plain or (kind is int and not -_SMALL <= value < _SMALL):
                changed = self.value(value, child, (f"{path}.{key}" if path else key, node.name))
                if changed is not value:
                    obj[key] = changed
        for key in gone:
            if self.pruning or obj[key] is None:
                del obj[key]

    def value(self, value: Any, node: Schema, at: tuple[str, str]) -> Any:
        """The value to keep: itself, or its canonical form."""
        kind = type(value)
        wanted = node.type
        if wanted == "object" and kind is dict:
            self.object(value, node, at[0])
        elif wanted == "array" and kind is list:
            self.list(value, node, at)
        elif wanted == "string" and kind is str:
            return self.text(value, node, at) if node.format and not self.custom else value
        elif not wanted:
            return self.untyped(value, node, at)
        elif not self.is_scalar(value, node):
            self.mismatch(value, _go_type(node) if not self.custom else wanted, at)
        return value

    def is_scalar(self, value: Any, node: Schema) -> bool:
        kind = type(value)
        match node.type:
            case "boolean":
                return kind is bool
            case "integer":
                return self.is_integer(value, node)
            case "number":
                return kind in (int, float)
            case _:
                return node.int_or_string and kind in (int, str)

    def is_integer(self, value: Any, node: Schema) -> bool:
        if type(value) is float:
            return self.custom and value.is_integer()
        if type(value) is not int:
            return False
        low, high = _INTEGERS.get(node.format, _INTEGERS["int64"])
        return low <= value <= high

    def untyped(self, value: Any, node: Schema, at: tuple[str, str]) -> Any:
        """Quantities, ints-or-strings, and nodes that allow anything."""
        if node.name == schema.QUANTITY:
            return self.quantity(value, at)
        if node.int_or_string:
            if type(value) not in (int, str):
                self.mismatch(value, "intstr.IntOrString", at)
        elif isinstance(value, dict) and node.properties:
            self.object(value, node, at[0])
        elif isinstance(value, list) and node.items is not None:
            self.list(value, node, at)
        return value

    def list(self, items: list[Any], node: Schema, at: tuple[str, str]) -> None:
        child = node.items
        if child is None:
            return
        for index, item in enumerate(items):
            if item is None and child.nullable:
                continue
            place = (f"{at[0]}[{index}]", at[1])
            changed = self.value(item, child, place)
            if changed is not item:
                items[index] = changed

    def quantity(self, value: Any, at: tuple[str, str]) -> Any:
        if self.custom:
            if type(value) not in (int, str, float):
                self.mismatch(value, "string", at)
            return value
        try:
            if isinstance(value, (str, int, float)) and not isinstance(value, bool):
                return quantity.canonical(value)
            self.mismatch(value, "resource.Quantity", at)
        except quantity.QuantityError as error:
            self.mismatch(value, "resource.Quantity", at, f"{at[0]}: {error}")
        return value

    def text(self, value: str, node: Schema, at: tuple[str, str]) -> str:
        read = _TEXT.get(node.name) or _TEXT.get(node.format)
        try:
            return read(value) if read is not None else value
        except ValueError as error:
            self.mismatch(value, node.format, at, f"{at[0]}: {error}")
            return value

    def mismatch(self, value: Any, wanted: str, at: tuple[str, str], problem: str = "") -> None:
        self.findings.mismatches.append(Mismatch(at[0], wanted, value, at[1], problem))


def _is_opaque(node: Schema) -> bool:
    """A built-in node of type object that lists no fields holds any map; a custom one is pruned to `{}`."""
    return node.raw.get("additionalProperties") is True or (not node.name and not node.custom and not node.properties)


def _go_type(node: Schema) -> str:
    if node.type == "array":
        return f"[]{_go_type(node.items)}" if node.items is not None else "[]interface {}"
    if node.type == "integer":
        return node.format or "int64"
    if node.type == "object":
        values = node.additional_properties
        return f"map[string]{_go_type(values)}" if values is not None else _struct(node.name)
    return _GO_TYPES.get(node.type, _struct(node.name))


def _struct(name: str) -> str:
    return ".".join(name.rsplit(".", 2)[1:]) or "map[string]interface {}"


def _canonical_time(text: str) -> str:
    if len(text) == 20 and text[10] == "T" and text[19] == "Z" and text[:4].isdigit():
        clock.parse_time(text)
        return text
    return clock.format_time(_parsed_time(text, "2006-01-02T15:04:05Z07:00"))


def _canonical_micro_time(text: str) -> str:
    return clock.format_micro_time(_parsed_time(text, "2006-01-02T15:04:05.000000Z07:00"))


def _parsed_time(text: str, layout: str) -> Any:
    try:
        return clock.parse_time(text)
    except ValueError:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"') from None


def _canonical_bytes(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
        return text
    except binascii.Error:
        joined = text.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(joined, validate=True)
    except binascii.Error:
        raise ValueError("illegal base64 data") from None
    return joined


_TEXT: Mapping[str, Callable[[str], str]] = {
    schema.TIME: _canonical_time,
    schema.MICRO_TIME: _canonical_micro_time,
    "byte": _canonical_bytes,
}


def default(value: Any, node: Schema) -> None:
    """Fill a custom object, in place, with its schema's defaults; a null that may not be null counts as absent."""
    if isinstance(value, dict):
        _default_fields(value, node)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if item is None and not node.items.nullable and node.items.default is not MISSING:
                value[index] = copy.deepcopy(node.items.default)
            default(value[index], node.items)


def _default_fields(obj: Object, node: Schema) -> None:
    for key, child in node.properties.items():
        if child.name:
            continue
        present = key in obj and (obj[key] is not None or child.nullable)
        if not present and child.default is not MISSING:
            obj[key] = copy.deepcopy(child.default)
        elif not present:
            obj.pop(key, None)
            continue
        default(obj[key], child)
    extra = node.additional_properties
    if extra is not None:
        for key in obj.keys() - node.properties.keys():
            default(obj[key], extra)
