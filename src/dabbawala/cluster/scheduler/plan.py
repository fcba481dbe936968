"""Placing pods: from a class of equal pods and a snapshot to a node for each, or the reasons why not.

Pods of one class are placed one after the other. Where their needs are local to a node, nodes wait in a heap by score
and only the node that was chosen is judged again, so that a thousand replicas on a thousand nodes cost about as much
as one. Where other nodes matter (spread, pod affinity), every node is judged for every pod.
The functions change the snapshot they are given: each placement is part of the world of the next.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler import filters, preemption, scores
from dabbawala.cluster.scheduler.filters import Objection
from dabbawala.cluster.scheduler.needs import Needs
from dabbawala.cluster.scheduler.snapshot import NodeState, Placed, Snapshot, placed
from dabbawala.cluster.scheduler.topology import Domains, forbidden
from dabbawala.cluster.scheduler.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Decision:
    """A node for a pod; or, with an empty `node`, why not, and whom to evict from the `nominated` node."""

    pod: Object
    node: str = ""
    message: str = ""
    nominated: str = ""
    victims: tuple[Placed, ...] = ()


def place_class(pods: Sequence[Object], needs: Needs, volumes: Volumes, snapshot: Snapshot) -> list[Decision]:
    """Decide for pods with equal needs, in order. After the first that finds no place nothing has changed for the
    others of the class, so they share its fate."""
    if volumes.problem:
        message = _available(snapshot, Counter({volumes.problem: len(snapshot.nodes())}))
        return [Decision(pod, message=message) for pod in pods]
    attempt = _Attempt(needs, volumes, snapshot)
    decisions: list[Decision] = []
    for index, pod in enumerate(pods):
        chosen = attempt.best(meta.uid(pod))
        if chosen is None:
            return [*decisions, *_unplaced(pods[index:], attempt)]
        attempt.take(_as_placed(pod, needs), chosen)
        decisions.append(Decision(pod, node=chosen.name))
    return decisions


def _as_placed(pod: Object, needs: Needs) -> Placed:
    """What the class knows of the pod need not be read from it again."""
    return replace(placed(pod), request=needs.request, ports=needs.ports)


class _Attempt:
    """One class against one snapshot."""

    def __init__(self, needs: Needs, volumes: Volumes, snapshot: Snapshot) -> None:
        self.needs = needs
        self.volumes = volumes
        self.snapshot = snapshot
        is_local = needs.is_local and not forbidden(needs, snapshot)
        self.domains = None if is_local else Domains(needs, snapshot)
        self.objections: dict[str, Objection] = {}
        self._open = self._statically_possible()
        self._static = scores.static(needs, self._open)
        self._judged: dict[str, tuple[Objection | None, float]] = {}
        self._heap = [(-self._score(node), order, node) for order, node in enumerate(self._open)]
        heapq.heapify(self._heap)

    def _statically_possible(self) -> list[NodeState]:
        open_: list[NodeState] = []
        names = self.needs.nodes.node_names
        nodes = self.snapshot.nodes()
        for node in nodes:
            if names is not None and node.name not in names:
                objection: Objection | None = Objection(("node(s) didn't match Pod's node affinity/selector",))
            else:
                objection = filters.static(self.needs, node, self.volumes)
            if objection is None:
                open_.append(node)
            else:
                self.objections[node.name] = objection
        return open_

    def _score(self, node: NodeState) -> float:
        return self._static[node.name] + scores.dynamic(self.needs, node)

    def best(self, uid: str) -> NodeState | None:
        if self.domains is not None:
            return self._best_of_all(uid, self.domains)
        while self._heap:
            node = self._heap[0][2]
            objection = filters.room(self.needs, node, uid)
            if objection is None:
                return node
            self.objections[node.name] = objection
            heapq.heappop(self._heap)
        return None

    def _best_of_all(self, uid: str, domains: Domains) -> NodeState | None:
        best: tuple[float, NodeState] | None = None
        for node in self._open:
            objection, score = self._judge(node, uid)
            if objection is None:
                problem = domains.problem(node)
                objection = Objection((problem,), curable=True) if problem else None
            if objection is not None:
                self.objections[node.name] = objection
                continue
            score += domains.score(node)
            if best is None or score > best[0]:
                best = score, node
        return best[1] if best is not None else None

    def _judge(self, node: NodeState, uid: str) -> tuple[Objection | None, float]:
        """The node by itself: room and score, remembered until something is placed there."""
        found = self._judged.get(node.name)
        if found is None:
            found = filters.room(self.needs, node, uid), self._score(node)
            self._judged[node.name] = found
        return found

    def take(self, pod: Placed, node: NodeState) -> None:
        self.snapshot.place(pod, node.name)
        if self.domains is not None:
            self.domains.place(node)
            del self._judged[node.name]
        else:
            _, order, _ = self._heap[0]
            heapq.heapreplace(self._heap, (-self._score(node), order, node))


def _unplaced(pods: Sequence[Object], attempt: _Attempt) -> Iterable[Decision]:
    reasons = Counter(reason for found in attempt.objections.values() for reason in found.reasons)
    message = _available(attempt.snapshot, reasons)
    for pod in pods:
        found = _preempt(pod, attempt)
        if isinstance(found, str):
            yield Decision(pod, message=f"{message} {found}".strip())
        else:
            attempt.snapshot.nominate(_as_placed(pod, attempt.needs), found.node)
            yield Decision(pod, message=message, nominated=found.node, victims=found.victims)


def _preempt(pod: Object, attempt: _Attempt) -> preemption.Choice | str:
    """Whom to evict for the pod, or a sentence on why evicting helps nothing."""
    total = len(attempt.snapshot.nodes())
    curable = [node for node in attempt.snapshot.nodes() if _curable(attempt, node)]
    hopeless = total - len(curable)
    if not attempt.needs.may_preempt:
        return "preemption: not eligible due to preemptionPolicy=Never."
    if _is_being_freed(pod, attempt):
        return "preemption: not eligible due to a terminating pod on the nominated node."
    choice = None
    if attempt.needs.priority > 0 and attempt.domains is None:
        choice = preemption.choose(attempt.needs, meta.uid(pod), curable)
    if choice is not None:
        return choice
    reasons = Counter(
        {
            "No preemption victims found for incoming pod": len(curable),
            "Preemption is not helpful for scheduling": hopeless,
        }
    )
    return f"preemption: {_available(attempt.snapshot, reasons)}" if total else ""


def _is_being_freed(pod: Object, attempt: _Attempt) -> bool:
    """Victims of an earlier try are still on their way out: nobody else has to go meanwhile."""
    node = attempt.snapshot.node((pod.get("status") or {}).get("nominatedNodeName") or "")
    return node is not None and any(
        meta.is_deleting(other.object) and other.priority < attempt.needs.priority for other in node.pods.values()
    )


def _curable(attempt: _Attempt, node: NodeState) -> bool:
    objection = attempt.objections.get(node.name)
    return objection is not None and objection.curable


def _available(snapshot: Snapshot, reasons: Counter[str]) -> str:
    """`0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.`"""
    total = len(snapshot.nodes())
    if total == 0:
        return "no nodes available to schedule pods"
    lines = sorted(f"{count} {reason}" for reason, count in reasons.items() if count)
    return f"0/{total} nodes are available: {', '.join(lines)}."
