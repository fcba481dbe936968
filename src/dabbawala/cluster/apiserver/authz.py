"""Who may do what: RBAC, answered from memory.

The policy is rebuilt when a role or binding has changed; decisions are remembered until then. Members of
`system:masters` may do everything, so that a cluster can always be repaired.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from dabbawala.api import rbac_rules, rbac_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.policy.access import MASTERS, Attributes, Decision, User
from dabbawala.policy.rbac import EVERYTHING, Policy, Rule, missing

_KINDS = (rbac_v1.ROLE, rbac_v1.CLUSTER_ROLE, rbac_v1.ROLE_BINDING, rbac_v1.CLUSTER_ROLE_BINDING)
_ROLES = frozenset({rbac_v1.ROLE.resource, rbac_v1.CLUSTER_ROLE.resource})
_BINDINGS = frozenset({rbac_v1.ROLE_BINDING.resource, rbac_v1.CLUSTER_ROLE_BINDING.resource})
_REMEMBERED = 20_000
_SHOWN_RULES = 20
_MASTER = Decision(True)
_COLLECTED_BY = frozenset({"ownerReferences", "finalizers", "managedFields", "resourceVersion"})


class RBACAuthorizer:
    """Authorises by the stored roles and bindings."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._revisions: tuple[int, ...] = ()
        self._policy = Policy((), (), (), ())
        self._decisions: dict[tuple[object, ...], Decision] = {}

    def authorize(self, attributes: Attributes) -> Decision:
        user = attributes.user
        if MASTERS in user.groups:
            return _MASTER
        policy = self.policy()  # first, as it forgets what was decided by an older one
        key = (
            user.name, user.groups, attributes.verb, attributes.group, attributes.resource, attributes.subresource,
            attributes.namespace, attributes.name, attributes.path,
        )  # fmt: skip
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _REMEMBERED:
                self._decisions.clear()
            decision = self._decisions[key] = policy.authorize(attributes)
        return decision

    def policy(self) -> Policy:
        """The policy of this moment."""
        objects = self._core.objects
        revisions = tuple(objects.changed(kind.resource) for kind in _KINDS)
        if revisions != self._revisions:
            roles, cluster_roles, bindings, cluster_bindings = (objects.list(kind.resource) for kind in _KINDS)
            self._policy = Policy(roles, cluster_roles, bindings, cluster_bindings)
            self._decisions.clear()
            self._revisions = revisions
        return self._policy

    def rules(self, user: User, namespace: str) -> list[Rule]:
        """What the user may do in a namespace (only cluster-wide grants for an empty one)."""
        if MASTERS in user.groups:
            return list(EVERYTHING)
        grants = self.policy().grants(user)
        return list(dict.fromkeys(grant.rule for grant in grants if grant.namespace in ("", namespace)))


class EscalationCheck:
    """Nobody hands out more than they have: writing a role needs its rules (or the verb `escalate`), binding a role
    needs its rules (or the verb `bind`). A role that gathers others will have whatever they will have, so that writing
    it, or making it stop, needs everything. Source: pkg/registry/rbac/*/policybased."""

    def __init__(self, authorizer: RBACAuthorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, admission: Admission) -> None:
        new, resource = admission.object, admission.kind.resource
        if new is None or MASTERS in admission.user.groups:
            return
        if resource not in _ROLES | _BINDINGS or _only_collected(new, admission.old):
            return
        if resource in _ROLES:
            self._role(admission, new)
        else:
            self._binding(admission, new)

    def _role(self, admission: Admission, new: Object) -> None:
        """Whatever changes, a label too: it may be what other roles gather by."""
        if self._may(admission, "escalate", meta.name(new)):
            return
        self._demand(admission, [Rule.of(rule) for rule in new.get("rules") or ()], meta.name(new))
        gathering = _gathers(new) or _gathers(admission.old)
        if gathering and missing(self._authorizer.rules(admission.user, admission.namespace), EVERYTHING):
            message = "must have cluster-admin privileges to use the aggregationRule"
            raise status.Forbidden(f'{admission.kind.resource} "{meta.name(new)}" is forbidden: {message}')

    def _binding(self, admission: Admission, new: Object) -> None:
        ref = new.get("roleRef") or {}
        plural = "clusterroles" if ref.get("kind") == "ClusterRole" else "roles"
        if self._may(admission, "bind", ref.get("name", ""), plural):
            return
        rules = self._authorizer.policy().rules_of(ref, admission.namespace)
        if rules is None:
            message = f'{ref.get("kind", "").lower()}s.{rbac_v1.GROUP} "{ref.get("name")}" not found'
            raise status.NotFound(message)
        self._demand(admission, rules, meta.name(new))

    def _may(self, admission: Admission, verb: str, name: str, resource: str = "") -> bool:
        wanted = Attributes(
            admission.user, verb, rbac_v1.GROUP, "v1", resource or admission.kind.plural,
            namespace=admission.namespace, name=name,
        )  # fmt: skip
        return self._authorizer.authorize(wanted).allowed

    def _demand(self, admission: Admission, rules: Iterable[Rule], name: str) -> None:
        user = admission.user
        beyond = missing(self._authorizer.rules(user, admission.namespace), rules)
        if not beyond:
            return
        listed = "\n".join(str(rule.as_object()) for rule in itertools.islice(beyond, _SHOWN_RULES))
        groups = " ".join(f'"{group}"' for group in user.groups)
        raise status.Forbidden(
            f'{admission.kind.resource} "{name}" is forbidden: user "{user.name}" (groups=[{groups}]) is attempting '
            f"to grant RBAC permissions not currently held:\n{listed}"
        )


def _only_collected(new: Object, old: Object | None) -> bool:
    """Whether an update changes nothing but what the garbage collector needs to change to let an object go. Source:
    IsOnlyMutatingGCFields in pkg/registry/rbac/helpers.go."""
    return old is not None and _lasting(new) == _lasting(old)


def _lasting(obj: Object) -> Object:
    metadata = {field: value for field, value in obj["metadata"].items() if value and field not in _COLLECTED_BY}
    return {**{field: value for field, value in obj.items() if value}, "metadata": metadata}


def _gathers(role: Object | None) -> bool:
    return bool(((role or {}).get("aggregationRule") or {}).get("clusterRoleSelectors"))


class Aggregation:
    """Writes into an aggregated ClusterRole the rules it gathers, so that readers see them from its first moment; a
    controller follows the other roles from then on. Authorisation gathers for itself whenever a role changes."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def mutate(self, admission: Admission) -> None:
        new = admission.object
        if new is None or admission.kind.resource != rbac_v1.CLUSTER_ROLE.resource:
            return
        gathered = rbac_rules.aggregated(new, self._core.objects.list(rbac_v1.CLUSTER_ROLE.resource))
        if gathered is not None:
            new["rules"] = gathered
