"""The places that somebody who takes over a cluster moves through, and what stands in them: accounts, pods, nodes.

Every place is a value; `Estate` is what the objects say about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.network_pods import ENDED
from dabbawala.policy.permissions import subjects
from dabbawala.policy.rbac import Policy

ADMIN, ACCOUNT, USER, GROUP, POD, NODE = "admin", "account", "user", "group", "pod", "node"
RUNS, RULES, ANY_NODE, ANY_POD, ANY_ACCOUNT, ANYBODY = "runs", "rules", "any node", "any pod", "any account", "anybody"

T = TypeVar("T")

_ENFORCE = "pod-security.kubernetes.io/enforce"
_FENCED = frozenset({"baseline", "restricted"})
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_TOKEN_SECRET = "kubernetes.io/service-account-token"
_TOKEN_OF = "kubernetes.io/service-account.name"
_HOST_CAPABILITIES = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE"})
_HOST_PATHS = frozenset({
    "/", "/boot", "/dev", "/etc", "/home", "/opt", "/proc", "/root", "/run", "/sys", "/usr", "/var", "/var/lib",
    "/var/run",
})  # fmt: skip
_HOST_PATHS_UNDER = ("/etc/cron", "/etc/kubernetes", "/root/", "/var/lib/kubelet", "/opt/cni", "/etc/cni", "/proc/")
_SOCKETS = ("docker.sock", "containerd.sock", "crio.sock")


class Somewhere(NamedTuple):
    """`RUNS` is to run pods in a namespace (in any, without one), `RULES` to be its administrator, `ANYBODY` any user
    but cluster masters. What is open for all of a kind is one place, so that the search stays small."""

    kind: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace and self.name else self.namespace or self.name


CLUSTER_ADMIN, EVERY_NODE, EVERYBODY = Somewhere(ADMIN), Somewhere(ANY_NODE), Somewhere(ANYBODY)
EVERY_POD, EVERY_ACCOUNT, RUNS_ANYWHERE = Somewhere(ANY_POD), Somewhere(ANY_ACCOUNT), Somewhere(RUNS)


def account(namespace: str, name: str) -> Somewhere:
    return Somewhere(ACCOUNT, namespace, name)


@dataclass(frozen=True, slots=True)
class Inmate:
    """A pod, as far as it matters who runs it and what of its node it holds. `account` is None without a token."""

    key: ObjectKey
    account: ObjectKey | None
    node: str
    holds: str

    @property
    def place(self) -> Somewhere:
        return Somewhere(POD, *self.key)


class Estate:
    """What there is. `fenced` are the namespaces where Pod Security keeps pods off their node; `tokens` the accounts
    whose token stands in a Secret."""

    def __init__(self, objects: Iterable[Object]) -> None:
        listed = sorted(objects, key=lambda found: (str(found.get("kind")), meta.key(found)))
        kinds: dict[str, list[Object]] = {}
        for found in listed:
            kinds.setdefault(str(found.get("kind")), []).append(found)
        self.policy = Policy.of(listed)
        silent = {
            meta.key(a) for a in kinds.get("ServiceAccount", ()) if a.get("automountServiceAccountToken") is False
        }
        self.pods = [_inmate(pod, silent) for pod in kinds.get("Pod", ()) if not _ended(pod)]
        self.nodes = {meta.name(node): _is_control_plane(node) for node in kinds.get("Node", ())}
        self.tokens = dict(_tokens(kinds.get("Secret", ())))
        bound = subjects(self.policy)
        self.users = [s.name for s in bound if s.kind == "User"]
        self.groups = [s.name for s in bound if s.kind == "Group"]
        self.accounts = self._accounts(kinds, [s.name for s in bound if s.kind == "ServiceAccount"])
        self.namespaces = sorted({*map(meta.name, kinds.get("Namespace", ())), *(a.namespace for a in self.accounts)})
        self.fenced = {meta.name(n) for n in kinds.get("Namespace", ()) if meta.labels(n).get(_ENFORCE) in _FENCED}

    def _accounts(self, kinds: Mapping[str, list[Object]], bound: Iterable[str]) -> list[ObjectKey]:
        """Those that are there, that pods use, and that bindings name."""
        named = (ObjectKey(*name.split("/", 1)) for name in bound)
        used = (pod.account for pod in self.pods if pod.account)
        return sorted({*map(meta.key, kinds.get("ServiceAccount", ())), *used, *named})

    @cached_property
    def accounts_in(self) -> Mapping[str, list[ObjectKey]]:
        return _by_namespace((key, key) for key in self.accounts)

    @cached_property
    def pods_in(self) -> Mapping[str, list[Inmate]]:
        return _by_namespace((pod.key, pod) for pod in self.pods)

    @cached_property
    def pods_on(self) -> Mapping[str, list[Inmate]]:
        """By node; under no name those that nobody has put anywhere yet."""
        found: dict[str, list[Inmate]] = {}
        for pod in self.pods:
            found.setdefault(pod.node, []).append(pod)
        return found

    def on(self, node: str) -> Iterator[Inmate]:
        """The pods that are on a node, or may come to be."""
        yield from self.pods_on.get(node, ())
        yield from self.pods_on.get("", ())


def _by_namespace(items: Iterable[tuple[ObjectKey, T]]) -> dict[str, list[T]]:
    """What belongs to each namespace, and under no name everything."""
    found: dict[str, list[T]] = {}
    for key, item in items:
        for where in ("", key.namespace):
            found.setdefault(where, []).append(item)
    return found


def _ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ENDED


def _inmate(pod: Object, silent: set[ObjectKey]) -> Inmate:
    spec: Mapping[str, Any] = pod.get("spec") or {}
    own = ObjectKey(meta.namespace(pod), spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
    mounted = spec.get("automountServiceAccountToken")
    if mounted is None:
        mounted = own not in silent
    has_token = mounted or any(_projects_token(volume) for volume in spec.get("volumes") or ())
    return Inmate(meta.key(pod), own if has_token else None, spec.get("nodeName") or "", _held_of_node(spec))


def _projects_token(volume: Mapping[str, Any]) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any("serviceAccountToken" in source for source in sources)


def _held_of_node(spec: Mapping[str, Any]) -> str:
    """What of the pod makes it root on its node; empty if nothing does."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for container in containers:
        context = container.get("securityContext") or {}
        if context.get("privileged"):
            return f"is privileged (container {container.get('name')})"
        added = {str(name).removeprefix("CAP_") for name in (context.get("capabilities") or {}).get("add") or ()}
        if added & _HOST_CAPABILITIES - (set() if spec.get("hostPID") else {"SYS_PTRACE"}):
            return f"has capability {sorted(added & _HOST_CAPABILITIES)[0]} (container {container.get('name')})"
    for volume in spec.get("volumes") or ():
        path = (volume.get("hostPath") or {}).get("path")
        if path and _leads_to_root(path):
            return f"mounts {path} of its node"
    return ""


def _leads_to_root(path: str) -> bool:
    plain = path.rstrip("/") or "/"
    return plain in _HOST_PATHS or plain.startswith(_HOST_PATHS_UNDER) or plain.endswith(_SOCKETS)


def _is_control_plane(node: Object) -> bool:
    return any(label in meta.labels(node) for label in _CONTROL_PLANE)


def _tokens(secrets: Iterable[Object]) -> Iterator[tuple[ObjectKey, ObjectKey]]:
    """Account by the Secret that holds a token of it."""
    for secret in secrets:
        owner = meta.annotations(secret).get(_TOKEN_OF)
        if secret.get("type") == _TOKEN_SECRET and owner:
            yield meta.key(secret), ObjectKey(meta.namespace(secret), owner)
