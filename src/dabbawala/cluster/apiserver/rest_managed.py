"""Who manages which field: the server's side of managed fields. Source: KEP-555."""

from __future__ import annotations

from dabbawala.api.kind import schema_of
from dabbawala.apimachinery import managedfields
from dabbawala.apimachinery.managedfields import Writer
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Call

_IDENTITY = ("apiVersion", "kind", "metadata")


def track(call: Call, new: Object, old: Object | None) -> None:
    """Note in `new`, in place, what the call's field manager has set or changed."""
    entries = managedfields.update(old, new, _writer(call, new), schema_of(call.kind))
    if entries:
        new["metadata"]["managedFields"] = entries
    else:
        new["metadata"].pop("managedFields", None)


def apply(call: Call, current: Object | None, applied: Object) -> Object:
    """The current object (None: there is none) with an applied configuration merged in. Shares with both. Raises
    Conflict naming the other managers."""
    force = call.request.query.flag("force")
    schema = schema_of(call.kind)
    return managedfields.apply(current, applied, _writer(call, applied), schema=schema, force=force)


def _writer(call: Call, obj: Object) -> Writer:
    kind, subresource = call.kind, call.target.subresource
    ignored: tuple[str, ...] = ()
    if subresource == "status":
        ignored = tuple(field for field in obj if field not in (*_IDENTITY, "status"))
    elif "status" in kind.subresources:
        ignored = ("status",)
    return Writer(call.field_manager, kind.api_version, call.core.clock.now(), subresource, ignored)
