"""PUT and PATCH: a new version of an object, computed from one revision and written only onto that one.

A patch is computed again when the object has moved meanwhile; an update that names a resourceVersion is refused.
Writing `status` changes the status and nothing else; writing the object leaves its status alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import (
    authorization,
    objects,
    rest_accept,
    rest_bodies,
    rest_create,
    rest_fields,
    rest_managed,
    rest_meta,
    rest_size,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.store.entry import Entry
from dabbawala.cluster.store.errors import Mismatch

RETRIES = 20
# Kinds that a PUT creates where they are missing. Source: AllowCreateOnUpdate of the strategies.
_CREATED_BY_PUT = frozenset(
    {
        "endpoints", "events", "leases.coordination.k8s.io", "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io", "runtimeclasses.node.k8s.io",
        "priorityclasses.scheduling.k8s.io",
    }
)  # fmt: skip
# A status write may also change labels and annotations of these, as kubelets do.
_ANNOTATED_BY_STATUS = frozenset({"nodes", "pods"})

Transform = Callable[[Object], Object]
"""Gives the wanted object from a private copy of the current one, which it may change."""


async def put(call: Call) -> Response:
    """PUT: the body replaces the object."""
    wanted = rest_bodies.read(call)
    rest_fields.conform(call, wanted, rest_fields.duplicates(call, wanted))
    rest_meta.check_identity(call, wanted)
    _check_precondition(call, wanted)
    if call.core.store.get(call.key) is None:
        if call.kind.resource not in _CREATED_BY_PUT or call.target.subresource:
            raise call.not_found()
        authorization.demand_create(call)
        wanted["metadata"].pop("resourceVersion", None)
        return rest_bodies.answer(call, await rest_create.create_object(call, wanted), 201)
    encoded = objects.encoded(call.kind, wanted)

    def replace(current: Object) -> Object:
        return objects.parsed(call.kind, encoded)

    return rest_bodies.answer(call, await update(call, replace))


def _check_precondition(call: Call, wanted: Object) -> None:
    version = meta.resource_version(wanted)
    if version and not version.isdigit():
        error = status.invalid("metadata.resourceVersion", version, "must be a resource version")
        rest_accept.refuse(call, wanted, [error])
    if call.kind.custom and not version:
        error = status.invalid("metadata.resourceVersion", 0, "must be specified for an update")
        rest_accept.refuse(call, wanted, [error])


async def update(call: Call, transform: Transform, *, tracked: bool = True, checked: bool = True) -> bytes:
    """Write `transform(current)`; the bytes of what is stored then (or would be, in a dry run). `tracked` notes the
    call's field manager; what the server itself does to an object (a binding) is not `checked`."""
    for _ in range(RETRIES):
        entry = call.core.store.get(call.key)
        if entry is None:
            raise call.not_found()
        old = objects.parsed(call.kind, entry.body)
        new = transform(objects.parsed(call.kind, entry.body))
        expected = meta.resource_version(new)
        if expected not in ("", meta.resource_version(old)):
            raise rest_meta.conflict(call.kind, meta.name(old))
        try:
            return await _write(call, entry, _Change(old, new, tracked, checked))
        except Mismatch:
            continue
    raise rest_meta.conflict(call.kind, call.target.name)


@dataclass(frozen=True, slots=True)
class _Change:
    """One attempt: from `old` to `new`."""

    old: Object
    new: Object
    tracked: bool
    checked: bool


async def _write(call: Call, entry: Entry, change: _Change) -> bytes:
    new, old = change.new, change.old
    rest_meta.carry_over(call.kind, new, old)
    refused = rest_meta.check_finalizers(new, old)
    if call.target.subresource == "finalize":
        await rest_accept.judge(call, rest_accept.admission_of(call, "UPDATE", new, old))
    if not change.checked:
        _track(call, change)
        return await _finish(call, entry, change)
    if call.target.subresource == "status":
        new = _with_status(call, new, old)
        rest_accept.refuse(call, new, [*refused, *rest_fields.errors(call.kind, new)])
        _track(call, replace(change, new=new))
        await rest_accept.judge(call, rest_accept.admission_of(call, "UPDATE", new, old))
        return await _finish(call, entry, replace(change, new=new))
    rest_accept.refuse(call, new, refused)
    async with rest_accept.accepted(call, new, old, tracked=change.tracked):
        rest_meta.bump_generation(call.kind, new, old)
        return await _finish(call, entry, change)


def _with_status(call: Call, new: Object, old: Object) -> Object:
    """The old object with the new one's status (and, for nodes and pods, its labels and annotations)."""
    metadata = {**old["metadata"]}
    given = new["metadata"]
    fields = ("labels", "annotations", "managedFields") if call.kind.resource in _ANNOTATED_BY_STATUS else (
        "managedFields",
    )  # fmt: skip
    for field in fields:
        metadata.pop(field, None)
        if given.get(field):
            metadata[field] = given[field]
    result = {**old, "metadata": metadata}
    result.pop("status", None)
    if "status" in new:
        result["status"] = new["status"]
    return result


def _track(call: Call, change: _Change) -> None:
    if change.tracked:
        rest_managed.track(call, change.new, change.old)


async def _finish(call: Call, entry: Entry, change: _Change) -> bytes:
    new, old = change.new, change.old
    if _same(new, old):
        return entry.body
    if call.dry_run:
        body = objects.encoded(call.kind, new)
        rest_size.check(call, body, entry.body)
        return body
    return await store_version(call, entry, new, gone=is_done(new), bounded=True)


def _same(new: Object, old: Object) -> bool:
    """Whether an update changes nothing; the times at which managers acted do not count."""
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if new["metadata"].keys() != old["metadata"].keys():
        return False
    return _timeless(new) == _timeless(old)


def _timeless(obj: Object) -> Object:
    managed = obj["metadata"].get("managedFields")
    if not managed:
        return obj
    entries = [{key: value for key, value in entry.items() if key != "time"} for entry in managed]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


async def store_version(call: Call, entry: Entry, new: Object, *, gone: bool = False, bounded: bool = False) -> bytes:
    """Store the next version, or with `gone` the last one. Raises RequestEntityTooLarge where its size is `bounded`."""
    kind, metadata = call.kind, new["metadata"]

    def encode(revision: int) -> bytes:
        metadata["resourceVersion"] = str(revision)
        body = objects.encoded(kind, new)
        if bounded and not gone:
            rest_size.check(call, body, entry.body)
        return body

    store = call.core.store
    write = store.delete if gone else store.put
    return (await write(entry.key, encode, expect=entry.revision)).body


def is_done(obj: Object) -> bool:
    """Whether a deletion is complete: nothing holds the object, and no grace period that someone is to end."""
    return meta.is_deleting(obj) and not is_held(obj) and not obj["metadata"].get("deletionGracePeriodSeconds")


def is_held(obj: Object) -> bool:
    """By finalizers; a namespace has some in its spec too."""
    return bool(meta.finalizers(obj) or (obj.get("kind") == "Namespace" and (obj.get("spec") or {}).get("finalizers")))
