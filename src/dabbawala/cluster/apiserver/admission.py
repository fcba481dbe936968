"""The admission that is built in: which module looks at which kind.

Source: kube-apiserver's default plugins NamespaceLifecycle, ServiceAccount, Priority, RuntimeClass,
DefaultTolerationSeconds, DefaultStorageClass, StorageObjectInUseProtection; and the allocation of Service addresses.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.cluster.apiserver import admission_namespace, admission_pods, admission_services, admission_storage
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission


def _service(core: Core, admission: Admission) -> None:
    admission_services.allocate(core.addresses, admission)


_BY_RESOURCE: dict[str, Callable[[Core, Admission], None]] = {
    "pods": admission_pods.admit,
    "services": _service,
    "persistentvolumeclaims": admission_storage.admit_claim,
    "persistentvolumes": admission_storage.admit_volume,
}


def mutate(core: Core, admission: Admission) -> bool:
    """Run the mutating part; whether the object may have changed."""
    admission_namespace.check(core, admission)
    admit = _BY_RESOURCE.get(admission.kind.resource)
    if admit is None:
        return False
    admit(core, admission)
    return True


def check_deletion(admission: Admission) -> None:
    admission_namespace.check_deletion(admission)
