"""The checks of level `restricted`: what a hardened pod says of itself.

A pod of Windows, which knows none of it, and a pod in a user namespace, where root is nobody, need not say all of it
from the version on that knows about them.

Source: k8s.io/pod-security-admission/policy/check_*.go.
"""

from __future__ import annotations

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import pods, wording
from dabbawala.policy.pod_security.baseline import CONFINED, Finding, unconfined
from dabbawala.policy.pod_security.pods import mapping, text

VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"
)  # fmt: skip
_OTHER_VOLUMES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd",
    "flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk",
    "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip


def privilege_escalation(metadata: Object, spec: Object) -> Finding | None:
    bad = [name for name, context in pods.contexts(spec) if context.get("allowPrivilegeEscalation") is not False]
    if not bad:
        return None
    detail = f"{wording.containers(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return "allowPrivilegeEscalation != false", detail


def privilege_escalation_1_25(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.on_windows(spec) else privilege_escalation(metadata, spec)


def capabilities(metadata: Object, spec: Object) -> Finding | None:
    kept: list[str] = []
    adding: list[str] = []
    added: set[str] = set()
    for name, context in pods.contexts(spec):
        given = mapping(context, "capabilities")
        if "ALL" not in pods.texts(given, "drop"):
            kept.append(name)
        beyond = set(pods.texts(given, "add")) - {"NET_BIND_SERVICE"}
        if beyond:
            adding.append(name)
            added |= beyond
    details = []
    if kept:
        details.append(f'{wording.containers(kept)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        listed = wording.quoted(sorted(added))
        details.append(f"{wording.containers(adding)} must not include {listed} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def capabilities_1_25(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.on_windows(spec) else capabilities(metadata, spec)


def volumes(metadata: Object, spec: Object) -> Finding | None:
    bad: list[str] = []
    types: set[str] = set()
    for volume in pods.items(spec, "volumes"):
        if all(volume.get(kind) is None for kind in VOLUMES):
            bad.append(text(volume, "name"))
            types.add(next((kind for kind in _OTHER_VOLUMES if volume.get(kind) is not None), "unknown"))
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    what = wording.plural("restricted volume type", types)
    detail = f"{wording.plural('volume', bad)} {wording.quoted(bad)} {verb} {what} {wording.quoted(sorted(types))}"
    return "restricted volume types", detail


def run_as_non_root(metadata: Object, spec: Object) -> Finding | None:
    pod = mapping(spec, "securityContext").get("runAsNonRoot")
    said = [(name, context.get("runAsNonRoot")) for name, context in pods.contexts(spec)]
    who = wording.setters(pod is False, [name for name, value in said if value is False])
    if who:
        return "runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false"
    silent = [name for name, value in said if value is not True]
    if pod is True or not silent:
        return None
    return "runAsNonRoot != true", f"pod or {wording.containers(silent)} must set securityContext.runAsNonRoot=true"


def run_as_non_root_1_35(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.in_user_namespace(spec) else run_as_non_root(metadata, spec)


def run_as_user(metadata: Object, spec: Object) -> Finding | None:
    pod = _is_root(mapping(spec, "securityContext"))
    who = wording.setters(pod, [name for name, context in pods.contexts(spec) if _is_root(context)])
    return ("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _is_root(context: Object) -> bool:
    user = context.get("runAsUser")
    return user == 0 and user is not False


def run_as_user_1_35(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.in_user_namespace(spec) else run_as_user(metadata, spec)


def seccomp(metadata: Object, spec: Object) -> Finding | None:
    pod, bad, types = unconfined(spec, "seccompProfile")
    who = wording.setters(pod, bad)
    if who:
        listed = wording.quoted(sorted(types))
        return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {listed}"
    if _confined(mapping(spec, "securityContext")):
        return None
    silent = [name for name, context in pods.contexts(spec) if not _confined(context)]
    if not silent:
        return None
    wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return "seccompProfile", f"pod or {wording.containers(silent)} {wanted}"


def _confined(context: Object) -> bool:
    return text(mapping(context, "seccompProfile"), "type") in CONFINED


def seccomp_1_25(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.on_windows(spec) else seccomp(metadata, spec)
