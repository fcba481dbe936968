"""Counting pods by topology domain, for spread constraints and pod affinity.

Counts are taken once for a class of pods and moved with each placement. Source: scheduler/framework/plugins
podtopologyspread and interpodaffinity in Kubernetes 1.37.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dabbawala.cluster.scheduler.needs import Needs, PodTerm, Spread
from dabbawala.cluster.scheduler.snapshot import NodeState, Snapshot
from dabbawala.reconcile import placement

CROWD = 20.0
"""What each pod of a domain takes from its score, over the skew that is allowed."""

_HARD = frozenset({"NoSchedule", "NoExecute"})


class Domains:
    """The counts that one class of pods is judged by."""

    def __init__(self, needs: Needs, snapshot: Snapshot) -> None:
        self._needs = needs
        nodes = snapshot.nodes()
        self._spreads = [_SpreadCount(item, needs, nodes) for item in needs.spreads]
        self._together = [_TermCount(term, nodes, snapshot) for term in needs.affinity]
        self._apart = [_TermCount(term, nodes, snapshot) for term in needs.anti_affinity]
        self._liked = [_TermCount(term, nodes, snapshot) for term in needs.preferred_pods]
        self._forbidden = forbidden(needs, snapshot)
        self._forbidden_keys = {key for key, _ in self._forbidden} | {term.topology for term in needs.anti_affinity}
        self._labels_of_namespace = snapshot.namespace_labels(needs.namespace)

    def problem(self, node: NodeState) -> str:
        """Why the class may not go to this node because of pods elsewhere; empty when it may."""
        for count in self._spreads:
            reason = count.problem(node) if count.spread.hard else ""
            if reason:
                return reason
        if self._forbidden and any((key, node.labels.get(key)) in self._forbidden for key in self._forbidden_keys):
            return "node(s) didn't satisfy existing pods anti-affinity rules"
        if self._apart and any(count.at(node) for count in self._apart):
            return "node(s) didn't match pod anti-affinity rules"
        if self._together and not self._with_friends(node):
            return "node(s) didn't match pod affinity rules"
        return ""

    def _with_friends(self, node: NodeState) -> bool:
        """Every term is met here, or nobody matches any term anywhere and the first pod matches its own terms."""
        if any(node.labels.get(count.term.topology) is None for count in self._together):
            return False
        if all(count.at(node) for count in self._together):
            return True
        return all(count.total == 0 and self._matches_itself(count.term) for count in self._together)

    def _matches_itself(self, term: PodTerm) -> bool:
        return term.matches(self._needs.namespace, self._needs.labels, self._labels_of_namespace)

    def score(self, node: NodeState) -> float:
        """Higher is better; spreading and preferred affinity."""
        score = 0.0
        for count in self._spreads:
            score -= CROWD * count.at(node) / count.spread.max_skew
        for liked in self._liked:
            score += liked.term.weight * liked.at(node)
        return score

    def place(self, node: NodeState) -> None:
        """One pod of the class has gone to this node."""
        for spread in self._spreads:
            if spread.spread.selector.matches(self._needs.labels):
                spread.add(node)
        for count in (*self._together, *self._apart, *self._liked):
            if self._matches_itself(count.term):
                count.add(node)
        for term in self._needs.anti_affinity:
            value = node.labels.get(term.topology)
            if value is not None and self._matches_itself(term):
                self._forbidden.add((term.topology, value))


class _SpreadCount:
    def __init__(self, spread: Spread, needs: Needs, nodes: Iterable[NodeState]) -> None:
        self.spread = spread
        self._counts: Counter[str] = Counter()
        self._self = int(spread.selector.matches(needs.labels))
        self._fewest: int | None = None
        for node in nodes:
            value = node.labels.get(spread.topology)
            if value is None or not _counts(spread, needs, node):
                continue
            self._counts[value] += sum(
                pod.namespace == needs.namespace
                and spread.selector.matches(pod.labels)
                and not pod.object["metadata"].get("deletionTimestamp")
                for pod in node.pods.values()
            )

    def at(self, node: NodeState) -> int:
        return self._counts[node.labels.get(self.spread.topology, "")]

    def add(self, node: NodeState) -> None:
        value = node.labels.get(self.spread.topology)
        if value is not None:
            self._counts[value] += 1
            self._fewest = None

    def problem(self, node: NodeState) -> str:
        value = node.labels.get(self.spread.topology)
        if value is None:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        if self._counts[value] + self._self - self._least() > self.spread.max_skew:
            return "node(s) didn't match pod topology spread constraints"
        return ""

    def _least(self) -> int:
        """Pods in the emptiest domain; none while there are fewer domains than asked for."""
        if self._fewest is None:
            enough = len(self._counts) >= self.spread.min_domains
            self._fewest = min(self._counts.values(), default=0) if enough else 0
        return self._fewest


def _counts(spread: Spread, needs: Needs, node: NodeState) -> bool:
    """Whether the node's domain takes part."""
    if spread.honour_affinity and not needs.nodes.matches(node.object):
        return False
    return not spread.honour_taints or placement.untolerated(needs.tolerations, node.object, _HARD) is None


class _TermCount:
    def __init__(self, term: PodTerm, nodes: Iterable[NodeState], snapshot: Snapshot) -> None:
        self.term = term
        self.total = 0
        self._counts: Counter[str] = Counter()
        for node in nodes:
            value = node.labels.get(term.topology)
            if value is None:
                continue
            found = sum(
                term.matches(pod.namespace, pod.labels, snapshot.namespace_labels(pod.namespace))
                for pod in node.pods.values()
            )
            self._counts[value] += found
            self.total += found

    def at(self, node: NodeState) -> int:
        value = node.labels.get(self.term.topology)
        return self._counts[value] if value is not None else 0

    def add(self, node: NodeState) -> None:
        value = node.labels.get(self.term.topology)
        if value is not None:
            self._counts[value] += 1
            self.total += 1


def forbidden(needs: Needs, snapshot: Snapshot) -> set[tuple[str, str]]:
    """Domains where a pod sits that will not have the class near it."""
    labels = snapshot.namespace_labels(needs.namespace)
    found: set[tuple[str, str]] = set()
    for pod, where in snapshot.guarded.values():
        node = snapshot.node(where)
        for term in pod.anti_affinity if node is not None else ():
            value = node.labels.get(term.topology) if node is not None else None
            if value is not None and term.matches(needs.namespace, needs.labels, labels):
                found.add((term.topology, value))
    return found
