"""Schemas: what fields a kind has, of what type, and how lists and maps in it merge.

Validation, pruning, strategic merge, server-side apply and OpenAPI all read the same node tree. The built-in
definitions are the published OpenAPI of Kubernetes in a compact table (`tools/extract_schema.py` made it); a
definition is parsed when somebody asks for it, and a node unfolds its children when somebody looks at them, so that
start-up pays for nothing and recursive definitions are no special case. Custom kinds bring their own OpenAPI.
Source: KEP-555 (list and map topology), apiextensions/v1 JSONSchemaProps.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_DATA = Path(__file__).with_name("data")
_REF = "#/components/schemas/"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
# Definitions that hold any JSON: their content is nobody's to judge here.
_OPAQUE = frozenset(
    (
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    )
)
_PLAIN: Mapping[str, type] = {"string": str, "boolean": bool, "integer": int}


class Missing:
    """The type of `MISSING`: a default that is not there, as opposed to a default of null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


class Schema:
    """One node of a schema: an object, a map, a list, a scalar, or anything.

    `raw` is the OpenAPI node with its reference resolved; rarely used keywords are read there. `name` is the
    definition that the node stands for, if it has one. `plain` is the Python type whose every value is right here
    (small integers only), so that a walk can pass most scalars without a call.
    """

    __slots__ = (
        "_additional", "_items", "_properties", "custom", "format", "int_or_string", "list_map_keys", "list_type",
        "map_type", "merge_key", "name", "nullable", "patch_strategy", "plain", "preserve_unknown", "raw", "type",
    )  # fmt: skip

    _properties: Mapping[str, Schema]
    _items: Schema | None
    _additional: Schema | None

    def __init__(self, raw: Mapping[str, Any], *, name: str = "", custom: bool = False) -> None:
        self.raw = raw
        self.name = name
        self.custom = custom
        self.type: str = raw.get("type", "")
        self.format: str = raw.get("format", "")
        self.plain = _PLAIN.get(self.type) if self.type != "string" or not self.format else None
        self.list_type: str = raw.get("x-kubernetes-list-type", "")
        self.list_map_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        self.map_type: str = raw.get("x-kubernetes-map-type", "")
        self.merge_key: str = raw.get("x-kubernetes-patch-merge-key", "")
        self.patch_strategy = frozenset(filter(None, raw.get("x-kubernetes-patch-strategy", "").split(",")))
        self.int_or_string = name == INT_OR_STRING or bool(raw.get("x-kubernetes-int-or-string"))
        self.preserve_unknown = bool(raw.get("x-kubernetes-preserve-unknown-fields")) or name in _OPAQUE
        self.nullable = bool(raw.get("nullable"))

    def __getattr__(self, name: str) -> Any:
        """Unfold a child slot on first use; later reads do not come here."""
        match name:
            case "_properties":
                self._properties = self._unfold_properties()
            case "_items":
                self._items = self._child(self.raw.get("items"))
            case "_additional":
                extra = self.raw.get("additionalProperties")
                self._additional = self._child({} if extra is True else extra)
            case _:
                raise AttributeError(name)
        return object.__getattribute__(self, name)

    def _child(self, node: Any) -> Schema | None:
        return _node(node, custom=self.custom) if isinstance(node, dict) else None

    def _unfold_properties(self) -> Mapping[str, Schema]:
        own = {key: _node(node, custom=self.custom) for key, node in (self.raw.get("properties") or {}).items()}
        if self.raw.get("x-kubernetes-embedded-resource"):
            return _with_object_fields(own)
        return own

    @property
    def properties(self) -> Mapping[str, Schema]:
        return self._properties

    @property
    def items(self) -> Schema | None:
        return self._items

    @property
    def additional_properties(self) -> Schema | None:
        """The schema of a map's values; None where there is no map or its values may be anything."""
        return self._additional

    @property
    def default(self) -> Any:
        """The default, or `MISSING`. Shared: copy before putting it into an object."""
        return self.raw.get("default", MISSING)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.raw.get("required") or ())

    @property
    def enum(self) -> list[Any] | None:
        return self.raw.get("enum")

    @property
    def description(self) -> str:
        """Of a custom schema only; built-in descriptions are in `descriptions(name)`."""
        return str(self.raw.get("description", ""))

    def at(self, key: str) -> Schema | None:
        """The schema of a field: a property, or a map's value; None if unknown."""
        return self._properties.get(key) or self._additional

    def __repr__(self) -> str:
        return f"Schema({self.name or self.type or 'any'})"


def _with_object_fields(properties: Mapping[str, Schema]) -> Mapping[str, Schema]:
    text = Schema({"type": "string"})
    return {**properties, "apiVersion": text, "kind": text, "metadata": builtin(OBJECT_META)}


def _node(raw: Mapping[str, Any], *, custom: bool) -> Schema:
    """A child node. References (also wrapped in a single `allOf`) are resolved; siblings of one win over it."""
    ref, siblings = raw.get("$ref"), raw
    if ref is None and not custom and len(raw.get("allOf", ())) == 1:
        ref, siblings = raw["allOf"][0].get("$ref"), {key: raw[key] for key in raw if key != "allOf"}
    if ref is None:
        return Schema(raw, custom=custom)
    target = builtin(ref.removeprefix(_REF))
    extra = {key: value for key, value in siblings.items() if key not in ("$ref", "description")}
    return Schema({**target.raw, **extra}, name=target.name) if extra else target


def from_open_api(raw: Mapping[str, Any], *, resource: bool = True) -> Schema:
    """The schema of a custom kind. With `resource` the root has apiVersion, kind and the standard metadata, whatever
    `raw` says of them. `raw` must not change afterwards."""
    return Schema({**raw, "x-kubernetes-embedded-resource": True} if resource else raw, custom=True)


class _Table(NamedTuple):
    head: dict[str, Any]
    places: dict[str, list[int]]
    body: memoryview


def read_table(file: str) -> tuple[dict[str, Any], memoryview]:
    """A table of the package's data: its index (the first line) and, behind it, the entries that the index places."""
    blob = zlib.decompress((_DATA / file).read_bytes())
    end = blob.index(b"\n")
    return orjson.loads(blob[:end]), memoryview(blob)[end + 1 :]


@lru_cache(maxsize=1)
def _table() -> _Table:
    head, body = read_table("schema.z")
    return _Table(head, head.pop("definitions"), body)


def kubernetes_version() -> str:
    """The Kubernetes version whose schema this is, e.g. `1.37.0`."""
    return str(_table().head["version"])


def definition_names() -> list[str]:
    return list(_table().places)


def definition_of(group: str, version: str, kind: str) -> str:
    """The definition's name of a built-in kind, or the empty string."""
    return str(_table().head["kinds"].get(f"{group}/{version}/{kind}", ""))


@cache
def definition(name: str) -> Mapping[str, Any]:
    """A built-in definition in OpenAPI v3 form, without descriptions; shared, not to be changed. Raises KeyError."""
    table = _table()
    offset, length = table.places[name]
    found: dict[str, Any] = orjson.loads(table.body[offset : offset + length])
    return found


@cache
def builtin(name: str) -> Schema:
    """The schema of a built-in definition such as `io.k8s.api.apps.v1.Deployment`. Raises KeyError."""
    return Schema(definition(name), name=name)


def of_kind(schema_name: str, open_api: Mapping[str, Any] | None) -> Schema | None:
    """The schema that a `Kind` names or carries; None where it has neither (anything is allowed)."""
    if schema_name:
        return builtin(schema_name)
    return from_open_api(open_api) if open_api is not None else None


def descriptions(names: list[str]) -> dict[str, dict[str, str]]:
    """For each named definition its texts, by property, its own under the empty string. Reads 265 KB from disk and
    keeps nothing: whoever publishes OpenAPI or explains a field caches what it builds."""
    index, body = read_table("descriptions.z")
    found = {}
    for name in names:
        offset, length = index.get(name, (0, 0))
        found[name] = orjson.loads(body[offset : offset + length]) if length else {}
    return found


def references(name: str) -> set[str]:
    """The definition and all that it refers to, however indirectly: what an OpenAPI document must carry."""
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending.extend(_refs(definition(current)))
    return found


def _refs(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for item in node for ref in _refs(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix(_REF)] if isinstance(node.get("$ref"), str) else []
    return own + [ref for item in node.values() for ref in _refs(item)]
