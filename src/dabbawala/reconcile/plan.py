"""A plan: what a controller wants done, as data.

`plan(desired, observed, now) -> Plan` is pure in every controller; `apply` carries the actions out, in order, and
stops at the first that fails. The same values serve dry runs, explanations, simulations and tests. The union is
closed: whoever adds an action completes the match in `apply`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.patch_type import PatchType as PatchType


@dataclass(frozen=True, slots=True)
class Create:
    """Create `object`; one that exists already under the same name counts as done if it has the same owner.
    `announce_to` is the object about which an event `SuccessfulCreate` is recorded, once the name is known."""

    kind: Kind
    object: Object
    announce_to: Object | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Patch only the fields that the controller owns. With `resource_version` the write is refused with Conflict
    when the object has changed since it was read. `subresource` is empty, "status" or "scale"."""

    kind: Kind
    key: ObjectKey
    body: Object
    type: PatchType = PatchType.MERGE
    subresource: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """Put the whole object, for the few subresources that have no PATCH (a Namespace's finalize). The write is
    refused with Conflict when the object has changed since the resourceVersion it carries."""

    kind: Kind
    object: Object
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete; an object that is gone counts as done. `uid` protects a namesake made in the meantime."""

    kind: Kind
    key: ObjectKey
    uid: str = ""
    grace_period_seconds: int | None = None
    propagation_policy: str = "Background"


@dataclass(frozen=True, slots=True)
class Evict:
    """Evict a pod through its eviction subresource, so that disruption budgets hold."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Record:
    """Record an Event about an object. `type` is Normal or Warning; `reason` is one PascalCase word group."""

    regarding: Object
    reason: str
    message: str
    type: str = "Normal"


Action = Create | Patch | Update | Delete | Evict | Record


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, and when to look again even if nothing changes."""

    actions: tuple[Action, ...] = field(default=())
    requeue_after: timedelta | None = None


def patch_status(kind: Kind, key: ObjectKey, status: Object, *, resource_version: str = "") -> Patch:
    """A merge patch of the status subresource."""
    return Patch(kind, key, {"status": status}, subresource="status", resource_version=resource_version)


def status_change(kind: Kind, obj: Object, status: Object, *, guarded: bool = False) -> tuple[Patch, ...]:
    """A patch that makes the fields in `status` so, or nothing when they are so already. None removes a field. A
    `guarded` one is refused when the object has changed: for lists, such as conditions, that others write too."""
    current = obj.get("status") or {}
    changed = {field: value for field, value in status.items() if current.get(field) != value}
    version = meta.resource_version(obj) if guarded else ""
    return (patch_status(kind, meta.key(obj), changed, resource_version=version),) if changed else ()
