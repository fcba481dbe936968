"""Which of the possible nodes is best. Every score is 0 to 100, weighted as in Kubernetes' default profile.

What a placement does not change (affinity, taints, images) is worked out once for a class of pods; what it changes
(free resources, how many of the same owner are there) once for the node it changed.
Source: scheduler/framework/plugins (noderesources, nodeaffinity, tainttoleration, imagelocality) in 1.37.
"""

from __future__ import annotations

from collections.abc import Sequence

from dabbawala.cluster.scheduler.needs import Needs
from dabbawala.cluster.scheduler.resources import CPU, MEMORY
from dabbawala.cluster.scheduler.snapshot import NodeState
from dabbawala.reconcile import placement

RESOURCES, BALANCE, AFFINITY, TAINTS, SPREAD, IMAGES = 1.0, 1.0, 2.0, 3.0, 2.0, 1.0
_SOFT = frozenset({"PreferNoSchedule"})
_SMALL_IMAGE, _LARGE_IMAGE = 23 * 1024 * 1024, 1000 * 1024 * 1024


def dynamic(needs: Needs, node: NodeState) -> float:
    """Free resources after the pod, how evenly they are used, and how few of its owner's pods are there."""
    cpu = _share(node.scored_cpu + needs.request.cpu, node.capacity.get(CPU, 0))
    memory = _share(node.scored_memory + needs.request.memory, node.capacity.get(MEMORY, 0))
    free = 100.0 * ((1 - cpu) + (1 - memory)) / 2
    balance = 100.0 * (1 - abs(cpu - memory) / 2)
    crowd = node.owners[needs.owner] if needs.owner else 0
    return RESOURCES * free + BALANCE * balance + SPREAD * 100.0 / (1 + crowd)


def _share(used: int, capacity: int) -> float:
    return min(used / capacity, 1.0) if capacity else 1.0


def static(needs: Needs, nodes: Sequence[NodeState]) -> dict[str, float]:
    """By node name."""
    liked = _affinity(needs, nodes)
    disliked = _taints(needs, nodes)
    local = _images(needs, nodes)
    return {
        node.name: AFFINITY * liked[index] + TAINTS * disliked[index] + IMAGES * local[index]
        for index, node in enumerate(nodes)
    }


def _affinity(needs: Needs, nodes: Sequence[NodeState]) -> list[float]:
    if not needs.preferred:
        return [0.0] * len(nodes)
    sums = [sum(weight for weight, term in needs.preferred if term.matches(node.object)) for node in nodes]
    most = max(sums, default=0)
    return [100.0 * value / most if most else 0.0 for value in sums]


def _taints(needs: Needs, nodes: Sequence[NodeState]) -> list[float]:
    counts = [_untolerated(needs, node) for node in nodes]
    most = max(counts, default=0)
    return [100.0 * (1 - count / most) if most else 100.0 for count in counts]


def _untolerated(needs: Needs, node: NodeState) -> int:
    soft = [taint for taint in (node.object.get("spec") or {}).get("taints") or () if taint.get("effect") in _SOFT]
    return sum(not any(placement.tolerates(item, taint) for item in needs.tolerations) for taint in soft)


def _images(needs: Needs, nodes: Sequence[NodeState]) -> list[float]:
    """The bytes that need not be fetched, each image counted by the share of nodes that have it."""
    having = {image: sum(image in node.images for node in nodes) for image in set(needs.images)}
    total, found = max(len(nodes), 1), []
    for node in nodes:
        size = sum(node.images.get(image, 0) * having[image] / total for image in needs.images)
        span = _LARGE_IMAGE * max(len(needs.images), 1) - _SMALL_IMAGE
        found.append(100.0 * min(max((size - _SMALL_IMAGE) / span, 0.0), 1.0))
    return found
