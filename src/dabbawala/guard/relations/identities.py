"""Who may do what, read from the roles and bindings of a scan: ways to take over the cluster, duties in one hand, the
accounts that may do a thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.relations import population, zones
from dabbawala.guard.relations.readable import readable
from dabbawala.guard.world import TYPE, World
from dabbawala.policy import permissions, rbac
from dabbawala.policy.permissions import Conflict, Subject
from dabbawala.policy.rbac import Policy
from dabbawala.policy.takeover import Takeovers
from dabbawala.policy.takeover_places import Estate

_RIGHTS = tuple(f"{kind}.rbac.authorization.k8s.io" for kind in rbac.KINDS)
_PLACES = ("ServiceAccount", "Namespace", "Node", "Secret")
_OWN = "system:"


def _roles(world: World) -> Iterator[Object]:
    for kind in _RIGHTS:
        yield from readable((item.object for item in world.items(kind)), lambda found: Estate([found]))


def policy(world: World) -> Policy:
    return world.once("rbac", lambda: Policy.of(_roles(world)))


def takeover(world: World, workload: Mapping[str, object]) -> str:
    """The shortest way from a workload's pods to cluster-admin, as a sentence; empty if there is none."""
    obj: Object = dict(workload)
    key = population.of(world).keys.get((str(obj.get("kind")), meta.namespace(obj), meta.name(obj)))
    if key is None:
        return ""
    found = world.once("takeovers", lambda: Takeovers(_estate(world))).of_pod(key)
    return found.sentence if found else ""


def _estate(world: World) -> Iterator[Object]:
    """Of Secrets only what they are, never what is in them."""
    yield from population.of(world).objects()
    yield from _roles(world)
    for kind in _PLACES:
        for item in world.items(kind):
            yield {name: value for name, value in item.object.items() if name not in ("data", "stringData")}


def conflicts(world: World, binding: Mapping[str, object]) -> list[str]:
    """The people whom a binding lets change policies of admission or of the network that guard production, though they
    may also deploy there, as sentences."""
    obj: Object = dict(binding)
    found = world.once("conflicts", lambda: _by_guarding(world))
    home = f"{meta.name(obj)}/{meta.namespace(obj)}" if meta.namespace(obj) else meta.name(obj)
    return found.get(f'by {obj.get("kind")} "{home}" of', [])


def _by_guarding(world: World) -> dict[str, list[str]]:
    """By the words with which a grant names its binding."""
    found: dict[str, list[str]] = {}
    for conflict in permissions.conflicts(policy(world), zones.production(world)):
        if _is_person(conflict.subject):
            binding = conflict.guards.removeprefix("RBAC: allowed ").partition(" of ")[0]
            found.setdefault(f"{binding} of", []).append(_told(conflict))
    return found


def _is_person(subject: Subject) -> bool:
    return subject.kind in ("User", "Group") and not subject.name.startswith(_OWN)


def _told(conflict: Conflict) -> str:
    deploys = conflict.deploys.removeprefix("RBAC: allowed ").partition(" to ")[0]
    return f"{conflict.subject} may deploy there {deploys}"


def accounts_that_may(world: World, verb: str, resource: str, group: str) -> list[str]:
    """The service accounts that may do something to a resource in some namespace, as `namespace/name`."""
    grants = ((subject, policy(world).grants(subject.user)) for subject in permissions.subjects(policy(world)))
    return [
        subject.name
        for subject, given in grants
        if subject.kind == "ServiceAccount" and permissions.places(given, {verb}, group, resource)
    ]


def empty_role(world: World, binding: Mapping[str, object]) -> bool:
    """Whether the role that a binding gives allows nothing at all."""
    obj: Object = dict(binding)
    return policy(world).rules_of(obj.get("roleRef") or {}, meta.namespace(obj)) == ()


FUNCTIONS = (
    Function("takeover", (TYPE, "dyn"), "string", takeover, receiver=True),
    Function("conflicts", (TYPE, "dyn"), "list<string>", conflicts, receiver=True),
    Function("accountsThatMay", (TYPE, "string", "string", "string"), "list<string>", accounts_that_may, receiver=True),
    Function("emptyRole", (TYPE, "dyn"), "bool", empty_role, receiver=True),
)
