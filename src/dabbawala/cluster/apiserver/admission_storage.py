"""New volumes and claims: the default storage class, and the finalizers that keep what is in use.

Source: kube-apiserver's plugins DefaultStorageClass and StorageObjectInUseProtection.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_CLASSES = "storageclasses.storage.k8s.io"


def admit_claim(core: Core, admission: Admission) -> None:
    claim = admission.object
    if claim is None or admission.operation != "CREATE":
        return
    _protect(claim, CLAIM_FINALIZER)
    spec = claim.setdefault("spec", {})
    if spec.get("storageClassName") is None:
        chosen = core.objects.derived(_CLASSES, _default_class)
        if chosen:
            spec["storageClassName"] = chosen


def admit_volume(core: Core, admission: Admission) -> None:
    if admission.object is not None and admission.operation == "CREATE":
        _protect(admission.object, VOLUME_FINALIZER)


def _protect(obj: Object, finalizer: str) -> None:
    finalizers = meta.finalizers(obj)
    if finalizer not in finalizers:
        obj["metadata"]["finalizers"] = [*finalizers, finalizer]


def _default_class(classes: Iterable[Object]) -> str:
    return newest_marked(classes, _DEFAULT_CLASS)


def newest_marked(classes: Iterable[Object], annotation: str) -> str:
    """The newest of the classes that claim to be the default; the lower name of two made at once."""
    marked = [item for item in classes if meta.annotations(item).get(annotation) == "true"]
    marked.sort(key=meta.name)
    marked.sort(key=lambda item: str(meta.metadata(item).get("creationTimestamp", "")), reverse=True)
    return meta.name(marked[0]) if marked else ""
