"""What the cluster's own parts may do: the components by their users, the controllers by their service accounts.

Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go, for the controllers there are; our own
components (data plane, monitoring, rollout) follow the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dabbawala.api import rollout_access
from dabbawala.apimachinery.meta import Object

READ = ("get", "list", "watch")


class Component(NamedTuple):
    rules: Sequence[Object]
    subjects: Sequence[tuple[str, str]]


def rule(verbs: Sequence[str], group: str, *resources: str, names: Sequence[str] = ()) -> Object:
    """A PolicyRule. The group "" is the core group."""
    made: Object = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    if names:
        made["resourceNames"] = list(names)
    return made


_EVENTS = (
    rule(("create", "patch", "update"), "", "events"),
    rule(("create", "patch", "update"), "events.k8s.io", "events"),
)
_LEASES = rule(("create", "delete", "get", "list", "patch", "update", "watch"), "coordination.k8s.io", "leases")
_EVERYTHING_READ = rule(READ, "*", "*")
_CHANGE = ("patch", "update")
_KEEP = ("get", "list", "watch", "create", "delete", "patch", "update")

COMPONENTS: Mapping[str, Component] = {
    "system:kube-scheduler": Component(
        (
            *_EVENTS,
            _LEASES,
            rule(READ, "", "nodes", "namespaces", "pods", "persistentvolumeclaims", "persistentvolumes", "services"),
            rule(("delete",), "", "pods"),
            rule(("create",), "", "bindings", "pods/binding"),
            rule(_CHANGE, "", "pods/status"),
            rule(_CHANGE, "", "persistentvolumeclaims"),
            rule(READ, "apps", "replicasets", "statefulsets"),
            rule(READ, "policy", "poddisruptionbudgets"),
            rule(READ, "storage.k8s.io", "storageclasses"),
            rule(READ, "scheduling.k8s.io", "priorityclasses"),
            rule(READ, "node.k8s.io", "runtimeclasses"),
        ),
        (("User", "system:kube-scheduler"),),
    ),
    "system:kube-controller-manager": Component(
        (
            *_EVENTS,
            _LEASES,
            _EVERYTHING_READ,
            rule(_KEEP, "", "secrets", "serviceaccounts"),
            rule(("create",), "", "serviceaccounts/token"),
            rule(("create",), "authentication.k8s.io", "tokenreviews"),
            rule(("create",), "authorization.k8s.io", "subjectaccessreviews"),
        ),
        (("User", "system:kube-controller-manager"),),
    ),
    "system:node": Component(
        (
            *_EVENTS,
            _LEASES,
            rule(("create",), "authentication.k8s.io", "tokenreviews"),
            rule(("create",), "authorization.k8s.io", "subjectaccessreviews", "localsubjectaccessreviews"),
            rule(READ, "", "services", "pods", "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes",
                 "namespaces", "serviceaccounts"),
            rule(("create", "get", "list", "watch", "patch", "update"), "", "nodes"),
            rule(_CHANGE, "", "nodes/status", "pods/status"),
            rule(("create", "delete"), "", "pods"),
            rule(("create",), "", "pods/eviction", "serviceaccounts/token"),
            rule(READ, "node.k8s.io", "runtimeclasses"),
        ),
        (("Group", "system:nodes"),),
    ),
    "system:dabbawala:dataplane": Component(
        (
            *_EVENTS,
            _LEASES,
            rule(READ, "", "nodes", "services", "endpoints", "pods", "namespaces"),
            rule(READ, "discovery.k8s.io", "endpointslices"),
            rule(READ, "networking.istio.io", "virtualservices", "destinationrules"),
            rule(_CHANGE, "", "services/status"),
            rule(_CHANGE, "networking.istio.io", "virtualservices/status", "destinationrules/status"),
        ),
        (("User", "system:dabbawala:dataplane"),),
    ),
    "system:dabbawala:monitoring": Component(
        (
            *_EVENTS,
            rule(READ, "", "nodes", "services", "endpoints", "pods", "namespaces"),
            rule(("get", "create"), "", "nodes/proxy", "pods/proxy", "services/proxy", "nodes/metrics"),
            rule(READ, "discovery.k8s.io", "endpointslices"),
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
        ),
        (("User", "system:dabbawala:monitoring"),),
    ),
    "system:dabbawala:rollout": Component(rollout_access.RULES, (("User", "system:dabbawala:rollout"),)),
}  # fmt: skip

CONTROLLERS: Mapping[str, Sequence[Object]] = {
    "deployment-controller": (
        *_EVENTS,
        rule(("get", "list", "watch", "update", "patch"), "apps", "deployments"),
        rule(_CHANGE, "apps", "deployments/status", "deployments/finalizers"),
        rule(_KEEP, "apps", "replicasets"),
        rule(("get", "list", "watch", "update"), "", "pods"),
    ),
    "replicaset-controller": (
        *_EVENTS,
        rule(("get", "list", "watch", "update", "patch"), "apps", "replicasets"),
        rule(_CHANGE, "apps", "replicasets/status", "replicasets/finalizers"),
        rule(("create", "delete", "get", "list", "patch", "watch"), "", "pods"),
    ),
    "daemon-set-controller": (
        *_EVENTS,
        rule(READ, "apps", "daemonsets"),
        rule(_CHANGE, "apps", "daemonsets/status", "daemonsets/finalizers"),
        rule(_KEEP, "apps", "controllerrevisions"),
        rule(READ, "", "nodes"),
        rule(("create", "delete", "get", "list", "patch", "watch"), "", "pods"),
    ),
    "job-controller": (
        *_EVENTS,
        rule(("get", "list", "watch", "update", "patch"), "batch", "jobs"),
        rule(_CHANGE, "batch", "jobs/status", "jobs/finalizers"),
        rule(("create", "delete", "get", "list", "patch", "watch"), "", "pods"),
    ),
    "endpointslice-controller": (
        *_EVENTS,
        rule(READ, "", "nodes", "pods", "services"),
        rule(("update",), "", "services/finalizers"),
        rule(_KEEP, "discovery.k8s.io", "endpointslices"),
    ),
    "endpoint-controller": (
        *_EVENTS,
        rule(READ, "", "pods", "services"),
        rule(_KEEP, "", "endpoints"),
    ),
    "namespace-controller": (
        rule(("delete", "get", "list", "watch"), "", "namespaces"),
        rule(_CHANGE, "", "namespaces/finalize", "namespaces/status"),
        rule(("delete", "deletecollection", "get", "list"), "*", "*"),
    ),
    "service-account-controller": (
        *_EVENTS,
        rule(READ, "", "namespaces"),
        rule(("create", "get", "list", "watch"), "", "serviceaccounts"),
    ),
    "root-ca-cert-publisher": (
        *_EVENTS,
        rule(READ, "", "namespaces"),
        rule(_KEEP, "", "configmaps"),
    ),
    "generic-garbage-collector": (
        *_EVENTS,
        rule(("delete", "get", "list", "patch", "update", "watch"), "*", "*"),
    ),
    "node-controller": (
        *_EVENTS,
        _LEASES,
        rule(("delete", "get", "list", "patch", "update", "watch"), "", "nodes"),
        rule(_CHANGE, "", "nodes/status", "pods/status"),
        rule(("delete", "get", "list", "watch"), "", "pods"),
    ),
    "pod-garbage-collector": (
        rule(("delete", "get", "list", "watch"), "", "pods"),
        rule(("patch",), "", "pods/status"),
        rule(READ, "", "nodes"),
    ),
    "disruption-controller": (
        *_EVENTS,
        rule(READ, "", "pods"),
        rule(READ, "apps", "deployments", "replicasets", "statefulsets"),
        rule(READ, "argoproj.io", "rollouts"),
        rule(READ, "policy", "poddisruptionbudgets"),
        rule(_CHANGE, "policy", "poddisruptionbudgets/status"),
        rule(("get",), "*", "*/scale"),
    ),
    "persistent-volume-binder": (
        *_EVENTS,
        rule(_KEEP, "", "persistentvolumes"),
        rule(_CHANGE, "", "persistentvolumes/status", "persistentvolumeclaims/status"),
        rule(("get", "list", "watch", "update", "patch"), "", "persistentvolumeclaims"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule(READ, "", "nodes", "pods"),
    ),
    "ttl-after-finished-controller": (
        *_EVENTS,
        rule(("get", "list", "watch", "delete"), "batch", "jobs"),
    ),
    "validatingadmissionpolicy-status-controller": (
        *_EVENTS,
        rule(READ, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
        rule(("get", "patch", "update"), "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
        rule(READ, "apiextensions.k8s.io", "customresourcedefinitions"),
    ),
    "clusterrole-aggregation-controller": (
        rule(("escalate", "get", "list", "patch", "update", "watch"), "rbac.authorization.k8s.io", "clusterroles"),
    ),
}
