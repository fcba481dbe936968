"""Which nodes a pod may go to: an ordered chain of named checks, each with its reason.

A check says in Kubernetes' words why not; the first that objects speaks for the node. Whether evicting pods could
help is part of the answer, because preemption asks. Source: scheduler/framework/plugins in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dabbawala.cluster.scheduler import resources
from dabbawala.cluster.scheduler.needs import Needs
from dabbawala.cluster.scheduler.resources import CPU, MEMORY, PODS, STORAGE
from dabbawala.cluster.scheduler.snapshot import NodeState
from dabbawala.cluster.scheduler.volumes import Volumes
from dabbawala.reconcile import placement

_HARD = frozenset({"NoSchedule", "NoExecute"})
_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Objection(NamedTuple):
    """`reasons` as they appear in the message; `curable` when pods leaving the node could change it."""

    reasons: tuple[str, ...]
    curable: bool = False


StaticCheck = Callable[[Needs, NodeState, Volumes], Objection | None]


def unschedulable(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    if not (node.object.get("spec") or {}).get("unschedulable"):
        return None
    if any(placement.tolerates(item, _UNSCHEDULABLE) for item in needs.tolerations):
        return None
    return Objection(("node(s) were unschedulable",))


def node_name(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    if not needs.node_name or needs.node_name == node.name:
        return None
    return Objection(("node(s) didn't match the requested node name",))


def taints(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    taint = placement.untolerated(needs.tolerations, node.object, _HARD)
    if taint is None:
        return None
    return Objection((f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}",))


def node_affinity(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    if needs.nodes.matches(node.object):
        return None
    return Objection(("node(s) didn't match Pod's node affinity/selector",))


def volume_binding(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    if not volumes.reachable_from(node.object):
        return Objection(("node(s) had volume node affinity conflict",))
    if volumes.choose(node.object) is None:
        return Objection(("node(s) didn't find available persistent volumes to bind",))
    return None


STATIC: tuple[StaticCheck, ...] = (unschedulable, node_name, taints, node_affinity, volume_binding)
"""What no placement of other pods changes: judged once for a class of pods."""


def static(needs: Needs, node: NodeState, volumes: Volumes) -> Objection | None:
    return next((found for check in STATIC if (found := check(needs, node, volumes)) is not None), None)


def room(needs: Needs, node: NodeState, uid: str = "") -> Objection | None:
    """Ports and resources, given who is there now, and who is expected with at least the same priority."""
    expected = [
        pod for pod in node.nominated.values() if pod.uid != uid and pod.priority >= needs.priority
    ] if node.nominated else []  # fmt: skip
    taken_ports = (port for pod in (*node.pods.values(), *expected) for port in pod.ports)
    if needs.ports and resources.ports_clash(needs.ports, taken_ports):
        return Objection(("node(s) didn't have free ports for the requested pod ports",), curable=True)
    capacity, taken = node.capacity, node.taken
    lacking = []
    if len(node.pods) + len(expected) + 1 > capacity.get(PODS, 0):
        lacking.append("Too many pods")
    for name, amount in needs.request.amounts.items():
        reserved = sum(pod.request.amounts.get(name, 0) for pod in expected)
        if amount + taken[name] + reserved > capacity.get(name, 0):
            lacking.append(f"Insufficient {name}")
    if not lacking:
        return None
    beyond = any(amount > capacity.get(name, 0) for name, amount in needs.request.amounts.items())
    return Objection(tuple(sorted(lacking, key=_rank)), curable=not beyond)


def _rank(reason: str) -> int:
    order = ("Too many pods", f"Insufficient {CPU}", f"Insufficient {MEMORY}", f"Insufficient {STORAGE}")
    return order.index(reason) if reason in order else len(order)
