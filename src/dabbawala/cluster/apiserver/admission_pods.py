"""What a new pod gets from other objects: service account and token, priority, runtime class, default tolerations.

Source: kube-apiserver's plugins ServiceAccount, Priority, RuntimeClass, DefaultTolerationSeconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission

TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
_TOKEN_PREFIX = "kube-api-access-"
_TOKEN_VOLUME = _TOKEN_PREFIX + "t0k3n"
_MIRROR = "kubernetes.io/config.mirror"
_EVICTION_SECONDS = 300
_EVICTION_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
# Classes that exist even before their objects do. Source: pkg/apis/scheduling SystemPriorityClasses.
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def admit(core: Core, admission: Admission) -> None:
    """Fill in `admission.object`, in place. Raises Forbidden."""
    pod = admission.object
    if pod is None or admission.operation != "CREATE" or admission.subresource:
        return
    spec = pod.setdefault("spec", {})
    _priority(core, admission, spec)
    _runtime_class(core, admission, spec)
    _tolerations(spec)
    if _MIRROR not in meta.annotations(pod):
        _service_account(core, admission, spec)


def _refused(admission: Admission, why: str) -> status.Forbidden:
    details = {"name": admission.name, "kind": "pods"}
    return status.Forbidden(f'pods "{admission.name}" is forbidden: {why}', details=details)


# Service accounts ------------------------------------------------------------------------------------------------


def _service_account(core: Core, admission: Admission, spec: Object) -> None:
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = core.objects.get("serviceaccounts", admission.namespace, name)
    if account is None:
        if not core.service_accounts_required and name == "default":
            return
        where = f"{admission.namespace}/{name}"
        raise _refused(admission, f'error looking up service account {where}: serviceaccount "{name}" not found')
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken", True)
    if wanted is not False:
        _mount_token(spec)


def _mount_token(spec: Object) -> None:
    volumes = spec["volumes"] = spec.get("volumes") or []
    present = next((item["name"] for item in volumes if str(item.get("name")).startswith(_TOKEN_PREFIX)), None)
    # Whoever has a volume of that prefix has its own; so one name is free in all others, and equal pods stay equal.
    name = present or _TOKEN_VOLUME
    needed = False
    for container in _containers(spec):
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != TOKEN_MOUNT for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": TOKEN_MOUNT}]
            needed = True
    if needed and not present:
        volumes.append({"name": name, "projected": {"defaultMode": 0o644, "sources": _token_sources()}})
    if not volumes:
        del spec["volumes"]


def _containers(spec: Object) -> Iterator[Object]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _token_sources() -> list[Object]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


# Priority --------------------------------------------------------------------------------------------------------


def _priority(core: Core, admission: Admission, spec: Object) -> None:
    name = spec.get("priorityClassName")
    if name:
        chosen = core.objects.get("priorityclasses.scheduling.k8s.io", "", name)
        if chosen is None and name in _SYSTEM_PRIORITIES:
            chosen = {"value": _SYSTEM_PRIORITIES[name]}
        if chosen is None:
            raise _refused(admission, f"no PriorityClass with name {name} was found")
    else:
        chosen = core.objects.derived("priorityclasses.scheduling.k8s.io", _default_class)
        if chosen is not None:
            spec["priorityClassName"] = meta.name(chosen)
    value = (chosen or {}).get("value", 0)
    if spec.get("priority") not in (None, value):
        given = spec["priority"]
        why = f"the integer value of priority ({given}) must not be provided in pod spec; priority admission " \
              f"controller computed {value} from the given PriorityClass name"  # fmt: skip
        raise _refused(admission, why)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", (chosen or {}).get("preemptionPolicy") or "PreemptLowerPriority")


def _default_class(classes: Iterable[Object]) -> Object | None:
    found = (item for item in classes if item.get("globalDefault"))
    return min(found, key=lambda item: int(item.get("value", 0)), default=None)


# Runtime class and tolerations -----------------------------------------------------------------------------------


def _runtime_class(core: Core, admission: Admission, spec: Object) -> None:
    name = spec.get("runtimeClassName")
    if not name:
        return
    chosen = core.objects.get("runtimeclasses.node.k8s.io", "", name)
    if chosen is None:
        raise _refused(admission, f'pod rejected: RuntimeClass "{name}" not found')
    overhead = (chosen.get("overhead") or {}).get("podFixed")
    if overhead:
        spec["overhead"] = overhead
    scheduling = chosen.get("scheduling") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        selector = spec["nodeSelector"] = spec.get("nodeSelector") or {}
        if selector.setdefault(key, value) != value:
            raise _refused(admission, "conflict: the nodeSelector of the pod and of its RuntimeClass differ on " + key)
    extra = [item for item in scheduling.get("tolerations") or () if item not in (spec.get("tolerations") or ())]
    if extra:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *extra]


def _tolerations(spec: Object) -> None:
    given = spec.get("tolerations") or []
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _EVICTION_SECONDS}
        for key in _EVICTION_TAINTS
        if not any(_tolerates(item, key) for item in given)
    ]
    if added:
        spec["tolerations"] = [*given, *added]


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")
