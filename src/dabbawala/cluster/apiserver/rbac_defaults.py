"""The roles and bindings that every cluster starts with, as Kubernetes ships them, and those of our own components.

Written at start where they are missing or have lost a rule; what an administrator adds to them stays. A role annotated
`rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone.
Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from dabbawala.api import rbac_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.rbac_controllers import COMPONENTS, CONTROLLERS, READ, rule

Write = Callable[[Kind, Object], Awaitable[object]]

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_ALL = (*READ, *_WRITE)
_AT_ONCE = 32

_VIEWED = (
    rule(READ, "", "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
         "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status"),
    rule(READ, "", "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
         "replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
    rule(READ, "", "namespaces"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(READ, "apps", "controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
         "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
         "statefulsets/scale", "statefulsets/status"),
    rule(READ, "autoscaling", "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
    rule(READ, "batch", "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
    rule(READ, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
    rule(READ, "networking.k8s.io", "ingresses", "ingresses/status", "networkpolicies"),
    rule(READ, "events.k8s.io", "events"),
    rule(READ, "metrics.k8s.io", "pods", "nodes"),
    rule(READ, "argoproj.io", "rollouts", "rollouts/scale", "rollouts/status", "analysisruns", "analysistemplates",
         "clusteranalysistemplates", "experiments"),
    rule(READ, "networking.istio.io", "virtualservices", "destinationrules"),
)  # fmt: skip
_EDITED = (
    rule(READ, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
    rule(("impersonate",), "", "serviceaccounts"),
    rule(_WRITE, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
    rule(("create",), "", "pods/eviction"),
    rule(_WRITE, "", "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
         "replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy"),
    rule(("create",), "", "serviceaccounts/token"),
    rule(_WRITE, "apps", "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets",
         "replicasets/scale", "statefulsets", "statefulsets/scale"),
    rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    rule(_WRITE, "batch", "cronjobs", "jobs"),
    rule(_WRITE, "policy", "poddisruptionbudgets"),
    rule(_WRITE, "networking.k8s.io", "ingresses", "networkpolicies"),
    rule(_ALL, "coordination.k8s.io", "leases"),
    rule(_WRITE, "events.k8s.io", "events"),
    rule(_WRITE, "argoproj.io", "rollouts", "rollouts/scale", "rollouts/status", "analysisruns", "analysistemplates",
         "experiments"),
    rule(_WRITE, "networking.istio.io", "virtualservices", "destinationrules"),
)  # fmt: skip
_ADMINISTERED = (
    rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(_ALL, "rbac.authorization.k8s.io", "roles", "rolebindings"),
)
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY_PATHS = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
)  # fmt: skip
_DELEGATION = (
    rule(("create",), "authentication.k8s.io", "tokenreviews"),
    rule(("create",), "authorization.k8s.io", "subjectaccessreviews"),
)
_PLAIN: Mapping[str, Sequence[Object]] = {
    "cluster-admin": (rule(("*",), "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}),
    "system:public-info-viewer": ({"nonResourceURLs": list(_PUBLIC_PATHS), "verbs": ["get"]},),
    "system:discovery": ({"nonResourceURLs": list(_DISCOVERY_PATHS), "verbs": ["get"]},),
    "system:monitoring": (
        {"nonResourceURLs": ["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*"],
         "verbs": ["get"]},
    ),
    "system:basic-user": (
        rule(("create",), "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
    ),
    "system:auth-delegator": _DELEGATION,
    "system:service-account-issuer-discovery": (
        {"nonResourceURLs": ["/.well-known/openid-configuration", "/openid/v1/jwks"], "verbs": ["get"]},
    ),
}  # fmt: skip
# Role -> the groups and users it is given to, everywhere.
_GIVEN: Mapping[str, Sequence[tuple[str, str]]] = {
    "cluster-admin": (("Group", "system:masters"),),
    "system:public-info-viewer": (("Group", "system:authenticated"), ("Group", "system:unauthenticated")),
    "system:discovery": (("Group", "system:authenticated"),),
    "system:basic-user": (("Group", "system:authenticated"),),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:service-account-issuer-discovery": (("Group", "system:serviceaccounts"),),
}


def objects() -> list[tuple[Kind, Object]]:
    """Every default role, then every default binding."""
    roles = [*_aggregates(), *(_role(name, rules) for name, rules in _PLAIN.items())]
    bindings = [_binding(name, name, subjects) for name, subjects in _GIVEN.items()]
    for name, component in COMPONENTS.items():
        roles.append(_role(name, component.rules))
        bindings.append(_binding(name, name, component.subjects))
    for name, rules in CONTROLLERS.items():
        role = f"system:controller:{name}"
        roles.append(_role(role, rules))
        account = {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}
        manager = _subject("User", "system:kube-controller-manager")
        bindings.append(_bound(role, role, [account, manager]))
    return [(rbac_v1.CLUSTER_ROLE, role) for role in roles] + [
        (rbac_v1.CLUSTER_ROLE_BINDING, binding) for binding in bindings
    ]


def _aggregates() -> list[Object]:
    """admin, edit and view gather the rules of roles labelled for them; each contains the next."""
    layers = (("view", _VIEWED), ("edit", _EDITED), ("admin", _ADMINISTERED))
    roles = []
    for name, rules in layers:
        part = _role(f"system:aggregate-to-{name}", rules)
        part["metadata"]["labels"][f"{_AGGREGATE}{name}"] = "true"
        roles.append(part)
    for (name, _), contained in zip(layers, ("edit", "admin", ""), strict=True):
        whole = _role(name, ())
        if contained:
            whole["metadata"]["labels"][f"{_AGGREGATE}{contained}"] = "true"
        whole["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]}
        roles.append(whole)
    return roles


def _metadata(name: str) -> Object:
    return {"name": name, "labels": dict(_BOOTSTRAPPING), "annotations": {AUTOUPDATE: "true"}}


def _role(name: str, rules: Iterable[Object]) -> Object:
    return {"metadata": _metadata(name), "rules": list(rules)}


def _subject(kind: str, name: str) -> Object:
    return {"kind": kind, "name": name, "apiGroup": rbac_v1.GROUP}


def _binding(name: str, role: str, subjects: Iterable[tuple[str, str]]) -> Object:
    return _bound(name, role, [_subject(kind, subject) for kind, subject in subjects])


def _bound(name: str, role: str, subjects: Sequence[Object]) -> Object:
    ref = {"apiGroup": rbac_v1.GROUP, "kind": "ClusterRole", "name": role}
    return {"metadata": _metadata(name), "roleRef": ref, "subjects": list(subjects)}


async def ensure(core: Core, create: Write, update: Write) -> None:
    """Write the defaults that are missing. `create` and `update` go through the front door, as the server itself."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(kind: Kind, wanted: Object) -> None:
        async with gate:
            found = core.objects.get(kind.resource, "", meta.name(wanted))
            if found is None:
                await _tolerantly(create, kind, wanted)
            elif meta.annotations(found).get(AUTOUPDATE) != "false":
                mended = _mended(found, wanted)
                if mended is not None:
                    await _tolerantly(update, kind, mended)

    defaults = objects()
    plain = [item for item in defaults if "aggregationRule" not in item[1]]
    await asyncio.gather(*(one(kind, wanted) for kind, wanted in plain))
    for kind, wanted in defaults:
        if "aggregationRule" in wanted:  # they gather the rules of those written before, and of one another
            await one(kind, wanted)


async def _tolerantly(write: Write, kind: Kind, obj: Object) -> None:
    """Another server of the same store may have been faster."""
    try:
        await write(kind, obj)
    except (status.AlreadyExists, status.Conflict):
        return


def _mended(found: Object, wanted: Object) -> Object | None:
    """`found` with the rules and subjects it has lost; None if it has lost none."""
    changed = False
    for field in ("rules", "subjects"):
        have = found.get(field) or []
        lost = [item for item in wanted.get(field) or () if not _present(item, have)]
        if lost:
            found[field] = [*have, *lost]
            changed = True
    return found if changed else None


def _present(item: Object, have: Iterable[Object]) -> bool:
    return any(all(other.get(key) == value for key, value in item.items()) for other in have)
