"""RBAC as a pure computation: what a rule allows, whose rules apply, and what one set of rules adds to another.

Source: plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dabbawala.api import rbac_rules
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.access import MASTERS, SERVICE_ACCOUNT, Attributes, Decision, User

KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_NO = Decision(False)
_MASTER = Decision(True)
_ANY = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule, as sets."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    paths: tuple[str, ...]

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> Rule:
        return cls(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
        )

    def allows(self, wanted: Attributes) -> bool:
        if not (wanted.verb in self.verbs or "*" in self.verbs):
            return False
        if wanted.path:
            return any(_path_matches(pattern, wanted.path) for pattern in self.paths)
        return (
            (wanted.group in self.groups or "*" in self.groups)
            and self.has_resource(wanted.resource, wanted.subresource)
            and (not self.names or wanted.name in self.names)
        )

    def has_resource(self, resource: str, subresource: str) -> bool:
        if "*" in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def as_object(self) -> Object:
        fields = {
            "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources, "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }  # fmt: skip
        return {name: sorted(values) for name, values in fields.items() if values}


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


EVERYTHING = (
    Rule(_ANY, _ANY, _ANY, frozenset(), ()),
    Rule(_ANY, frozenset(), frozenset(), frozenset(), ("*",)),
)
"""What cluster-admin may do: every verb on every resource, and on every path."""


class Grant(NamedTuple):
    """A rule that somebody has, where, why, and of which role (`ClusterRole/view`). An empty namespace means
    everywhere."""

    rule: Rule
    namespace: str
    reason: str
    role: str = ""


class Policy:
    """All grants of a cluster, by subject. Made of the stored roles and bindings; never changes."""

    def __init__(
        self,
        roles: Iterable[Object],
        cluster_roles: Iterable[Object],
        bindings: Iterable[Object],
        cluster_bindings: Iterable[Object],
    ) -> None:
        listed = list(cluster_roles)
        self._cluster_roles = {meta.name(role): _rules_of(role, listed) for role in listed}
        self._roles = {meta.key(role): _rules(role) for role in roles}
        self._by_user: dict[str, list[Grant]] = {}
        self._by_group: dict[str, list[Grant]] = {}
        for binding in itertools.chain(cluster_bindings, bindings):
            self._bind(binding)

    @classmethod
    def of(cls, objects: Iterable[Object]) -> Policy:
        """Of whatever objects there are; those that are no roles or bindings say nothing here."""
        found: dict[str, list[Object]] = {kind: [] for kind in KINDS}
        for obj in objects:
            if obj.get("kind") in found and str(obj.get("apiVersion", "")).startswith(f"{rbac_rules.GROUP}/"):
                found[obj["kind"]].append(obj)
        return cls(*found.values())

    def rules_of(self, ref: Mapping[str, str], namespace: str) -> tuple[Rule, ...] | None:
        """The rules behind a roleRef; None if there is no such role."""
        if ref.get("kind") == "ClusterRole":
            return self._cluster_roles.get(ref.get("name", ""))
        return self._roles.get(meta.ObjectKey(namespace, ref.get("name", "")))

    def roles_in(self, namespace: str) -> list[str]:
        return sorted(key.name for key in self._roles if key.namespace == namespace)

    def _bind(self, binding: Object) -> None:
        ref, namespace = binding.get("roleRef") or {}, meta.namespace(binding)
        rules = self.rules_of(ref, namespace)
        if not rules:
            return
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        home = f"{meta.name(binding)}/{namespace}" if namespace else meta.name(binding)
        for subject in binding.get("subjects") or ():
            index, name, shown = self._subject(subject, namespace)
            reason = f'RBAC: allowed by {kind} "{home}" of {ref.get("kind")} "{ref.get("name")}" to {shown}'
            role = f"{ref.get('kind')}/{ref.get('name')}"
            index.setdefault(name, []).extend(Grant(rule, namespace, reason, role) for rule in rules)

    def _subject(self, subject: Mapping[str, str], namespace: str) -> tuple[dict[str, list[Grant]], str, str]:
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            return self._by_user, f"{SERVICE_ACCOUNT}{home}:{name}", f'ServiceAccount "{name}/{home}"'
        return (self._by_group if kind == "Group" else self._by_user), name, f'{kind} "{name}"'

    def grants(self, user: User) -> Iterator[Grant]:
        """Everything that applies to the user, in every namespace."""
        yield from self._by_user.get(user.name, ())
        for group in user.groups:
            yield from self._by_group.get(group, ())

    def authorize(self, attributes: Attributes) -> Decision:
        """Whether it is allowed, and by what. Members of `system:masters` may do everything."""
        if MASTERS in attributes.user.groups:
            return _MASTER
        for grant in self.grants(attributes.user):
            if (not grant.namespace or grant.namespace == attributes.namespace) and grant.rule.allows(attributes):
                return Decision(True, grant.reason)
        return _NO

    def allows(self, wanted: Attributes) -> bool:
        return self.authorize(wanted).allowed

    def granted_to(self, subject: str) -> list[Grant]:
        """What bindings give to a user or group by that name, without what comes with groups."""
        return [*self._by_user.get(subject, ()), *self._by_group.get(subject, ())]

    def users(self) -> list[str]:
        """Everyone whom a binding names, service accounts by their user name."""
        return sorted(self._by_user)

    def groups(self) -> list[str]:
        return sorted(self._by_group)


def _rules(role: Object) -> tuple[Rule, ...]:
    return tuple(Rule.of(rule) for rule in role.get("rules") or ())


def _rules_of(role: Object, cluster_roles: Sequence[Object]) -> tuple[Rule, ...]:
    """A cluster role's rules; of an aggregated one, those of the roles it selects."""
    chosen = rbac_rules.aggregated(role, cluster_roles)
    return _rules(role) if chosen is None else tuple(dict.fromkeys(Rule.of(rule) for rule in chosen))


def missing(owned: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Those of `wanted`, split into their smallest parts, that `owned` does not cover: what would be an escalation."""
    have = list(owned)
    return [part for rule in wanted for part in _parts(rule) if not any(_covers(rule_, part) for rule_ in have)]


def _parts(rule: Rule) -> Iterator[Rule]:
    for verb in sorted(rule.verbs):
        for path in rule.paths:
            yield Rule(frozenset({verb}), frozenset(), frozenset(), frozenset(), (path,))
        for group, resource in itertools.product(sorted(rule.groups), sorted(rule.resources)):
            for name in sorted(rule.names) or [""]:
                names = frozenset({name} - {""})
                yield Rule(frozenset({verb}), frozenset({group}), frozenset({resource}), names, ())


def _covers(owner: Rule, part: Rule) -> bool:
    if not _has(owner.verbs, part.verbs):
        return False
    if part.paths:
        return all(any(_path_matches(pattern, path) for pattern in owner.paths) for path in part.paths)
    if not _has(owner.groups, part.groups):
        return False
    if owner.names and not (part.names and part.names <= owner.names):
        return False
    resource = next(iter(part.resources))
    _, slash, subresource = resource.partition("/")
    return bool(owner.resources & {"*", resource}) or (bool(slash) and f"*/{subresource}" in owner.resources)


def _has(owned: frozenset[str], wanted: frozenset[str]) -> bool:
    return "*" in owned or wanted <= owned
