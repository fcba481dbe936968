"""Events as the group events.k8s.io shows them: another view of the core group's events, which are what is stored.

Source: pkg/apis/core conversion between events.k8s.io/v1 and core/v1 in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping

from dabbawala.api import core_columns, core_v1, object_meta
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object

# events.k8s.io/v1 name -> core/v1 name, where they differ.
_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_RESTORED = {core: events for events, core in _RENAMED.items()}


def _renamed(obj: Object, names: Mapping[str, str], api_version: str) -> Object:
    result = {names.get(field, field): value for field, value in obj.items()}
    result["apiVersion"] = api_version
    return result


def to_core(obj: Object) -> Object:
    """The core/v1 form, which is what the store keeps."""
    return _renamed(obj, _RENAMED, "v1")


def from_core(obj: Object) -> Object:
    """The events.k8s.io/v1 form of a stored event."""
    return _renamed(obj, _RESTORED, "events.k8s.io/v1")


EVENT = Kind(
    group="events.k8s.io", version="v1", kind="Event", plural="events", short_names=("ev",),
    schema="io.k8s.api.events.v1.Event", stored_as=core_v1.EVENT, to_stored=to_core, from_stored=from_core,
    columns=core_columns.EVENT, validate=object_meta.validate(),
    selectable_fields={
        "reason": ".reason",
        "regarding.kind": ".regarding.kind",
        "regarding.name": ".regarding.name",
        "regarding.namespace": ".regarding.namespace",
        "regarding.uid": ".regarding.uid",
        "reportingController": ".reportingController",
        "type": ".type",
    },
)  # fmt: skip

KINDS = (EVENT,)
