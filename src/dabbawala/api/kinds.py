"""All the kinds, and how to find one.

The order of groups and versions is the order of discovery: clients prefer what comes first.
"""

from __future__ import annotations

from dabbawala.api import (
    admissionregistration_v1,
    apiextensions_v1,
    apps_v1,
    argoproj_v1alpha1,
    authentication_v1,
    authorization_v1,
    autoscaling_v1,
    autoscaling_v2,
    batch_v1,
    coordination_v1,
    core_v1,
    discovery_v1,
    events_v1,
    guard_v1alpha1,
    istio_networking_v1,
    metrics_v1beta1,
    networking_v1,
    node_v1,
    policy_v1,
    rbac_v1,
    readiness_v1alpha1,
    scheduling_v1,
    storage_v1,
    wgpolicyk8s_v1alpha2,
)
from dabbawala.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    *core_v1.KINDS,
    *apps_v1.KINDS,
    *events_v1.KINDS,
    *authentication_v1.KINDS,
    *authorization_v1.KINDS,
    *autoscaling_v2.KINDS,
    *autoscaling_v1.KINDS,
    *batch_v1.KINDS,
    *networking_v1.KINDS,
    *policy_v1.KINDS,
    *rbac_v1.KINDS,
    *storage_v1.KINDS,
    *admissionregistration_v1.KINDS,
    *apiextensions_v1.KINDS,
    *scheduling_v1.KINDS,
    *coordination_v1.KINDS,
    *node_v1.KINDS,
    *discovery_v1.KINDS,
    *argoproj_v1alpha1.KINDS,
    *istio_networking_v1.KINDS,
    *guard_v1alpha1.KINDS,
    *wgpolicyk8s_v1alpha2.KINDS,
    *readiness_v1alpha1.KINDS,
    *metrics_v1beta1.KINDS,
)


_BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_KIND = {(kind.api_version, kind.kind): kind for kind in KINDS}


def by_resource(group: str, version: str, plural: str) -> Kind | None:
    return _BY_RESOURCE.get((group, version, plural))


def of(api_version: str, kind: str) -> Kind | None:
    """The kind of an object's `apiVersion` and `kind`."""
    return _BY_KIND.get((api_version, kind))
