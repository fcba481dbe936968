"""Which workloads can take over the cluster, and how: the shortest chain of rights from a pod to cluster-admin.

A graph search. Places are accounts, users, groups, pods and nodes; an edge is a right or a fact that leads from one to
the other ("may create pods in", "uses account", "is privileged on"). One walk backwards from cluster-admin finds for
every place the next step of a shortest way. That a way exists is a finding even where each of its rights was meant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.access import AUTHENTICATED, MASTERS, User, service_account
from dabbawala.policy.rbac import Grant
from dabbawala.policy.takeover_places import (
    ACCOUNT,
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
from dabbawala.policy.takeover_steps import Rights, Step

STEPS_MAX = 12
"""A way longer than this is not followed further; none is known to be."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A way to cluster-admin. `start` is `pod a/b`, `account a/x`, `user ann`, `group devs`."""

    start: str
    steps: tuple[Step, ...]

    @property
    def sentence(self) -> str:
        first, *rest = (step.text for step in self.steps)
        return ", ".join((f"{self.start} {first.removeprefix('which ')}", *rest))


class Takeovers:
    """Every way to cluster-admin among the objects: Pods, ServiceAccounts, Roles and bindings, Namespaces, Nodes and
    Secrets (their type and annotations; never their data)."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self.estate = Estate(objects)
        self._known: dict[tuple[Grant, ...], tuple[Step, ...]] = {}
        self._next = self._search()

    def of_pod(self, pod: ObjectKey) -> Takeover | None:
        return self._way(f"pod {pod}", Somewhere("pod", *pod))

    def of_account(self, key: ObjectKey) -> Takeover | None:
        return self._way(f"account {key}", account(*key))

    def of_user(self, name: str) -> Takeover | None:
        return self._way(f"user {name}", Somewhere(USER, "", name))

    def of_group(self, name: str) -> Takeover | None:
        return self._way(f"group {name}", Somewhere(GROUP, "", name))

    def workloads(self) -> dict[ObjectKey, Takeover]:
        """The pods from which there is a way."""
        found = ((pod.key, self.of_pod(pod.key)) for pod in self.estate.pods)
        return {key: way for key, way in found if way is not None}

    def _way(self, start: str, place: Somewhere) -> Takeover | None:
        steps = []
        while place != CLUSTER_ADMIN:
            step = self._next.get(place)
            if step is None:
                return None
            steps.append(step)
            place = step.to
        return Takeover(start, tuple(steps)) if steps else None

    def _search(self) -> dict[Somewhere, Step]:
        """Breadth first, backwards: the first step found for a place begins a shortest way."""
        into: dict[Somewhere, list[tuple[Somewhere, Step]]] = {}
        for place, step in self._edges():
            into.setdefault(step.to, []).append((place, step))
        chosen: dict[Somewhere, Step] = {}
        waiting = deque([(CLUSTER_ADMIN, 0)])
        while waiting:
            reached, length = waiting.popleft()
            for place, step in into.get(reached, ()) if length < STEPS_MAX else ():
                if place not in chosen:
                    chosen[place] = step
                    waiting.append((place, length + 1))
        return chosen

    def _edges(self) -> Iterator[tuple[Somewhere, Step]]:
        for key in self.estate.accounts:
            yield from self._of_identity(account(*key), service_account(*key))
        for name in self.estate.users:
            yield from self._of_identity(Somewhere(USER, "", name), User(name, (AUTHENTICATED,)))
        for name in self.estate.groups:
            yield from self._of_identity(Somewhere(GROUP, "", name), User("", (name, AUTHENTICATED)))
        yield Somewhere(GROUP, "", MASTERS), Step("cluster-admin", "which is cluster-admin", CLUSTER_ADMIN)
        yield from self._of_pods()
        yield from self._of_namespaces()
        yield from self._of_nodes()
        for who in self._everybody():
            yield EVERYBODY, Step("certificate", f"made out to {_spoken(who)}", who)

    def _of_identity(self, place: Somewhere, user: User) -> Iterator[tuple[Somewhere, Step]]:
        """Most accounts have what everybody has, so what follows from the same grants is worked out once."""
        grants = tuple(self.estate.policy.grants(user))
        if grants not in self._known:
            self._known[grants] = tuple(Rights(grants, self.estate).steps())
        return ((place, step) for step in self._known[grants])

    def _of_pods(self) -> Iterator[tuple[Somewhere, Step]]:
        for pod in self.estate.pods:
            yield EVERY_POD, Step("enter pods", f"{pod.key} among them", pod.place)
            if pod.account:
                yield pod.place, Step("account", f"which uses account {pod.account}", account(*pod.account))
            if pod.holds:
                node = Somewhere(NODE, "", pod.node) if pod.node else EVERY_NODE
                where = f"node {pod.node}" if pod.node else "whichever node it is put on"
                yield pod.place, Step("node", f"which {pod.holds} and so is root on {where}", node)

    def _of_namespaces(self) -> Iterator[tuple[Somewhere, Step]]:
        for key in self.estate.accounts:
            as_account = Step("account", f"as account {key}", account(*key))
            yield EVERY_ACCOUNT, Step("account", f"{key} among them", account(*key))
            yield Somewhere(RUNS, key.namespace), as_account
            yield Somewhere(RULES, key.namespace), as_account
        for namespace in self.estate.namespaces:
            yield RUNS_ANYWHERE, Step("run pods", f"so also in namespace {namespace}", Somewhere(RUNS, namespace))
            lifted = Step("lift Pod Security", "lift its Pod Security and run pods there that are root", EVERY_NODE)
            yield Somewhere(RULES, namespace), lifted
            if namespace not in self.estate.fenced:
                text = "where no Pod Security keeps a pod from being root"
                yield Somewhere(RUNS, namespace), Step("privileged pods", text, EVERY_NODE)

    def _of_nodes(self) -> Iterator[tuple[Somewhere, Step]]:
        """Root on a node has the tokens of all pods there, and on a node of the control plane the cluster's keys."""
        nodes = {**dict.fromkeys((pod.node for pod in self.estate.pods if pod.node), False), **self.estate.nodes}
        for name, is_control_plane in nodes.items():
            node = Somewhere(NODE, "", name)
            yield EVERY_NODE, Step("node", f"on node {name}", node)
            if is_control_plane:
                yield node, Step("control plane", "which holds the keys of the cluster", CLUSTER_ADMIN)
            for pod in self.estate.on(name):
                yield node, Step("node", f"where pod {pod.key} {'runs' if pod.node else 'may run'}", pod.place)
        for pod in self.estate.pods if not nodes else ():
            yield EVERY_NODE, Step("node", f"where pod {pod.key} may run", pod.place)

    def _everybody(self) -> Iterator[Somewhere]:
        yield from (account(*key) for key in self.estate.accounts)
        yield from (Somewhere(USER, "", name) for name in self.estate.users)
        yield from (Somewhere(GROUP, "", name) for name in self.estate.groups if name != MASTERS)


def _spoken(place: Somewhere) -> str:
    return f"{'account' if place.kind == ACCOUNT else place.kind} {place}"


def takeover_paths(objects: Iterable[Object]) -> list[Takeover]:
    """A shortest way for every pod that has one."""
    return list(Takeovers(objects).workloads().values())
