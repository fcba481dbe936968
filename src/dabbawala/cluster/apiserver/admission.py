"""The admission that is built in: which module looks at which kind.

Source: kube-apiserver's default plugins NamespaceLifecycle, LimitRanger, ServiceAccount, Priority, RuntimeClass,
DefaultTolerationSeconds, DefaultStorageClass, StorageObjectInUseProtection, DefaultIngressClass, ResourceQuota; and the
allocation of Service addresses.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.cluster.apiserver import (
    admission_ingress,
    admission_limits,
    admission_namespace,
    admission_pods,
    admission_quota,
    admission_services,
    admission_storage,
)
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission


def _service(core: Core, admission: Admission) -> None:
    admission_services.allocate(core.addresses, admission)


def _pod(core: Core, admission: Admission) -> None:
    admission_limits.give(core, admission)
    admission_pods.admit(core, admission)


_BY_RESOURCE: dict[str, Callable[[Core, Admission], None]] = {
    "pods": _pod,
    "services": _service,
    "persistentvolumeclaims": admission_storage.admit_claim,
    "persistentvolumes": admission_storage.admit_volume,
    "ingresses.networking.k8s.io": admission_ingress.admit,
}


def mutate(core: Core, admission: Admission) -> bool:
    """Run the mutating part; whether the object may have changed."""
    admission_namespace.check(core, admission)
    admit = _BY_RESOURCE.get(admission.kind.resource)
    if admit is None:
        return False
    admit(core, admission)
    return True


def judge(core: Core, admission: Admission) -> None:
    """What is right in itself may still be too much here. Raises Forbidden."""
    if admission.kind.namespaced:
        admission_limits.judge(core, admission)
        admission_quota.charge(core, admission)


def check_deletion(admission: Admission) -> None:
    admission_namespace.check_deletion(admission)
