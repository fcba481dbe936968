"""POST: a new object."""

from __future__ import annotations

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import (
    objects,
    rest_accept,
    rest_bodies,
    rest_fields,
    rest_meta,
    rest_size,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.store.errors import Mismatch

_NAME_ATTEMPTS = 8


async def create(call: Call) -> Response:
    if call.kind.namespaced and not call.target.namespace:
        raise status.MethodNotAllowed("the server does not allow this method on the requested resource")
    obj = rest_bodies.read(call)
    rest_fields.conform(call, obj, rest_fields.duplicates(call, obj))
    return rest_bodies.answer(call, await create_object(call, obj), 201)


async def create_object(call: Call, obj: Object, *, tracked: bool = True) -> bytes:
    """Store `obj`, which conforms to its schema; the stored bytes. Raises AlreadyExists, or what refuses it."""
    rest_meta.check_identity(call, obj)
    generated = rest_meta.begin(call, obj)
    async with rest_accept.accepted(call, obj, None, tracked=tracked, generated=generated):
        if call.dry_run:
            return _unstored(call, obj)
        for attempt in range(_NAME_ATTEMPTS):
            try:
                return await _store(call, obj)
            except Mismatch:
                if not generated or attempt == _NAME_ATTEMPTS - 1:
                    break
                obj["metadata"]["name"] = call.core.generate_name(obj["metadata"]["generateName"])
    raise _exists(call, obj)


async def _store(call: Call, obj: Object) -> bytes:
    kind, metadata = call.kind, obj["metadata"]

    def encode(revision: int) -> bytes:
        metadata["resourceVersion"] = str(revision)
        return _checked(call, obj)

    key = objects.key_of(kind, call.target.namespace, metadata["name"])
    return (await call.core.store.put(key, encode, expect=0)).body


def _unstored(call: Call, obj: Object) -> bytes:
    key = objects.key_of(call.kind, call.target.namespace, meta.name(obj))
    if call.core.store.get(key):
        raise _exists(call, obj)
    return _checked(call, obj)


def _checked(call: Call, obj: Object) -> bytes:
    body = objects.encoded(call.kind, obj)
    rest_size.check(call, body)
    return body


def _exists(call: Call, obj: Object) -> status.AlreadyExists:
    name, kind = meta.name(obj), call.kind
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return status.AlreadyExists(
        f'{kind.resource} "{name}" already exists', details={key: value for key, value in details.items() if value}
    )
