"""How large an object may grow: every watcher has to read it in one line, and every update reads and writes it whole.

A body is bounded where it comes in, but patch upon patch would add up. What is there already may always be written
again without growing, deleted, and let go by its finalizers, so that nothing is stuck for its size. Upstream it is
etcd that refuses ("etcdserver: request is too large").
"""

from __future__ import annotations

import orjson

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Call

STORED_BYTES_MAX = 3 * 1024 * 1024
"""Of one object as it is stored, managed fields included."""

STATUS_BYTES_MAX = 4 * 1024 * 1024
"""The same after a write through a subresource: a pod at its limit can still be bound, and can say how it is."""


def check(call: Call, body: bytes, before: bytes = b"") -> None:
    """Raises RequestEntityTooLarge when `body` is too large to take the place of `before`."""
    limit = STATUS_BYTES_MAX if call.target.subresource else STORED_BYTES_MAX
    if len(body) <= max(limit, len(before)) or (before and _lets_go(orjson.loads(body), orjson.loads(before))):
        return
    name = meta.name(orjson.loads(body))
    details = {"name": name, "group": call.kind.group, "kind": call.kind.plural}
    raise status.RequestEntityTooLarge(
        f'Request entity too large: {call.kind.resource} "{name}" would take {len(body)} bytes: limit is {limit}',
        details={key: value for key, value in details.items() if value},
    )


def _lets_go(new: Object, old: Object) -> bool:
    """Whether this takes a finalizer from an object that is being deleted, and adds nothing but who did it."""
    fewer = len(meta.finalizers(new)) < len(meta.finalizers(old))
    return meta.is_deleting(old) and fewer and _weight(new) <= _weight(old)


def _weight(obj: Object) -> int:
    apart = ("managedFields", "resourceVersion")
    metadata = {field: value for field, value in obj["metadata"].items() if field not in apart}
    return len(orjson.dumps({**obj, "metadata": metadata}))
