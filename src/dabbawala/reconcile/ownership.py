"""Whose objects are whose: adopting orphans that match a selector and letting go of what no longer does.

Source: pkg/controller/controller_ref_manager.go in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.reconcile.plan import Patch


class Claims(NamedTuple):
    """`owned` are ours already; `patches` adopt and release, and take effect in the next observation."""

    owned: list[Object]
    patches: tuple[Patch, ...]


def claim(owner: Object, selector: LabelSelector, kind: Kind, objects: Iterable[Object]) -> Claims:
    """Sort out `objects` of `kind` in the owner's namespace. Objects of other owners are ignored; an owner that is
    being deleted adopts nothing; objects that are being deleted are neither adopted nor released."""
    owned: list[Object] = []
    patches: list[Patch] = []
    uid = meta.uid(owner)
    for obj in objects:
        controller = meta.controller_of(obj)
        if controller is not None and controller.get("uid") != uid:
            continue
        matches = selector.matches(meta.labels(obj))
        if controller is not None and matches:
            owned.append(obj)
        elif controller is not None:
            if not meta.is_deleting(obj):
                patches.append(_release(owner, kind, obj))
        elif matches and not meta.is_deleting(obj) and not meta.is_deleting(owner):
            patches.append(_adopt(owner, kind, obj))
    return Claims(owned, tuple(patches))


def _adopt(owner: Object, kind: Kind, obj: Object) -> Patch:
    references = [*meta.owner_references(obj), meta.owner_reference(owner)]
    return _write(kind, obj, references)


def _release(owner: Object, kind: Kind, obj: Object) -> Patch:
    references = [ref for ref in meta.owner_references(obj) if ref.get("uid") != meta.uid(owner)]
    return _write(kind, obj, references)


def _write(kind: Kind, obj: Object, references: list[Object]) -> Patch:
    body = {"metadata": {"uid": meta.uid(obj), "ownerReferences": references}}
    return Patch(kind, meta.key(obj), body, resource_version=meta.resource_version(obj))
