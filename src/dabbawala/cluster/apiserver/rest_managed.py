"""Who manages which field: the server's side of managed fields. Source: KEP-555."""

from __future__ import annotations

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Call


def track(call: Call, new: Object, old: Object | None) -> None:
    """Note in `new`, in place, what the call's field manager has set or changed."""
    if old is not None and "managedFields" in old["metadata"]:
        new["metadata"]["managedFields"] = old["metadata"]["managedFields"]


def apply(call: Call, current: Object, applied: Object) -> Object:
    """The current object with an applied configuration merged in. Raises Conflict naming the other managers."""
    raise NotImplementedError
