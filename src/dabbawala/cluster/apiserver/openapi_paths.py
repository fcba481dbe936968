"""The paths of an OpenAPI v3 document: which operations a kind has, with which parameters and bodies."""

from __future__ import annotations

from typing import Any

from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object

REF = "#/components/schemas/"
_JSON = "application/json"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_ACTIONS = {"get": "get", "put": "update", "patch": "patch", "delete": "delete", "post": "post"}


def schema_name(kind: Kind) -> str:
    """The definition's name: the published one, or the group reversed, as custom resources are named."""
    if kind.schema:
        return kind.schema
    reversed_group = ".".join(reversed(kind.group.split(".")))
    return f"{reversed_group}.{kind.version}.{kind.kind}"


def paths(kind: Kind) -> Object:
    """Path -> operations, for the collection, the single object and its writable subresources."""
    namespace = "{namespace}" if kind.namespaced else ""
    collection = kind.path(namespace)
    found: Object = {collection: _operations(kind, {"list": "get", "create": "post", "deletecollection": "delete"})}
    if kind.namespaced and "list" in kind.verbs:
        found[kind.path()] = _operations(kind, {"list": "get"})
    single = {"get": "get", "update": "put", "patch": "patch", "delete": "delete"}
    if set(kind.verbs) & single.keys():
        found[kind.path(namespace, "{name}")] = _operations(kind, single)
    if "status" in kind.subresources:
        part = {"get": "get", "update": "put", "patch": "patch"}
        found[kind.path(namespace, "{name}", "status")] = _operations(kind, part)
    return found


def _operations(kind: Kind, methods: dict[str, str]) -> Object:
    operations: Object = {
        method: _operation(kind, verb, method) for verb, method in methods.items() if verb in kind.verbs
    }
    parameters = [_parameter("pretty", "string")]
    if kind.namespaced:
        parameters.append({**_parameter("namespace", "string"), "in": "path", "required": True})
    return {**operations, "parameters": parameters}


def _operation(kind: Kind, verb: str, method: str) -> Object:
    operation: Object = {
        "operationId": f"{verb}{kind.group.title().replace('.', '')}{kind.version.title()}{kind.kind}",
        "tags": [f"{kind.group or 'core'}_{kind.version}"],
        "responses": {"200": {"description": "OK", "content": _content(kind, (_JSON,))}},
        "x-kubernetes-action": "list" if verb == "list" else _ACTIONS[method],
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    }
    if verb in ("create", "update", "patch"):
        writing = ("dryRun", "fieldManager", "fieldValidation")
        operation["parameters"] = [_parameter(name, "string") for name in writing]
        operation["requestBody"] = {"content": _bodies(kind, verb), "required": True}
    if verb == "patch":
        operation["parameters"].append(_parameter("force", "boolean"))
    return operation


def _bodies(kind: Kind, verb: str) -> Object:
    if verb != "patch":
        return _content(kind, (_JSON,))
    kinds = _PATCHES if kind.custom else (*_PATCHES, _STRATEGIC)
    return {media_type: {"schema": {"type": "object"}} for media_type in kinds}


def _content(kind: Kind, media_types: tuple[str, ...]) -> Object:
    shown: Any = {"$ref": REF + schema_name(kind)} if kind.schema or kind.open_api else {"type": "object"}
    return {media_type: {"schema": shown} for media_type in media_types}


def _parameter(name: str, kind: str) -> Object:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
