"""What leads from one place to the next: each right that gives more than it says, and where it leads.

A right that the API server checks against escalation is none: whoever may write roles and bindings without `escalate`
and `bind` can only hand out what they have. Rights of two identities are not added up, as a request has one author;
what an identity may bind to itself is added to its own. Source: "Role Based Access Control Good Practices".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dabbawala.api.rbac_rules import GROUP as RBAC
from dabbawala.policy.access import MASTERS, SERVICE_ACCOUNT
from dabbawala.policy.permissions import CHANGES, WORKLOADS, WRITES, Place, places
from dabbawala.policy.rbac import EVERYTHING, Grant, missing
from dabbawala.policy.takeover_places import (
    CLUSTER_ADMIN,
    EVERY_ACCOUNT,
    EVERY_NODE,
    EVERY_POD,
    EVERYBODY,
    GROUP,
    NODE,
    RULES,
    RUNS,
    RUNS_ANYWHERE,
    USER,
    Estate,
    Somewhere,
    account,
)

_ADMISSION = "admissionregistration.k8s.io"
_CERTIFICATES = "certificates.k8s.io"
_CLIENT, _KUBELET = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
_READS = frozenset({"get", "list", "watch"})
_MUTATING = ("mutatingwebhookconfigurations", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")


@dataclass(frozen=True, slots=True)
class Step:
    """One move. `means` is a constant, `text` goes on with a sentence ("which may …"), `by` is the binding behind."""

    means: str
    text: str
    to: Somewhere
    by: str = ""


class Rights:
    """What one identity may do, what it may bind to itself included."""

    def __init__(self, grants: Iterable[Grant], estate: Estate) -> None:
        self.estate = estate
        self.grants = list(dict.fromkeys(grants))
        while more := [
            grant for grant in _bindable(self.grants, estate) if grant[:2] not in {g[:2] for g in self.grants}
        ]:
            self.grants += more

    def may(self, verbs: Iterable[str], resource: str, group: str = "") -> list[Place]:
        return places(self.grants, frozenset(verbs), group, resource)

    def everywhere(self, verbs: Iterable[str], resource: str, group: str = "") -> Place | None:
        """Where it is allowed for every object of the cluster."""
        return next((p for p in self.may(verbs, resource, group) if not p.namespace and not p.names), None)

    def steps(self) -> Iterator[Step]:
        """In the order in which they are told where several are as short."""
        for follow in _MOVES:
            yield from follow(self)


def _bindable(grants: Sequence[Grant], estate: Estate) -> list[Grant]:
    """The rules of the roles that the verb `bind` lets one take for oneself: of ClusterRoles the named ones, as who
    may bind any needs no list (`_binds`); of a namespace's own Roles those that there are."""
    found: dict[tuple[object, ...], Grant] = {}
    for kind, resource in (("ClusterRole", "clusterroles"), ("Role", "roles")):
        for bind in places(grants, {"bind"}, RBAC, resource):
            for binding in _bindings(grants, bind):
                own = estate.policy.roles_in(binding.namespace) if kind == "Role" else []
                for name in sorted(bind.names) or own:
                    rules = estate.policy.rules_of({"kind": kind, "name": name}, binding.namespace) or ()
                    reason = f"{bind.grant.reason}, which lets it bind {kind} {name} to itself"
                    for rule in rules:
                        found.setdefault(
                            (rule, binding.namespace), Grant(rule, binding.namespace, reason, f"{kind}/{name}")
                        )
    return list(found.values())


def _bindings(grants: Sequence[Grant], bind: Place) -> Iterator[Place]:
    """Where bindings may be written for what may be bound."""
    kinds = ("rolebindings",) if bind.namespace else ("clusterrolebindings", "rolebindings")
    for kind in kinds:
        for place in places(grants, WRITES, RBAC, kind):
            if bind.namespace in ("", place.namespace):
                yield place


def _is_admin(rights: Rights) -> Iterator[Step]:
    for grant in rights.grants:
        if not grant.namespace and not missing([grant.rule], EVERYTHING[:1]):
            yield Step("cluster-admin", "which is cluster-admin", CLUSTER_ADMIN, grant.reason)
        elif grant.namespace and not missing([grant.rule], EVERYTHING[:1]):
            to = Somewhere(RULES, grant.namespace)
            yield Step("namespace-admin", f"which may do everything in namespace {grant.namespace}", to, grant.reason)


def _escalates(rights: Rights) -> Iterator[Step]:
    """The verb `escalate`, on a role that one has: what it is changed to say, one may."""
    for place in rights.may({"escalate"}, "clusterroles", RBAC):
        if any(_writes(rights, "clusterroles", place, "", name) for name in _held(rights, "ClusterRole", "")):
            text = "which may write into its own ClusterRole what it likes (escalate)"
            yield Step("escalate", text, CLUSTER_ADMIN, place.grant.reason)
    binding = rights.may(WRITES, "rolebindings", RBAC)
    for place in rights.may({"escalate"}, "roles", RBAC):
        for namespace in _namespaces(rights, place):
            names = [*_held(rights, "Role", namespace), *sorted(place.names)] or ["any"]
            own = names if any(bind.has(namespace) for bind in binding) else _held(rights, "Role", namespace)
            if any(_writes(rights, "roles", place, namespace, name) for name in own):
                text = f"which may write into Roles of namespace {namespace} what it likes (escalate)"
                yield Step("escalate", text, Somewhere(RULES, namespace), place.grant.reason)


def _held(rights: Rights, kind: str, namespace: str) -> list[str]:
    """The roles that one has there."""
    roles = (grant.role.partition("/") for grant in rights.grants if grant.namespace == namespace)
    return sorted({name for own, _, name in roles if own == kind})


def _writes(rights: Rights, resource: str, escalate: Place, namespace: str, name: str) -> bool:
    """Whether a role may be changed, and beyond what one has."""
    changing = rights.may(CHANGES, resource, RBAC)
    return escalate.has(namespace, name) and any(place.has(namespace, name) for place in changing)


def _binds(rights: Rights) -> Iterator[Step]:
    everywhere = any(not place.namespace for place in rights.may(WRITES, "clusterrolebindings", RBAC))
    for bind in rights.may({"bind"}, "clusterroles", RBAC):
        if bind.names:
            continue
        if everywhere and not bind.namespace:
            yield Step("bind", "which may bind any ClusterRole to itself (bind)", CLUSTER_ADMIN, bind.grant.reason)
        for place in rights.may(WRITES, "rolebindings", RBAC):
            for namespace in _both(rights, bind, place):
                text = f"which may bind any ClusterRole to itself in namespace {namespace} (bind)"
                yield Step("bind", text, Somewhere(RULES, namespace), bind.grant.reason)


def _impersonates(rights: Rights) -> Iterator[Step]:
    """A group only together with somebody."""
    users = [place for place in rights.may({"impersonate"}, "users") if not place.namespace]
    accounts = rights.may({"impersonate"}, "serviceaccounts")
    groups = [place for place in rights.may({"impersonate"}, "groups") if not place.namespace]
    for place in groups if users or accounts else ():
        if place.has("", MASTERS):
            text = f"which may impersonate the group {MASTERS}"
            yield Step("impersonate", text, CLUSTER_ADMIN, place.grant.reason)
        for name in sorted(place.names or rights.estate.groups):
            text = f"which may impersonate the group {name}"
            yield Step("impersonate", text, Somewhere(GROUP, "", name), place.grant.reason)
    for place in users:
        for name in sorted(place.names or rights.estate.users):
            if not name.startswith(SERVICE_ACCOUNT):
                text = f"which may impersonate user {name}"
                yield Step("impersonate", text, Somewhere(USER, "", name), place.grant.reason)
    for place in accounts:
        yield from _accounts(rights, place, "impersonate", "which may impersonate")


def _gets_tokens(rights: Rights) -> Iterator[Step]:
    for place in rights.may({"create"}, "serviceaccounts/token"):
        yield from _accounts(rights, place, "token", "which may ask for a token of")
    creating = rights.may({"create"}, "secrets")
    for place in rights.may(_READS, "secrets"):
        for secret, owner in rights.estate.tokens.items():
            if place.has(*secret):
                text = f"which may read Secret {secret}, a token of account {owner}"
                yield Step("token secret", text, account(*owner), place.grant.reason)
        for other in creating if not place.names else ():
            everywhere = not place.namespace and not other.namespace
            for namespace in [""] if everywhere else _both(rights, place, other):
                made = place._replace(namespace=namespace)
                yield from _accounts(rights, made, "token secret", "which may create and read a token Secret of")


def _accounts(rights: Rights, place: Place, means: str, text: str) -> Iterator[Step]:
    if not place.namespace and not place.names:
        yield Step(means, f"{text} any account", EVERY_ACCOUNT, place.grant.reason)
        return
    for owner in rights.estate.accounts_in.get(place.namespace, ()):
        if place.has(*owner):
            yield Step(means, f"{text} account {owner}", account(*owner), place.grant.reason)


def _runs_pods(rights: Rights) -> Iterator[Step]:
    for verb, verbs in (("create", {"create"}), ("change", CHANGES)):
        for group, resource in WORKLOADS:
            entered = resource == "pods" and verb == "change"  # to change one's image is to enter it
            for place in rights.may(verbs, resource, group) if not entered else ():
                yield from _running(rights, place, f"which may {verb} {resource}")


def _running(rights: Rights, place: Place, text: str) -> Iterator[Step]:
    if not place.namespace:
        yield Step("run pods", f"{text} in any namespace", RUNS_ANYWHERE, place.grant.reason)
        if rights.everywhere(WRITES, "namespaces"):
            lifted = f"{text} in any namespace and see to it that no Pod Security keeps them from being root"
            yield Step("lift Pod Security", lifted, EVERY_NODE, place.grant.reason)
        return
    here = f"{text} in namespace {place.namespace}"
    yield Step("run pods", here, Somewhere(RUNS, place.namespace), place.grant.reason)
    yield from _unfenced(rights, place, place.namespace, here)


def _unfenced(rights: Rights, place: Place, namespace: str, text: str) -> Iterator[Step]:
    """Ways around Pod Security for those who run pods where it is enforced."""
    if namespace not in rights.estate.fenced:
        return
    if any(p.has(namespace, namespace) for p in rights.may(CHANGES, "namespaces")):
        lifted = f"{text} and lift its Pod Security, and so run pods that are root"
        yield Step("lift Pod Security", lifted, EVERY_NODE, place.grant.reason)
    claims = any(p.has(namespace) for p in rights.may({"create"}, "persistentvolumeclaims"))
    if claims and rights.everywhere({"create"}, "persistentvolumes"):
        mounted = f"{text} and mount the disk of any node there by a PersistentVolume of its own making"
        yield Step("host volume", mounted, EVERY_NODE, place.grant.reason)


_INTO_PODS = (
    ({"create", "get"}, "pods/exec", "run commands in"), ({"create", "get"}, "pods/attach", "attach to"),
    (CHANGES, "pods/ephemeralcontainers", "add a container to"), (CHANGES, "pods", "change the image of"),
)  # fmt: skip


def _enters_pods(rights: Rights) -> Iterator[Step]:
    for verbs, resource, doing in _INTO_PODS:
        for place in rights.may(verbs, resource):
            if not place.namespace and not place.names:
                yield Step("enter pods", f"which may {doing} any pod", EVERY_POD, place.grant.reason)
                continue
            for pod in rights.estate.pods_in.get(place.namespace, ()):
                if place.has(*pod.key):
                    yield Step("enter pods", f"which may {doing} pod {pod.key}", pod.place, place.grant.reason)


def _reaches_nodes(rights: Rights) -> Iterator[Step]:
    for place in rights.may({"create", "get"}, "nodes/proxy"):
        if place.namespace:
            continue
        if not place.names:
            text = "which may ask any node's kubelet to run commands in its pods (nodes/proxy)"
            yield Step("nodes/proxy", text, EVERY_NODE, place.grant.reason)
        for name in sorted(place.names):
            text = f"which may ask the kubelet of node {name} to run commands in its pods (nodes/proxy)"
            yield Step("nodes/proxy", text, Somewhere(NODE, "", name), place.grant.reason)


def _signs(rights: Rights) -> Iterator[Step]:
    """A certificate is as good as what it says one is; the group of cluster masters alone is refused."""
    asks = rights.everywhere({"create"}, "certificatesigningrequests", _CERTIFICATES)
    approves = rights.everywhere(CHANGES, "certificatesigningrequests/approval", _CERTIFICATES)
    for place in rights.may({"approve"}, "signers", _CERTIFICATES) if asks and approves else ():
        if place.has("", _CLIENT) or place.has("", "kubernetes.io/*"):
            text = "which may approve its own request for a client certificate"
            yield Step("certificate", text, EVERYBODY, place.grant.reason)
        if place.has("", _KUBELET) or place.has("", "kubernetes.io/*"):
            text = "which may approve its own request for a kubelet's certificate"
            yield Step("certificate", text, EVERY_NODE, place.grant.reason)


def _rewrites(rights: Rights) -> Iterator[Step]:
    for resource in _MUTATING:
        for place in rights.may(WRITES, resource, _ADMISSION):
            if not place.namespace:
                text = f"which may change what everybody writes, pods of kube-system too ({resource})"
                yield Step("mutating admission", text, CLUSTER_ADMIN, place.grant.reason)


def _namespaces(rights: Rights, place: Place) -> list[str]:
    return [place.namespace] if place.namespace else rights.estate.namespaces


def _both(rights: Rights, one: Place, other: Place) -> list[str]:
    """The namespaces that two places share."""
    if one.namespace and other.namespace:
        return [one.namespace] if one.namespace == other.namespace else []
    return _namespaces(rights, one if one.namespace else other)


_MOVES: tuple[Callable[[Rights], Iterator[Step]], ...] = (
    _is_admin, _binds, _escalates, _impersonates, _rewrites, _gets_tokens, _runs_pods, _enters_pods, _reaches_nodes,
    _signs,
)  # fmt: skip
