"""What a namespace needs before anything runs in it: who it belongs to and which rules hold, how much it may take, what
may talk, and what pods may be. Each object is enforced by the server; nothing here only claims. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate import isolation
from dabbawala.guard.generate.profiles import AUDIT_PATH, OPERATORS, PODS_FROM, PODS_TO, Profile
from dabbawala.guard.generate.writing import Piece

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
VERSION = "v1.30"
"""Pod Security means different things in different versions: which one is meant is written down."""
_WHY_EXACT = (
    "Exactly what operators are described to do, and no exec, attach or port-forward. It includes two rights that a "
    "scan tells (RBAC-03, RBAC-04): Secrets can be read, and pods created, which may use any of them. Where versions "
    "and settings come from Git, --operator least has neither."
)
_WHY_LEAST = (
    "Operators see what runs, read its logs and scale it. Versions and settings come from Git; Secrets are not read."
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """`user` and `group` are who operates it, empty for nobody; `operator` is one of OPERATORS."""

    name: str
    owner: str
    user: str = ""
    group: str = ""
    operator: str = "described"


def plan(namespace: Namespace, profile: Profile) -> list[Piece]:
    """The objects, in the order in which they can be applied."""
    return [
        _namespace(namespace, profile),
        _quota(namespace.name, profile),
        _limits(namespace.name),
        *isolation.isolating(namespace.name),
        _account(namespace.name),
        *_operators(namespace, profile),
        *_pods(profile),
    ]


def _namespace(namespace: Namespace, profile: Profile) -> Piece:
    labels = {
        "owner": namespace.owner,
        **profile.labels,
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": VERSION,
    }
    metadata: Object = {"name": namespace.name, "labels": labels}
    if profile.annotations:
        metadata["annotations"] = dict(profile.annotations)
    notes = {
        "metadata.labels.owner": "Whom to call, which rules hold, and what policies elsewhere select by.",
        "metadata.labels.pod-security.kubernetes.io/enforce": (
            "Not privileged, not root, no added capabilities, no escalation, and of volumes only configMap, csi, "
            "downwardAPI, emptyDir, ephemeral, persistentVolumeClaim, projected and secret."
        ),
    }
    found = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    return Piece(found, f"The namespace, by the profile {profile.name}.", notes)


def _quota(home: str, profile: Profile) -> Piece:
    found = _object("v1", "ResourceQuota", home, home)
    why = "One tenant cannot take all of the cluster. Where to begin; set it by what is used."
    return Piece({**found, "spec": {"hard": dict(profile.hard)}}, why)


def _limits(home: str) -> Piece:
    each: Object = {
        "type": "Container",
        "defaultRequest": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        "default": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
    }
    found = {**_object("v1", "LimitRange", home, home), "spec": {"limits": [each]}}
    return Piece(found, "A container that asks for nothing gets this, and is not refused by the quota.")


def _account(home: str) -> Piece:
    found = {**_object("v1", "ServiceAccount", home, "default"), "automountServiceAccountToken": False}
    return Piece(found, "Pods that name no account get no token: most never ask the API server.")


def _operators(namespace: Namespace, profile: Profile) -> Iterator[Piece]:
    subjects = [
        {"apiGroup": RBAC, "kind": kind, "name": name}
        for kind, name in (("User", namespace.user), ("Group", namespace.group))
        if name
    ]
    if not profile.operator or not subjects:
        return
    exact = namespace.operator == "described"
    role = _object(f"{RBAC}/v1", "Role", namespace.name, profile.operator)
    notes = {"rules[2]": "Logs are read, not written."} if exact else {}
    yield Piece({**role, "rules": OPERATORS[namespace.operator]}, _WHY_EXACT if exact else _WHY_LEAST, notes)
    binding = _object(f"{RBAC}/v1", "RoleBinding", namespace.name, f"{profile.operator}s")
    ref = {"apiGroup": RBAC, "kind": "Role", "name": profile.operator}
    yield Piece({**binding, "roleRef": ref, "subjects": subjects}, "Who operates the namespace.")


def _pods(profile: Profile) -> Iterator[Piece]:
    """What Pod Security has no words for, for all namespaces of the zone."""
    if not profile.zone:
        return
    name = f"{profile.name}-pods"
    policy: Object = {
        "apiVersion": f"{ADMISSION}/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": _SPEC,
    }
    notes = {f"spec.validations[{number}]": why for number, (why, _, _) in enumerate(_VALIDATIONS)}
    yield Piece(policy, "What Pod Security has no words for. Pods are judged, whoever makes them.", notes)
    binding: Object = {
        "apiVersion": f"{ADMISSION}/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny", "Audit"],
            "matchResources": {"namespaceSelector": {"matchLabels": dict(profile.zone)}},
        },
    }
    yield Piece(binding, "In every namespace of the zone. Refusals are in the audit log.")


def _object(api_version: str, kind: str, home: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": home}}


_GROUPS = (
    f"variables.contexts.all(c, c.?runAsGroup.orValue({PODS_FROM}) >= {PODS_FROM} && "
    f"c.?runAsGroup.orValue({PODS_FROM}) <= {PODS_TO}) && (variables.pod.?securityContext.?runAsGroup.hasValue() || "
    "variables.containers.all(c, c.?securityContext.?runAsGroup.hasValue()))"
)
_VALIDATIONS = (
    (
        f"Of the host only the audit trail, and nothing beside it. The level restricted refuses host paths "
        f"altogether; this holds where somebody lowers it for a pod that writes to {AUDIT_PATH}.",
        f"variables.pod.?volumes.orValue([]).all(v, !has(v.hostPath) || (v.hostPath.path == '{AUDIT_PATH}' || "
        f"v.hostPath.path.startsWith('{AUDIT_PATH}/')) && !v.hostPath.path.contains('..'))",
        f"hostPath volumes are limited to {AUDIT_PATH}",
    ),
    (
        "Groups that belong to no account of the system; without one a container would run with group 0.",
        _GROUPS,
        f"runAsGroup is set, and between {PODS_FROM} and {PODS_TO}",
    ),
    (
        "What breaks in cannot stay: programs write to volumes.",
        "variables.containers.all(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false))",
        "the root filesystem of every container is read-only",
    ),
)
_SPEC: Mapping[str, object] = {
    "failurePolicy": "Fail",
    "matchConstraints": {
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["pods", "pods/ephemeralcontainers"],
            }
        ]
    },
    "variables": [
        {"name": "pod", "expression": "object.spec"},
        {
            "name": "containers",
            "expression": (
                "variables.pod.containers + variables.pod.?initContainers.orValue([]) + "
                "variables.pod.?ephemeralContainers.orValue([])"
            ),
        },
        {
            "name": "contexts",
            "expression": (
                "[variables.pod.?securityContext.orValue({})] + "
                "variables.containers.map(c, c.?securityContext.orValue({}))"
            ),
        },
    ],
    "validations": [{"expression": expression, "message": message} for _, expression, message in _VALIDATIONS],
}
