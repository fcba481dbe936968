"""Defaults, preparation and validation of volumes, claims and classes.

Source: pkg/apis/core/validation, pkg/apis/storage.
"""

from __future__ import annotations

from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.meta import Object

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_VOLUME_MODES = ("Block", "Filesystem")
_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
_VOLUME_SOURCES = (
    "hostPath", "local", "csi", "nfs", "iscsi", "fc", "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs",
    "cinder", "flexVolume", "flocker", "gcePersistentDisk", "glusterfs", "photonPersistentDisk", "portworxVolume",
    "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip


def default_volume(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("hostPath") is not None:
        spec["hostPath"].setdefault("type", "")


def default_claim(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def default_class(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def prepare_pending(new: Object, old: Object | None) -> None:
    """New volumes and claims are Pending; later their status belongs to the status subresource."""
    new["status"] = {"phase": "Pending"} if old is None else (old.get("status") or {})


def volume(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from _access_modes(spec, "at least 1 access mode is required")
    capacity = (spec.get("capacity") or {}).get("storage")
    if capacity is None:
        yield status.required("spec.capacity")
    else:
        yield from check.amount(capacity, "spec.capacity[storage]")
    sources = [source for source in _VOLUME_SOURCES if spec.get(source) is not None]
    if not sources:
        yield status.required("spec", "must specify a volume type")
    for extra in sources[1:]:
        yield status.forbidden(f"spec.{extra}", "may not specify more than 1 volume type")
    policy = spec.get("persistentVolumeReclaimPolicy")
    yield from check.one_of(policy, _RECLAIM_POLICIES, "spec.persistentVolumeReclaimPolicy")
    yield from check.one_of(spec.get("volumeMode"), _VOLUME_MODES, "spec.volumeMode")
    before = (old or {}).get("spec") or {}
    for source in _VOLUME_SOURCES:
        if old is not None and spec.get(source) != before.get(source):
            message = "spec.persistentvolumesource is immutable after creation"
            yield status.forbidden("spec.persistentvolumesource", message)
            return


def _access_modes(spec: Object, message: str) -> Errors:
    modes = spec.get("accessModes") or ()
    if not modes:
        yield status.required("spec.accessModes", message)
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield status.not_supported("spec.accessModes", mode, _ACCESS_MODES)


def claim(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from _access_modes(spec, "at least 1 access mode is required")
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is None:
        yield status.required("spec.resources[storage]")
    else:
        yield from check.amount(wanted, "spec.resources[storage]")
    yield from check.one_of(spec.get("volumeMode"), _VOLUME_MODES, "spec.volumeMode")
    yield from check.label_selector(spec.get("selector"), "spec.selector")
    yield from check.optionally_named(spec.get("storageClassName"), names.dns_subdomain, "spec.storageClassName")
    if old is not None:
        yield from _claim_update(spec, old)


def _claim_update(spec: Object, old: Object) -> Errors:
    before = old.get("spec") or {}
    unbound = not before.get("volumeName")
    changeable = {"resources", "volumeAttributesClassName"} | ({"volumeName"} if unbound else set())
    if before.get("storageClassName") is None:
        changeable.add("storageClassName")
    if _without(spec, changeable) != _without(before, changeable):
        message = "spec is immutable after creation except resources.requests and volumeAttributesClassName"
        yield status.forbidden("spec", f"{message} for bound claims")
    requested, granted = _requested(spec), _requested(before)
    if requested and granted and quantity.compare(requested, granted) < 0:
        message = "field can not be less than status.capacity"
        yield status.forbidden("spec.resources.requests.storage", message)


def _requested(spec: Object) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _without(spec: Object, fields: set[str]) -> dict[str, Any]:
    return {field: value for field, value in spec.items() if field not in fields and value is not None}


def storage_class(new: Object, old: Object | None) -> Errors:
    yield from check.named(new.get("provisioner"), names.qualified_name, "provisioner")
    yield from check.one_of(new.get("reclaimPolicy"), _RECLAIM_POLICIES, "reclaimPolicy")
    yield from check.one_of(new.get("volumeBindingMode"), _BINDING_MODES, "volumeBindingMode")
    if old is None:
        return
    if (new.get("parameters") or {}) != (old.get("parameters") or {}):
        yield status.forbidden("parameters", "updates to parameters are forbidden.")
    for field, shown in (("provisioner", "provisioner"), ("reclaimPolicy", "reclaimPolicy")):
        if new.get(field) != old.get(field):
            yield status.forbidden(shown, f"updates to {field} are forbidden.")
    yield from object_meta.immutable(new.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")
