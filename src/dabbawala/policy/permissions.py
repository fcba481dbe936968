"""Roles and bindings read the other way round: not "may she?" but "who may, and where?".

Source: authorization of kube-apiserver (RBAC); the verbs `bind`, `escalate`, `impersonate`, `approve` mean what the
page "Role Based Access Control Good Practices" says of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.access import (
    AUTHENTICATED,
    SERVICE_ACCOUNT,
    SERVICE_ACCOUNTS,
    Attributes,
    User,
    service_account,
)
from dabbawala.policy.rbac import Grant, Policy

WRITES = frozenset({"create", "update", "patch"})
CHANGES = frozenset({"update", "patch"})
WORKLOADS = (
    ("", "pods"), ("", "replicationcontrollers"), ("apps", "deployments"), ("apps", "daemonsets"),
    ("apps", "statefulsets"), ("apps", "replicasets"), ("batch", "jobs"), ("batch", "cronjobs"),
    ("argoproj.io", "rollouts"),
)  # fmt: skip
GUARDS = (
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("networking.k8s.io", "networkpolicies"),
)
"""What stands between a deployment and the cluster."""


class Subject(NamedTuple):
    """Whom bindings name. A service account's name is `namespace/name`."""

    kind: str
    name: str

    @property
    def user(self) -> User:
        """As the API server sees a request of the subject; of a group, of somebody who is in no other."""
        if self.kind == "ServiceAccount":
            return service_account(*self.name.split("/", 1))
        if self.kind == "Group":
            return User("", (self.name,))
        return User(self.name, (AUTHENTICATED,))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Place(NamedTuple):
    """Where something is allowed: an empty namespace is everywhere, no names are all of them."""

    namespace: str
    names: frozenset[str]
    grant: Grant

    def has(self, namespace: str, name: str = "") -> bool:
        return self.namespace in ("", namespace) and (not self.names or name in self.names)


def subjects(policy: Policy) -> list[Subject]:
    """Everyone whom a binding names, in order."""
    found = []
    for name in policy.users():
        if name.startswith(SERVICE_ACCOUNT):
            found.append(Subject("ServiceAccount", name.removeprefix(SERVICE_ACCOUNT).replace(":", "/", 1)))
        else:
            found.append(Subject("User", name))
    return sorted([*found, *(Subject("Group", name) for name in policy.groups())])


def places(grants: Iterable[Grant], verbs: Collection[str], group: str, resource: str) -> list[Place]:
    """Where the grants allow one of the verbs on a resource or `resource/subresource`. What is created has no name that
    a rule could ask for, so rules with names do not allow it; a subresource is of something that has one."""
    plural, slash, subresource = resource.partition("/")
    found = []
    for grant in grants:
        rule = grant.rule
        if not ((rule.groups & {group, "*"}) and rule.has_resource(plural, subresource)):
            continue
        allowed = set(verbs) if "*" in rule.verbs else rule.verbs & set(verbs)
        if allowed - ({"create"} if rule.names and not slash else set()):
            found.append(Place(grant.namespace, rule.names, grant))
    return found


def who_can(
    policy: Policy, verb: str, resource: str, group: str = "", *, namespace: str = ""
) -> list[tuple[Subject, str]]:
    """The subjects of bindings that are allowed it, each with the binding that says so."""
    plural, _, subresource = resource.partition("/")
    found = []
    for subject in subjects(policy):
        wanted = Attributes(
            subject.user, verb, group, resource=plural, subresource=subresource, namespace=namespace
        )  # fmt: skip
        decision = policy.authorize(wanted)
        if decision.allowed:
            found.append((subject, decision.reason))
    return found


def of_default_accounts(policy: Policy, namespaces: Iterable[str]) -> list[tuple[ObjectKey, Grant]]:
    """What the `default` accounts of namespaces are allowed, beyond what everybody is; by their own name, or by the
    group of their namespace's accounts."""
    found = []
    for namespace in sorted(namespaces):
        names = (f"{SERVICE_ACCOUNT}{namespace}:default", f"{SERVICE_ACCOUNTS}:{namespace}")
        found += [(ObjectKey(namespace, "default"), grant) for name in names for grant in policy.granted_to(name)]
    return found


@dataclass(frozen=True, slots=True)
class Dangling:
    """A binding that names what is not there. `what` is `ClusterRole view` or `ServiceAccount shop/web`."""

    kind: str
    binding: ObjectKey
    what: str


def dangling(objects: Sequence[Object]) -> Iterator[Dangling]:
    """Users and groups live outside the cluster, so that nobody here can say whether they exist. The `default` account
    of a namespace always does."""
    policy = Policy.of(objects)
    accounts = {meta.key(found) for found in objects if found.get("kind") == "ServiceAccount"}
    for binding in objects:
        if binding.get("kind") not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        ref, home = binding.get("roleRef") or {}, meta.namespace(binding)
        if policy.rules_of(ref, home) is None:
            named = ref.get("name") if ref.get("kind") == "ClusterRole" else f"{home}/{ref.get('name')}"
            yield Dangling(binding["kind"], meta.key(binding), f"{ref.get('kind')} {named}")
        for subject in binding.get("subjects") or ():
            key = ObjectKey(subject.get("namespace") or home, subject.get("name") or "")
            if subject.get("kind") == "ServiceAccount" and key not in accounts and key.name != "default":
                yield Dangling(binding["kind"], meta.key(binding), f"ServiceAccount {key}")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two duties in one hand, each with the binding that gives it."""

    subject: Subject
    deploys: str
    guards: str


def conflicts(policy: Policy, production: Iterable[str]) -> Iterator[Conflict]:
    """Who may both deploy to one of the namespaces and change what guards them. A person is told by what bindings give
    to their user or to one of their groups; which groups a person is in only the identity provider knows."""
    wanted = sorted(production)
    for subject in subjects(policy):
        grants = list(policy.grants(subject.user))
        guarding = next(
            (place for pair in GUARDS for place in places(grants, _ALTERS, *pair) if _covers(place, wanted)), None
        )
        deploying = next(
            (place for pair in WORKLOADS for place in places(grants, WRITES, *pair) if _covers(place, wanted)), None
        )
        if guarding and deploying:
            yield Conflict(subject, deploying.grant.reason, guarding.grant.reason)


_ALTERS = WRITES | {"delete", "deletecollection"}


def _covers(place: Place, namespaces: Collection[str]) -> bool:
    return not place.namespace or place.namespace in namespaces
