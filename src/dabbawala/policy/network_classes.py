"""Pods that no policy tells apart are one class; rules then speak of classes, as the bits of integers.

First pods are grouped by what rules can see of them (namespace, the labels that some selector asks for, the port names
that some rule asks for, which blocks hold their addresses, and for pods on the host network the node). Then groups that
the same policies select and the same peers find are merged. What rules say of a class holds for each pod in it, so an
answer for ten thousand pods costs as much as one for their few hundred classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dabbawala.apimachinery import selectors
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.policy.label_index import LabelIndex, members, union
from dabbawala.policy.network_addresses import BlockTable
from dabbawala.policy.network_pods import NAME_LABEL, Pod
from dabbawala.policy.network_ports import NamedPort
from dabbawala.policy.network_rules import EGRESS, INGRESS, NetworkPolicy, Peer, Rule

DIRECTIONS = (INGRESS, EGRESS)


@dataclass(frozen=True, slots=True)
class Flow:
    """One rule of one policy: the classes whose traffic it speaks of, and those at the other end."""

    policy: NetworkPolicy
    rule: Rule
    subjects: int
    peers: int


@dataclass(frozen=True, slots=True)
class Classes:
    """`hosts` are the classes on the host network; `isolated` those that have no traffic but what rules admit."""

    members: tuple[tuple[Pod, ...], ...]
    index: Mapping[ObjectKey, int]
    hosts: int
    flows: Mapping[str, tuple[Flow, ...]]
    isolated: Mapping[str, int]
    isolating: Mapping[str, tuple[tuple[NetworkPolicy, int], ...]]

    @property
    def everything(self) -> int:
        return (1 << len(self.members)) - 1


def classify(
    pods: Iterable[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
    policies: Sequence[NetworkPolicy],
    unknown: Sequence[str],
) -> Classes:
    """`namespaces` are labels by name; one that nobody described still has its name for a label."""
    rules = [rule for policy in policies for direction in DIRECTIONS for rule in policy.rules(direction) or ()]
    grouping = _Grouping(pods, namespaces, policies, rules, unknown)
    subjects = [grouping.subjects(policy) for policy in policies]
    wanted = [(p.key.namespace, rule) for p in policies for d in DIRECTIONS for rule in p.rules(d) or ()]
    peers = [grouping.peers(namespace, rule) for namespace, rule in wanted]
    merged = _merge(grouping.groups, [*subjects, *peers])
    return _classes(grouping.groups, policies, merged, len(policies))


class _Grouping:
    """Groups of pods alike to the eye of any rule, and what a selector finds among them."""

    def __init__(
        self,
        pods: Iterable[Pod],
        namespaces: Mapping[str, Mapping[str, str]],
        policies: Iterable[NetworkPolicy],
        rules: Sequence[Rule],
        unknown: Sequence[str],
    ) -> None:
        peers = [peer for rule in rules for peer in rule.peers or ()]
        self._blocks = BlockTable((peer.block for peer in peers if peer.block), unknown)
        self._found: dict[tuple[str, Peer], int] = {}
        sought = [*(policy.selector for policy in policies), *(peer.pods for peer in peers)]
        keys = sorted({term.key for selector in sought for term in selector.requirements})
        names = sorted({port for rule in rules for port in rule.ports or () if isinstance(port, NamedPort)})
        found: dict[Hashable, list[Pod]] = {}
        for pod in pods:
            found.setdefault(self._seen(pod, keys, names), []).append(pod)
        self.groups = list(found.values())
        self._index([group[0] for group in self.groups], namespaces)

    def _seen(self, pod: Pod, keys: Sequence[str], names: Sequence[NamedPort]) -> Hashable:
        labels = tuple(pod.labels.get(key) for key in keys)
        ports = tuple(pod.ports.get(name) for name in names) if pod.ports else ()
        held = self._blocks.holding(pod.addresses) if len(self._blocks) else None
        return pod.key.namespace, labels, ports, held, (pod.node if pod.host else None)

    def _index(self, pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._everything = (1 << len(pods)) - 1
        self._pods = LabelIndex([pod.labels for pod in pods])
        self._hosts = union(1 << number for number, pod in enumerate(pods) if pod.host)
        homes: dict[str, int] = {}
        for number, pod in enumerate(pods):
            homes[pod.key.namespace] = homes.get(pod.key.namespace, 0) | 1 << number
        labels = [namespaces.get(name) or {NAME_LABEL: name} for name in homes]
        self._homes, self._namespaces = homes, LabelIndex(labels, list(homes.values()))
        self._held: dict[int, int] = {}
        for number, pod in enumerate(pods):
            for block in self._blocks.holding(pod.addresses) if len(self._blocks) else ():
                self._held[block] = self._held.get(block, 0) | 1 << number

    def subjects(self, policy: NetworkPolicy) -> int:
        return self._peer(policy.key.namespace, Peer(policy.selector))

    def peers(self, namespace: str, rule: Rule) -> int:
        """Everyone, hosts too, where the rule names nobody."""
        if rule.peers is None:
            return self._everything
        return union(self._peer(namespace, peer) for peer in rule.peers)

    def _peer(self, namespace: str, peer: Peer) -> int:
        if peer.block is not None:
            return self._held.get(self._blocks.number(peer.block), 0)
        key = ("" if peer.namespaces else namespace, peer)
        if key not in self._found:
            self._found[key] = self._selected(namespace, peer)
        return self._found[key]

    def _selected(self, namespace: str, peer: Peer) -> int:
        own = self._homes.get(namespace, 0)
        homes = own if peer.namespaces is None else self._namespaces.select(peer.namespaces)
        everyone = peer.pods == selectors.EVERYTHING
        return homes & ~self._hosts & (self._everything if everyone else self._pods.select(peer.pods))


@dataclass(frozen=True, slots=True)
class _Merged:
    """The class of each group, and each set of groups as one of classes."""

    of_group: Sequence[int]
    count: int
    sets: Sequence[int]


def _merge(groups: Sequence[Sequence[Pod]], sets: Sequence[int]) -> _Merged:
    """A set that holds most groups is told by those it lacks, which are fewer to visit."""
    everything = (1 << len(groups)) - 1
    marks: list[list[int]] = [[] for _ in groups]
    visited: dict[int, tuple[bool, list[int]]] = {}
    for own in sets:
        if own in visited:
            continue
        dense = own.bit_count() * 2 > len(groups)
        few = list(members(everything & ~own if dense else own))
        for group in few:
            marks[group].append(len(visited))
        visited[own] = (dense, few)
    found: dict[Hashable, int] = {}
    of_group = [found.setdefault(_signature(g[0], mark), len(found)) for g, mark in zip(groups, marks, strict=True)]
    whole = (1 << len(found)) - 1
    merged: dict[int, int] = {}
    for own, (dense, few) in visited.items():
        told = union(1 << number for number in {of_group[group] for group in few})
        merged[own] = whole & ~told if dense else told
    return _Merged(of_group, len(found), [merged[own] for own in sets])


def _signature(pod: Pod, marks: Sequence[int]) -> Hashable:
    ports = tuple(sorted((name, tuple(sorted(numbers))) for name, numbers in pod.ports.items()))
    return pod.host, (pod.node if pod.host else ""), ports, tuple(marks)


def _classes(
    groups: Sequence[Sequence[Pod]], policies: Sequence[NetworkPolicy], merged: _Merged, subject_sets: int
) -> Classes:
    pods: list[list[Pod]] = [[] for _ in range(merged.count)]
    for group, number in zip(groups, merged.of_group, strict=True):
        pods[number] += group
    subjects, peers = merged.sets[:subject_sets], iter(merged.sets[subject_sets:])
    flows: dict[str, list[Flow]] = {direction: [] for direction in DIRECTIONS}
    isolating: dict[str, list[tuple[NetworkPolicy, int]]] = {direction: [] for direction in DIRECTIONS}
    for policy, own in zip(policies, subjects, strict=True):
        for direction in DIRECTIONS:
            rules = policy.rules(direction)
            if rules is not None:
                isolating[direction].append((policy, own))
            flows[direction] += [Flow(policy, rule, own, next(peers)) for rule in rules or ()]
    return Classes(
        tuple(map(tuple, pods)),
        {pod.key: number for number, found in enumerate(pods) for pod in found},
        union(1 << number for number, found in enumerate(pods) if found[0].host),
        {direction: tuple(found) for direction, found in flows.items()},
        {direction: union(own for _, own in found) for direction, found in isolating.items()},
        {direction: tuple(found) for direction, found in isolating.items()},
    )
