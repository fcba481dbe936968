"""NamespaceLifecycle: nothing is created in a namespace that is missing or on its way out.

Source: apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from __future__ import annotations

from dabbawala.apimachinery import meta, status
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


def check(core: Core, admission: Admission) -> None:
    """Raises NotFound or Forbidden."""
    if admission.operation != "CREATE" or not admission.kind.namespaced:
        return
    name = admission.namespace
    namespace = core.objects.get("namespaces", "", name)
    if namespace is None:
        raise status.not_found("namespaces", name)
    if not meta.is_deleting(namespace) or admission.kind.resource.startswith("localsubjectaccessreviews"):
        return
    kind = admission.kind
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {name} is being terminated",
        "field": "metadata.namespace",
    }
    details = {"name": admission.name, "group": kind.group, "kind": kind.plural, "causes": [cause]}
    raise status.Forbidden(
        f'{kind.resource} "{admission.name}" is forbidden: unable to create new content in namespace {name} because '
        "it is being terminated",
        details={key: value for key, value in details.items() if value},
    )


def check_deletion(admission: Admission) -> None:
    if admission.kind.resource == "namespaces" and admission.name in IMMORTAL:
        raise status.Forbidden(
            f'namespaces "{admission.name}" is forbidden: this namespace may not be deleted',
            details={"name": admission.name, "kind": "namespaces"},
        )
