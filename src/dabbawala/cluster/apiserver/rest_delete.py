"""DELETE: of one object, and of collections.

An object goes at once, or is marked (deletionTimestamp) when finalizers hold it or when a pod is to end gracefully;
what is marked goes when the last finalizer is removed and the kubelet has deleted it with a grace period of 0.
Source: apiserver/pkg/registry/rest/delete.go, registry/generic/registry/store.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from dabbawala.apimachinery import clock, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import (
    admission,
    lists,
    objects,
    response,
    rest_accept,
    rest_bodies,
    rest_meta,
    rest_update,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.store.entry import Entry
from dabbawala.cluster.store.errors import Mismatch

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = ("Background", "Foreground", "Orphan")
_FINISHED = ("Succeeded", "Failed")
# Kinds whose deletion answers the object rather than a Status. Source: ReturnDeletedObject.
_RETURNED = frozenset({"persistentvolumeclaims", "persistentvolumes", "pods", "serviceaccounts", "services"})


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta/v1 DeleteOptions, from the query or the body."""

    grace_seconds: int | None = None
    policy: str = ""
    preconditions: Object | None = None
    dry_run: bool = False


def read_options(call: Call) -> DeleteOptions:
    body = rest_bodies.read_options(call)
    query = call.request.query
    grace: Any = body.get("gracePeriodSeconds")
    if grace is None and "gracePeriodSeconds" in query:
        grace = _integer(query.get("gracePeriodSeconds"))
    policy = str(body.get("propagationPolicy") or query.get("propagationPolicy") or "")
    orphan = body.get("orphanDependents", query.flag("orphanDependents") if "orphanDependents" in query else None)
    if orphan is not None:
        if policy:
            raise _invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")
        policy = "Orphan" if orphan else "Background"
    if policy and policy not in _POLICIES:
        raise status.invalid_object(
            "DeleteOptions", "", [status.not_supported("propagationPolicy", policy, (*_POLICIES, "nil"))],
            group="meta.k8s.io",
        )  # fmt: skip
    if body.get("dryRun") not in (None, [], ["All"]):
        raise _invalid("dryRun", body["dryRun"], "must be All")
    return DeleteOptions(grace, policy, body.get("preconditions"), call.dry_run or bool(body.get("dryRun")))


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise status.BadRequest(f"gracePeriodSeconds: {text!r} is not a whole number") from None


def _invalid(field: str, value: object, message: str) -> status.Invalid:
    return status.invalid_object("DeleteOptions", "", [status.invalid(field, value, message)], group="meta.k8s.io")


async def delete(call: Call) -> Response:
    options = read_options(call)
    gone, body = await delete_object(call, options)
    if not gone or call.kind.resource in _RETURNED:
        return rest_bodies.answer(call, body)
    return response.json(_success(call, orjson.loads(body)))


def _success(call: Call, obj: Object) -> Object:
    details = {"name": meta.name(obj), "group": call.kind.group, "kind": call.kind.plural, "uid": meta.uid(obj)}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


async def delete_object(call: Call, options: DeleteOptions, *, admitted: bool = False) -> tuple[bool, bytes]:
    """Delete or mark the target: whether it is gone, and its last body. What is `admitted` (an eviction) is not judged
    as a deletion again. Raises NotFound, Conflict, Forbidden."""
    for _ in range(rest_update.RETRIES):
        entry = call.core.store.get(call.key)
        if entry is None:
            raise call.not_found()
        obj = objects.parsed(call.kind, entry.body)
        rest_meta.check_preconditions(call.kind, obj, options.preconditions)
        if not admitted:
            await _admit(call, obj, options)
        outcome = decide(call, obj, options)
        try:
            return await _write(call, entry, outcome, options)
        except Mismatch:
            continue
    raise rest_meta.conflict(call.kind, call.target.name)


async def _admit(call: Call, obj: Object, options: DeleteOptions) -> None:
    request = rest_accept.admission_of(call, "DELETE", None, obj)
    asked = {
        "gracePeriodSeconds": options.grace_seconds,
        "propagationPolicy": options.policy or None,
        "preconditions": options.preconditions,
        "dryRun": ["All"] if options.dry_run else None,
    }
    request.options = {**request.options, **{field: value for field, value in asked.items() if value is not None}}
    request.dry_run = options.dry_run
    admission.check_deletion(request)
    await rest_accept.judge(call, request)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a deletion makes of an object: its last version if it is `gone`, else its next one."""

    object: Object
    gone: bool


async def _write(call: Call, entry: Entry, outcome: _Outcome | None, options: DeleteOptions) -> tuple[bool, bytes]:
    if outcome is None:  # marked already, on terms that are not longer than ours
        return False, entry.body
    if options.dry_run:
        return outcome.gone, objects.encoded(call.kind, outcome.object)
    return outcome.gone, await rest_update.store_version(call, entry, outcome.object, gone=outcome.gone)


def decide(call: Call, obj: Object, options: DeleteOptions) -> _Outcome | None:
    """What becomes of `obj`, a private copy; None when there is nothing to change."""
    metadata = obj["metadata"]
    before = meta.finalizers(obj)
    _set_finalizers(metadata, options)
    grace = _grace(call, obj, options)
    if not meta.is_deleting(obj):
        if grace == 0 and not rest_update.is_held(obj):
            return _Outcome(obj, True)
        _mark(call, obj, grace)
        return _Outcome(obj, False)
    if grace < (metadata.get("deletionGracePeriodSeconds") or 0):
        metadata["deletionTimestamp"] = clock.format_time(call.core.clock.now() + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    elif meta.finalizers(obj) == before and not rest_update.is_done(obj):
        return None
    return _Outcome(obj, rest_update.is_done(obj))


def _mark(call: Call, obj: Object, grace: int) -> None:
    metadata = obj["metadata"]
    metadata["deletionTimestamp"] = clock.format_time(call.core.clock.now() + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation"):
        metadata["generation"] += 1
    if call.kind.resource == "namespaces":
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}


def _set_finalizers(metadata: Object, options: DeleteOptions) -> None:
    """The finalizers through which the garbage collector learns what becomes of the dependents."""
    finalizers = list(metadata.get("finalizers") or ())
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.policy)
    if options.policy:
        finalizers = [item for item in finalizers if item not in (ORPHAN, FOREGROUND)]
    if wanted:
        finalizers.append(wanted)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _grace(call: Call, obj: Object, options: DeleteOptions) -> int:
    """Seconds of grace; only pods that run on a node have any. Source: pkg/registry/core/pod CheckGracefulDelete."""
    if call.kind.resource != "pods":
        return 0
    spec = obj.get("spec") or {}
    asked = options.grace_seconds
    grace = int(spec.get("terminationGracePeriodSeconds") or 0) if asked is None else max(int(asked), 0)
    if asked is not None and asked < 0:
        grace = 1
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in _FINISHED:
        return 0
    return grace


async def delete_collection(call: Call) -> Response:
    """Delete everything that the selectors match; answers the list of what was deleted."""
    if call.kind.namespaced and not call.target.namespace:
        raise status.MethodNotAllowed("the server does not allow this method on the requested resource")
    options = read_options(call)
    chosen = lists.matching(call)
    bodies = []
    for entry in chosen:
        target = Target(call.kind, "delete", entry.key.namespace or call.target.namespace, entry.key.name)
        one = Call(call.core, call.plugins, call.request, target)
        try:
            bodies.append((await delete_object(one, options))[1])
        except status.NotFound:
            continue
    return lists.whole(call, bodies)
