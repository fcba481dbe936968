"""PATCH: JSON patch, merge patch, strategic merge patch, and server-side apply."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson

from dabbawala.api import kind as kinds
from dabbawala.apimachinery import patch, patch_strategic, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import (
    authorization,
    rest_bodies,
    rest_create,
    rest_fields,
    rest_managed,
    rest_meta,
    rest_update,
    rest_yaml,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TYPES = (JSON, MERGE, STRATEGIC, APPLY)


async def patch_object(call: Call) -> Response:
    media = call.request.content_type
    accepted = [item for item in TYPES if not (item == STRATEGIC and call.kind.custom)]
    if media not in accepted:
        raise status.UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
    if media == APPLY:
        return await _apply(call)
    if call.request.query.flag("force"):
        raise _invalid_options("force", "may not be specified for non-apply patch")
    body = rest_bodies.parse_json(call.request.body)
    return rest_bodies.answer(call, await patch_with(call, media, body))


async def patch_with(call: Call, media: str, body: Any) -> bytes:
    """Apply a decoded patch of that media type to the target."""
    doubled = rest_fields.duplicates(call, body)

    def transform(current: Object) -> Object:
        return _private(call, _patched(call, media, current, body), doubled)

    return await rest_update.update(call, transform)


def _patched(call: Call, media: str, current: Object, body: Any) -> Any:
    if media == JSON:
        return patch.json_patch(current, body)
    if media == MERGE:
        return patch.merge_patch(current, body)
    return patch_strategic.strategic_merge(current, body, kinds.schema_of(call.kind))


def _private(call: Call, patched: Any, doubled: list[str]) -> Object:
    """The outcome of a patch as an object that shares nothing with what it was made from."""
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise status.BadRequest("the patch does not leave an object with metadata")
    new: Object = orjson.loads(orjson.dumps(patched))
    rest_fields.conform(call, new, doubled)
    rest_meta.check_identity(call, new)
    return new


async def _apply(call: Call) -> Response:
    """Server-side apply; the object is created where it is missing."""
    query = call.request.query
    manager = query.get("fieldManager")
    if not manager:
        raise _invalid_options("fieldManager", "is required for apply patch")
    applied = rest_yaml.parse(call.request.body)
    if not isinstance(applied, dict) or not applied.get("apiVersion") or not applied.get("kind"):
        raise status.BadRequest("an apply patch must carry apiVersion and kind")
    if not isinstance(applied.setdefault("metadata", {}), dict):
        raise status.BadRequest("metadata: must be an object")
    if applied["metadata"].get("managedFields"):
        raise status.BadRequest("metadata.managedFields must be nil")
    rest_fields.conform(call, applied, rest_fields.duplicates(call, applied))
    rest_meta.check_identity(call, applied)
    if call.core.store.get(call.key) is None:
        if call.target.subresource or applied["metadata"].get("uid"):
            raise call.not_found()
        authorization.demand_create(call)
        with contextlib.suppress(status.AlreadyExists):  # somebody was quicker: it is an update then
            return await _apply_new(call, applied)

    def transform(current: Object) -> Object:
        new: Object = orjson.loads(orjson.dumps(rest_managed.apply(call, current, applied)))
        return new

    return rest_bodies.answer(call, await rest_update.update(call, transform, tracked=False))


async def _apply_new(call: Call, applied: Object) -> Response:
    metadata = {field: value for field, value in applied["metadata"].items() if field != "resourceVersion"}
    made = rest_managed.apply(call, None, {**applied, "metadata": metadata})
    new: Object = orjson.loads(orjson.dumps(made))
    return rest_bodies.answer(call, await rest_create.create_object(call, new, tracked=False), 201)


def _invalid_options(field: str, message: str) -> status.Invalid:
    error = status.FieldError(field, "FieldValueInvalid", message)
    return status.invalid_object("PatchOptions", "", [error], group="meta.k8s.io")
