"""Preemption: which pods of lower priority to evict so that a pod of higher priority fits.

On each node that could be freed, everybody of lower priority is taken away in thought and, most important first,
put back while the pod still fits. The best node is the one whose most important victim is least important, then the
one with the lowest sum of priorities, then with the fewest victims, then with the youngest.
Source: scheduler/framework/preemption in Kubernetes 1.37. Disruption budgets are not weighed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dabbawala.cluster.scheduler import filters
from dabbawala.cluster.scheduler.needs import Needs
from dabbawala.cluster.scheduler.snapshot import NodeState, Placed

CANDIDATES = 100
"""Nodes looked at for one pod at most."""


class Choice(NamedTuple):
    node: str
    victims: tuple[Placed, ...]


def choose(needs: Needs, uid: str, nodes: Iterable[NodeState]) -> Choice | None:
    found: list[Choice] = []
    for node in nodes:
        victims = victims_on(needs, uid, node)
        if victims:
            found.append(Choice(node.name, victims))
            if len(found) == CANDIDATES:
                break
    return min(found, key=_cost, default=None)


def victims_on(needs: Needs, uid: str, node: NodeState) -> tuple[Placed, ...]:
    """The fewest pods whose going makes room; empty when there are none."""
    lower = [pod for pod in node.pods.values() if pod.priority < needs.priority]
    gone = {pod.uid for pod in lower}
    if not lower or filters.room(needs, node.without(gone), uid) is not None:
        return ()
    for pod in sorted(lower, key=lambda item: (-item.priority, item.started)):
        gone.discard(pod.uid)
        if filters.room(needs, node.without(gone), uid) is not None:
            gone.add(pod.uid)
    return tuple(pod for pod in lower if pod.uid in gone)


def _cost(choice: Choice) -> tuple[int, int, int, list[int], str]:
    priorities = [pod.priority for pod in choice.victims]
    oldest = min(pod.started for pod in choice.victims)
    youth = [-ord(letter) for letter in oldest]
    return max(priorities), sum(priorities), len(priorities), youth, choice.node
