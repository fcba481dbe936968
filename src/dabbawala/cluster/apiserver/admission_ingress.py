"""DefaultIngressClass: an Ingress that names no class gets the one marked as default.

Source: plugin/pkg/admission/network/defaultingressclass.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api.ingress_rules import CLASS_ANNOTATION
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import admission_storage
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission

_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_CLASSES = "ingressclasses.networking.k8s.io"


def admit(core: Core, admission: Admission) -> None:
    """Fill in `admission.object`, in place."""
    ingress = admission.object
    if ingress is None or admission.operation != "CREATE" or admission.subresource:
        return
    spec = ingress.setdefault("spec", {})
    if spec.get("ingressClassName") is None and CLASS_ANNOTATION not in meta.annotations(ingress):
        chosen = core.objects.derived(_CLASSES, _default)
        if chosen:
            spec["ingressClassName"] = chosen


def _default(classes: Iterable[Object]) -> str:
    return admission_storage.newest_marked(classes, _DEFAULT_CLASS)
