"""Whether two clusters are set up alike: what a primary site and the site for its recovery must have in common.

Of each cluster the same facts are read: versions and systems of its nodes, images that run and their digests, policies,
definitions of kinds, rights and configuration. What differs by nature is no fact: nodes by name, addresses, numbers,
status, certificates that each cluster makes for itself. Values of Secrets are not looked at, only which keys there are.
Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.inventory import Inventory, Item, pods_of

ABSENT = "absent"
VERSIONS, IMAGES, POLICIES, DEFINITIONS, RIGHTS, CONFIGURATION = (
    "versions", "images", "policies", "definitions", "rights", "configuration",
)  # fmt: skip
HASH_CHARACTERS = 12
"""Of a SHA-256 that stands for what is too long to show."""
_NODE = {
    "kubeletVersion": "Kubernetes", "osImage": "system", "kernelVersion": "kernel",
    "containerRuntimeVersion": "container runtime",
}  # fmt: skip
_POLICIES = frozenset({
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "NetworkPolicy",
    "ResourceQuota", "LimitRange", "PodDisruptionBudget", "PriorityClass", "AuthorizationPolicy", "PeerAuthentication",
    "ClusterPolicy", "Policy",
})  # fmt: skip
_RIGHTS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
_DEFINITION = "CustomResourceDefinition"
_PASSING = frozenset({"Pod", "Job", "ReplicaSet", "ReplicationController"})
"""What carries pods and may have a name that somebody made up; what controls them is compared instead."""
_OWN = frozenset({"kube-root-ca.crt", "extension-apiserver-authentication", "cluster-info", "kubeadm-config"})
"""ConfigMaps that every cluster makes for itself."""
_OWN_SECRETS = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1")
_MADE_HERE = frozenset({"caBundle", "clusterIP", "clusterIPs"})
_ENFORCED = "pod-security.kubernetes.io/"
_LEADER = "control-plane.alpha.kubernetes.io/leader"


class Fact(NamedTuple):
    """What is compared: of which part it is, and of which object (`Deployment shop/web`)."""

    part: str
    subject: str


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """What the sites have there: a value, a short hash of one, or `absent`."""

    part: str
    subject: str
    primary: str
    recovery: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`compared` counts facts, those that are in one site only too."""

    compared: int
    differences: tuple[Difference, ...]
    excepted: tuple[Difference, ...]

    def to_json(self) -> Object:
        return {
            "compared": self.compared,
            "differences": [asdict(found) for found in self.differences],
            "excepted": [asdict(found) for found in self.excepted],
        }


def compare(primary: Inventory, recovery: Inventory, excepted: Sequence[str] = ()) -> Comparison:
    """What differs between two clusters, in order. `excepted` are patterns (`ConfigMap shop/region-*`) of subjects that
    may: they are told apart, and not left out."""
    here, there = dict(facts(primary)), dict(facts(recovery))
    every = sorted(here.keys() | there.keys())
    found = [
        Difference(*fact, here.get(fact, ABSENT), there.get(fact, ABSENT))
        for fact in every
        if here.get(fact) != there.get(fact)
    ]
    may = {each for each in found if any(fnmatchcase(each.subject, pattern) for pattern in excepted)}
    return Comparison(
        len(every), tuple(each for each in found if each not in may), tuple(each for each in found if each in may)
    )


def facts(inventory: Inventory) -> Iterator[tuple[Fact, str]]:
    yield from _versions(inventory)
    digests = _digests(inventory)
    for item in inventory:
        obj = item.object
        for part, value in _of(item, obj, digests.get((item.kind, item.namespace, item.name), {})):
            yield Fact(part, subject(item)), value


def subject(item: Item) -> str:
    return f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"


def _versions(inventory: Inventory) -> Iterator[tuple[Fact, str]]:
    """Of all nodes together: two sites may have more or fewer of them."""
    said = [((item.object.get("status") or {}).get("nodeInfo") or {}) for item in inventory.select("Node", group="")]
    for field, name in _NODE.items():
        if values := sorted({str(info[field]) for info in said if info.get(field)}):
            yield Fact(VERSIONS, f"{name} of the nodes"), ", ".join(values)


def _of(item: Item, obj: Object, digests: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    if item.kind == "Namespace":
        yield POLICIES, _levels(obj)
    elif item.kind in _POLICIES:
        yield POLICIES, _hash(obj)
    elif item.kind == _DEFINITION:
        served = [version for version in (obj.get("spec") or {}).get("versions") or () if version.get("served")]
        yield DEFINITIONS, f"{', '.join(str(version.get('name')) for version in served)} ({_hash(obj)})"
    elif item.kind in _RIGHTS and not item.name.startswith("system:"):
        yield RIGHTS, _hash(obj)
    elif item.kind == "ConfigMap" and item.name not in _OWN and _LEADER not in meta.annotations(obj):
        yield CONFIGURATION, _hash(obj)
    elif item.kind == "Secret" and obj.get("type") not in _OWN_SECRETS:
        yield CONFIGURATION, "keys " + ", ".join(sorted(obj.get("data") or {}))
    elif item.carries_pods and item.kind not in _PASSING:
        yield from _of_workload(item, digests)


def _levels(namespace: Object) -> str:
    """What Pod Security holds the namespace to."""
    levels = {name: level for name, level in sorted(meta.labels(namespace).items()) if name.startswith(_ENFORCED)}
    return ", ".join(f"{name.removeprefix(_ENFORCED)}={level}" for name, level in levels.items()) or "no level"


def _of_workload(item: Item, digests: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    spec: Object = next(pods_of(item)).spec
    yield IMAGES, ", ".join(_image(container, digests) for container in _containers(spec))
    bare = {name: [_without_image(each) for each in spec.get(name) or ()] for name in ("containers", "initContainers")}
    yield CONFIGURATION, _hash({**spec, **bare})


def _image(container: Object, digests: Mapping[str, set[str]]) -> str:
    name = str(container.get("name"))
    return " ".join([f"{name}={container.get('image')}", *sorted(digests.get(name, ()))])


def _containers(spec: Object) -> list[Object]:
    return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]


def _without_image(container: Object) -> Object:
    return {name: value for name, value in container.items() if name != "image"}


def _digests(inventory: Inventory) -> dict[tuple[str, str, str], dict[str, set[str]]]:
    """By workload and container, the digests that run."""
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for item in inventory.select("Pod", group=""):
        root, status = inventory.root(item), item.object.get("status") or {}
        known = found.setdefault((root.kind, root.namespace, root.name), {})
        for container in _statuses(status):
            digest = str(container.get("imageID") or "").rpartition("@")[2]
            if digest.startswith("sha256:"):
                known.setdefault(str(container.get("name")), set()).add(digest)
    return found


def _statuses(status: Object) -> Iterable[Object]:
    return [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]


def _hash(obj: Object) -> str:
    """Of what somebody wrote: not of metadata and status, nor of what a cluster fills in."""
    meant = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")}
    text = orjson.dumps(_portable(meant), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:HASH_CHARACTERS]


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _portable(each) for name, each in value.items() if name not in _MADE_HERE}
    return [_portable(each) for each in value] if isinstance(value, list) else value
