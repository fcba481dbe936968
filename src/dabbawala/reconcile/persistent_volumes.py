"""Which persistent volumes a claim may have.

Shared by the controller that binds claims and by the scheduler, which must not choose a node where none fits.
Source: component-helpers/storage/volume FindMatchingVolume.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.apimachinery import meta, quantity, selectors
from dabbawala.apimachinery.meta import Object

BOUND_BY_US = "pv.kubernetes.io/bound-by-controller"


def is_for(volume: Object, claim: Object) -> bool:
    """The volume names this very claim, or one of this name before it existed."""
    reference = volume["spec"].get("claimRef") or {}
    same = (reference.get("namespace"), reference.get("name")) == (meta.namespace(claim), meta.name(claim))
    return same and reference.get("uid") in (None, "", meta.uid(claim)) and not meta.is_deleting(volume)


def fits(volume: Object, claim: Object) -> bool:
    """Nobody's yet, and all that the claim asks for."""
    spec, wanted = volume["spec"], claim["spec"]
    if (spec.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return False
    free = not spec.get("claimRef") and not meta.is_deleting(volume)
    modes = set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
    mode = (spec.get("volumeMode") or "Filesystem") == (wanted.get("volumeMode") or "Filesystem")
    selector = wanted.get("selector")
    selected = selector is None or selectors.from_label_selector(selector).matches(meta.labels(volume))
    return free and modes and mode and selected and capacity(volume) >= requested(claim)


def fitting(volumes: Iterable[Object], claim: Object) -> list[Object]:
    """Those that the claim may have: the one that is kept for it, or all that fit, smallest first."""
    every = list(volumes)
    kept = [volume for volume in every if is_for(volume, claim)]
    return kept or sorted(
        (volume for volume in every if fits(volume, claim)), key=lambda volume: (capacity(volume), meta.name(volume))
    )


def reference(claim: Object) -> Object:
    """The claimRef of a volume that is the claim's."""
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta.namespace(claim),
        "name": meta.name(claim), "uid": meta.uid(claim),
    }  # fmt: skip


def capacity(volume: Object) -> int:
    """Bytes."""
    return quantity.whole((volume["spec"].get("capacity") or {}).get("storage", 0))


def requested(claim: Object) -> int:
    """Bytes."""
    return quantity.whole(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))
