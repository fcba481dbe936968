"""The rules of an aggregated ClusterRole are those of the roles that it selects, whoever writes those, and when.

Source: pkg/controller/clusterroleaggregation in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import rbac_rules, rbac_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch, Plan


def plan(role: Object, cluster_roles: Iterable[Object]) -> Plan:
    gathered = rbac_rules.aggregated(role, cluster_roles)
    if gathered is None or gathered == (role.get("rules") or []):
        return Plan()
    return Plan((Patch(rbac_v1.CLUSTER_ROLE, meta.key(role), {"rules": gathered}),))
