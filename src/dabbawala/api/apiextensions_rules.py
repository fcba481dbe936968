"""Defaults, preparation and validation of CustomResourceDefinitions; whether a schema is structural.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation and pkg/apiserver/schema; KEP-1111 structural schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import jsonpath, meta, patterns, status
from dabbawala.apimachinery.meta import Object

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPES = ("atomic", "map", "set")
_LOGICAL = ("allOf", "anyOf", "oneOf")
_FORBIDDEN_IN_LOGIC = ("type", "default", "additionalProperties", "nullable")
_FORBIDDEN = ("$ref", "definitions", "dependencies", "id", "patternProperties", "additionalItems")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_MAX_COLUMNS = 50
_MAX_DEPTH = 64


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    given = spec.setdefault("names", {})
    kind = given.get("kind") or ""
    given["singular"] = given.get("singular") or kind.lower()
    given["listKind"] = given.get("listKind") or f"{kind}List"
    spec["conversion"] = spec.get("conversion") or {"strategy": "None"}


def prepare(new: Object, old: Object | None) -> None:
    """Every version that ever was the storage version stays listed in `status.storedVersions`."""
    before = (old or {}).get("status") or {}
    stored = list(before.get("storedVersions") or ())
    current = storage_version(new)
    if current and current not in stored:
        stored.append(current)
    empty: Object = {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}}
    new["status"] = {**(before or empty), "storedVersions": stored}


def storage_version(obj: Object) -> str:
    versions = (obj.get("spec") or {}).get("versions") or ()
    return next((str(version["name"]) for version in versions if version.get("storage")), "")


def validate(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    given = spec.get("names") or {}
    yield from _group_and_names(spec, given)
    wanted = f"{given.get('plural')}.{spec.get('group')}"
    if meta.name(new) != wanted:
        yield status.invalid("metadata.name", meta.name(new), 'must be spec.names.plural+"."+spec.group')
    yield from check.one_of(spec.get("scope"), ("Cluster", "Namespaced"), "spec.scope")
    yield from _versions(spec)
    strategy = (spec.get("conversion") or {}).get("strategy")
    yield from check.one_of(strategy, ("None", "Webhook"), "spec.conversion.strategy")
    if strategy == "Webhook":
        message = "conversion webhooks are not served here; use strategy None"
        yield status.forbidden("spec.conversion.strategy", message)
    if old is not None:
        yield from _update(spec, old)


def _group_and_names(spec: Object, given: Object) -> Errors:
    yield from check.named(spec.get("group"), names.dns_subdomain, "spec.group")
    if spec.get("group") and "." not in spec["group"]:
        yield status.invalid("spec.group", spec["group"], "should be a domain with at least one dot")
    for field in ("plural", "singular"):
        yield from check.named(given.get(field), names.dns_1035_label, f"spec.names.{field}")
    for field in ("kind", "listKind"):
        value = given.get(field) or ""
        if not value:
            yield status.required(f"spec.names.{field}")
        for message in names.dns_1035_label(value.lower()) if value else ():
            mixed = f"may have mixed case, but should otherwise match: {message}"
            yield status.invalid(f"spec.names.{field}", value, mixed)
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        yield status.invalid("spec.names.listKind", given["listKind"], "kind and listKind may not be the same")
    for index, short in enumerate(given.get("shortNames") or ()):
        yield from check.named(short, names.dns_1035_label, f"spec.names.shortNames[{index}]")


def _versions(spec: Object) -> Errors:
    versions = spec.get("versions") or ()
    if sum(bool(version.get("storage")) for version in versions) != 1:
        message = "must have exactly one version marked as storage version"
        yield check.invalid_json("spec.versions", [version.get("name") for version in versions], message)
    yield from check.unique((f"spec.versions[{index}].name", item.get("name")) for index, item in enumerate(versions))
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        yield from check.named(version.get("name"), names.dns_1035_label, f"{path}.name")
        root = (version.get("schema") or {}).get("openAPIV3Schema")
        if root is None:
            yield status.required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        else:
            yield from schema_root(root, f"{path}.schema.openAPIV3Schema")
        yield from _columns(version.get("additionalPrinterColumns") or (), f"{path}.additionalPrinterColumns")
        yield from _subresources(version.get("subresources") or {}, f"{path}.subresources")
        for at, selectable in enumerate(version.get("selectableFields") or ()):
            yield from _simple_path(selectable.get("jsonPath"), f"{path}.selectableFields[{at}].jsonPath")


def _columns(columns: Any, path: str) -> Errors:
    if len(columns) > _MAX_COLUMNS:
        message = f"Too many: {len(columns)}: must have at most {_MAX_COLUMNS} items"
        yield status.FieldError(path, "FieldValueTooMany", message)
    for index, column in enumerate(columns):
        where = f"{path}[{index}]"
        if not column.get("name"):
            yield status.required(f"{where}.name")
        yield from check.one_of(column.get("type"), _COLUMN_TYPES, f"{where}.type")
        yield from _simple_path(column.get("jsonPath"), f"{where}.jsonPath")
        try:
            jsonpath.compile_path(column.get("jsonPath") or "")
        except jsonpath.JSONPathError as error:
            yield status.invalid(f"{where}.jsonPath", column["jsonPath"], str(error))


def _subresources(given: Object, path: str) -> Errors:
    scale = given.get("scale")
    if scale is None:
        return
    for field, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(field) or ""
        yield from _simple_path(value, f"{path}.scale.{field}")
        if value and not value.startswith(start):
            yield status.invalid(f"{path}.scale.{field}", value, f"should be a json path under {start[:-1]}")


def _simple_path(value: str | None, path: str) -> Errors:
    if not value:
        yield status.required(path)
    elif not value.startswith("."):
        yield status.invalid(path, value, "must be a simple json path starting with .")


def _update(spec: Object, old: Object) -> Errors:
    before = old.get("spec") or {}
    yield from object_meta.immutable(spec.get("group"), before.get("group"), "spec.group")
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(item.get("type") == "Established" and item.get("status") == "True" for item in conditions):
        yield from object_meta.immutable(spec.get("scope"), before.get("scope"), "spec.scope")
        kind, was = ((item.get("names") or {}).get("kind") for item in (spec, before))
        yield from object_meta.immutable(kind, was, "spec.names.kind")
    served = {version.get("name") for version in spec.get("versions") or ()}
    for index, stored in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if stored not in served:
            message = "missing from spec.versions; it is needed to read the objects that are stored in it"
            yield status.invalid(f"status.storedVersions[{index}]", stored, message)


def schema_root(root: Mapping[str, Any], path: str) -> Errors:
    """The structural rules, from the root: an object, every node typed, nothing that cannot be pruned by."""
    kind = root.get("type")
    if not kind:
        yield status.required(f"{path}.type", "must not be empty at the root")
    elif kind != "object":
        yield status.invalid(f"{path}.type", kind, "must be object at the root")
    yield from _node(root, path, 0)


def _node(node: Mapping[str, Any], path: str, depth: int) -> Errors:
    if depth > _MAX_DEPTH:
        yield status.forbidden(path, f"schemas may not nest deeper than {_MAX_DEPTH}")
        return
    yield from _node_itself(node, path)
    if "additionalProperties" in node and node.get("properties"):
        message = "additionalProperties and properties are mutual exclusive"
        yield status.forbidden(f"{path}.additionalProperties", message)
    for where, part in _junctions(node, path):
        yield from _logic(part, where, node)
    for where, child in _children(node, path):
        yield from _node(child, where, depth + 1)


def _children(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, child in (node.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", child
    for field in ("items", "additionalProperties"):
        if isinstance(node.get(field), dict):
            yield f"{path}.{field}", node[field]


def _junctions(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for junction in _LOGICAL:
        for index, part in enumerate(node.get(junction) or ()):
            yield f"{path}.{junction}[{index}]", part
    if isinstance(node.get("not"), dict):
        yield f"{path}.not", node["not"]


def _node_itself(node: Mapping[str, Any], path: str) -> Errors:
    kind = node.get("type")
    free = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free:
        yield status.required(f"{path}.type", "must not be empty for specified object fields")
    elif kind and kind not in _TYPES:
        yield status.not_supported(f"{path}.type", kind, _TYPES)
    for field in _FORBIDDEN:
        if node.get(field) is not None:
            yield status.forbidden(f"{path}.{field}", f"{field} is not supported")
    if node.get("uniqueItems"):
        message = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield status.forbidden(f"{path}.uniqueItems", message)
    if node.get("additionalProperties") is False:
        yield status.forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
    if kind == "array":
        yield from _list(node, path)
    yield from _pattern(node, path)


def _pattern(node: Mapping[str, Any], path: str) -> Errors:
    if not node.get("pattern"):
        return
    try:
        patterns.compiled(node["pattern"], groups=False)
    except patterns.BadPattern as wrong:
        message = f"must be a valid regular expression, but isn't: error parsing regexp: {wrong}"
        yield status.invalid(f"{path}.pattern", node["pattern"], message)


def _list(node: Mapping[str, Any], path: str) -> Errors:
    items = node.get("items")
    if not isinstance(items, dict):
        yield status.required(f"{path}.items", "must be specified")
        return
    topology = node.get("x-kubernetes-list-type")
    if topology is not None and topology not in _LIST_TYPES:
        yield status.not_supported(f"{path}.x-kubernetes-list-type", topology, _LIST_TYPES)
    keys = node.get("x-kubernetes-list-map-keys") or ()
    if topology == "map" and not keys:
        message = "must not be empty if x-kubernetes-list-type is map"
        yield status.required(f"{path}.x-kubernetes-list-map-keys", message)
    for key in keys:
        child = (items.get("properties") or {}).get(key)
        where = f"{path}.items.properties[{key}].default"
        if child is not None and key not in (items.get("required") or ()) and "default" not in child:
            message = "this property is in x-kubernetes-list-map-keys, so it must have a default or be"
            yield status.required(where, f"{message} a required property")


def _logic(part: Mapping[str, Any], path: str, outside: Mapping[str, Any]) -> Errors:
    """Inside allOf, anyOf, oneOf and not: values only; types stay outside. `int-or-string` is the one exception."""
    for field in _FORBIDDEN_IN_LOGIC:
        if part.get(field) and not (field == "type" and outside.get("x-kubernetes-int-or-string")):
            yield status.forbidden(f"{path}.{field}", "must be empty to be structural")
    known = outside.get("properties") or {}
    for name in part.get("properties") or {}:
        if name not in known and not outside.get("x-kubernetes-preserve-unknown-fields"):
            yield status.required(f"{path.rpartition('.')[0]}.properties[{name}]", f"because it is defined in {path}")
    yield from _patterns_within(part, path, 0)


def _patterns_within(part: Mapping[str, Any], path: str, depth: int) -> Errors:
    if depth > _MAX_DEPTH:
        yield status.forbidden(path, f"schemas may not nest deeper than {_MAX_DEPTH}")
        return
    yield from _pattern(part, path)
    for where, inner in [*_children(part, path), *_junctions(part, path)]:
        yield from _patterns_within(inner, where, depth + 1)
