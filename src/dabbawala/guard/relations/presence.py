"""Whether something that is referred to is there, and what it means where it is not.

A live cluster has all there is. Files have what somebody keeps in one place: a ConfigMap that is not among the ten of
its namespace is a mistake, a Secret is somewhere safer, a ClusterRole may come with an operator.
"""

from __future__ import annotations

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

PRESENT, ABSENT, UNSEEN = "", "absent", "unseen"

_KEPT_TOGETHER = frozenset({
    "ConfigMap", "ServiceAccount", "Role", "Service", "PersistentVolumeClaim", "Deployment", "StatefulSet",
    "Rollout.argoproj.io", "AnalysisTemplate.argoproj.io",
})  # fmt: skip
"""Kinds that whoever keeps some of a namespace in files keeps all of."""
_GIVEN = frozenset({
    ("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "istio-ca-root-cert"), ("ConfigMap", "openshift-service-ca.crt"),
    ("ServiceAccount", "default"), ("Service", "kubernetes"),
    ("ClusterRole", "cluster-admin"), ("ClusterRole", "admin"), ("ClusterRole", "edit"), ("ClusterRole", "view"),
})  # fmt: skip
_PREFIXES = (("ClusterRole", "system:"), ("Role", "system:"), ("PriorityClass", "system-"))
_POSTGRES = "Cluster.postgresql.cnpg.io"
_POSTGRES_SERVICES = ("-rw", "-ro", "-r")
_BUNDLE = "Bundle.trust.cert-manager.io"  # makes a ConfigMap or a Secret of its own name in many namespaces


def missing(world: World, kind: str, namespace: str, name: str) -> str:
    """Empty where the object is there, or is made by the cluster itself; `absent` where it certainly is not; `unseen`
    where it may be outside of what was scanned."""
    if world.find(kind, namespace, name) is not None or _is_given(world, kind, namespace, name):
        return PRESENT
    if world.whole or (kind in _KEPT_TOGETHER and world.items(kind, namespace)):
        return ABSENT
    return UNSEEN


def _is_given(world: World, kind: str, namespace: str, name: str) -> bool:
    if (kind, name) in _GIVEN or any(kind == of and name.startswith(prefix) for of, prefix in _PREFIXES):
        return True
    if kind in ("ConfigMap", "Secret"):
        return any(item.name == name and _spreads(item.object, kind) for item in world.items(_BUNDLE))
    if kind != "Service":
        return False
    return any(name == f"{item.name}{end}" for item in world.items(_POSTGRES, namespace) for end in _POSTGRES_SERVICES)


def _spreads(bundle: Object, kind: str) -> bool:
    """Whether a Bundle puts what it has into objects of that kind."""
    spec = bundle.get("spec")
    target = spec.get("target") if isinstance(spec, dict) else None
    return isinstance(target, dict) and ("configMap" if kind == "ConfigMap" else "secret") in target


FUNCTIONS = (Function("missing", (TYPE, "string", "string", "string"), "string", missing, receiver=True),)
