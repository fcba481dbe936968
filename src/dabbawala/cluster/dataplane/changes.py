"""Which changes of objects the data plane has to look at. Pure.

A Service whose status was written, a node's heartbeat and a pod that became ready change nothing here, and there are
many of them.
"""

from __future__ import annotations

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.cache import Change


def matters(kind: Kind, change: Change) -> bool:
    if change.old is None or change.new is None:
        return True
    return _read(kind, change.old) != _read(kind, change.new)


def _read(kind: Kind, obj: Object) -> object:
    """The part of an object that is read."""
    if kind is core_v1.NODE:
        return (obj.get("status") or {}).get("addresses"), meta.annotations(obj)
    body = {field: value for field, value in obj.items() if field not in ("metadata", "status")}
    return body, meta.labels(obj), meta.annotations(obj), meta.generation(obj), meta.is_deleting(obj)


def relabelled(change: Change) -> bool:
    """Whether a pod that was there has other labels now."""
    return change.old is not None and change.new is not None and meta.labels(change.old) != meta.labels(change.new)
