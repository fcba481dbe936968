"""The scale subresource: an autoscaling/v1 Scale over whatever fields the kind says. Source: autoscaling/v1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from dabbawala.api.kind import Scale
from dabbawala.apimachinery import meta, patch, patch_strategic, schema, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import objects, response, rest_bodies, rest_meta, rest_update, rest_yaml
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response

_SCHEMA = "io.k8s.api.autoscaling.v1.Scale"
Change = Callable[[Object], Object]


async def get(call: Call) -> Response:
    entry = call.core.store.get(call.key)
    if entry is None:
        raise call.not_found()
    return response.json(of_object(_where(call), objects.parsed(call.kind, entry.body)))


async def put(call: Call) -> Response:
    wanted = rest_bodies.read(call)
    return await _update(call, lambda current: wanted)


async def patched(call: Call) -> Response:
    media = call.request.content_type
    body = rest_yaml.parse(call.request.body)

    def change(current: Object) -> Object:
        if media == "application/json-patch+json":
            result = patch.json_patch(current, body)
        elif media == "application/strategic-merge-patch+json":
            result = patch_strategic.strategic_merge(current, body, schema.builtin(_SCHEMA))
        else:
            result = patch.merge_patch(current, body)
        if not isinstance(result, dict):
            raise status.BadRequest("the patch does not leave a Scale")
        return result

    return await _update(call, change)


def _where(call: Call) -> Scale:
    return call.kind.scale or Scale()


async def _update(call: Call, change: Change) -> Response:
    where = _where(call)

    def transform(current: Object) -> Object:
        wanted = change(of_object(where, current))
        version = meta.resource_version(wanted)
        if version not in ("", meta.resource_version(current)):
            raise rest_meta.conflict(call.kind, meta.name(current))
        replicas = (wanted.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
            wrong = status.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise status.invalid_object("Scale", meta.name(current), [wrong], group="autoscaling")
        _put(current, where.spec_replicas, replicas)
        return current

    body = await rest_update.update(call, transform)
    return response.json(of_object(where, orjson.loads(body)))


def of_object(where: Scale, obj: Object) -> Object:
    """The Scale of an object."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    shown: Object = {"replicas": _read(obj, where.status_replicas) or 0}
    selector = _read(obj, where.label_selector) if where.label_selector else None
    if isinstance(selector, str):
        shown["selector"] = selector
    elif selector is not None:
        shown["selector"] = str(_labels(selector))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept if field in metadata},
        "spec": {"replicas": _read(obj, where.spec_replicas) or 0},
        "status": shown,
    }


def _labels(selector: Object) -> selectors.LabelSelector:
    """A LabelSelector, or the plain map of a ReplicationController."""
    if selector and all(isinstance(value, str) for value in selector.values()):
        return selectors.from_labels(selector)
    return selectors.from_label_selector(selector)


def _read(obj: Any, path: str) -> Any:
    for part in path.strip(".").split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _put(obj: Object, path: str, value: object) -> None:
    *parents, last = path.strip(".").split(".")
    for part in parents:
        if not isinstance(obj.get(part), dict):
            obj[part] = {}
        obj = obj[part]
    obj[last] = value
