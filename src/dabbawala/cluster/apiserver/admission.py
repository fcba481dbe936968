"""The admission that is built in, in upstream's order. Each part is a module of its own.

Source: kube-apiserver's default plugins: NamespaceLifecycle, ServiceAccount, Priority, RuntimeClass,
DefaultTolerationSeconds, DefaultStorageClass, StorageObjectInUseProtection; and the Service address allocation.
"""

from __future__ import annotations

from dabbawala.cluster.apiserver import admission_namespace
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission


async def mutate(core: Core, admission: Admission) -> bool:
    """Run the mutating part; whether the object may have changed."""
    admission_namespace.check(core, admission)
    return False


def check_deletion(admission: Admission) -> None:
    admission_namespace.check_deletion(admission)
