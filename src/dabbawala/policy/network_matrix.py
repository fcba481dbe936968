"""The whole of who reaches whom, class by class.

A cell says that some pod of the one class may reach some other pod of the other; for pods with a network of their own
that is every pod and every other, as no rule tells them apart. Only for pods on the host network may it hold for some
nodes and not for others, and `entrances` asks for each of those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.policy.label_index import members, union
from dabbawala.policy.network_classes import Flow
from dabbawala.policy.network_ends import Directory
from dabbawala.policy.network_ports import PortRange
from dabbawala.policy.network_rulebook import Rulebook
from dabbawala.policy.network_rules import EGRESS, INGRESS


class Region(NamedTuple):
    """Ports of a destination class as bits of the graph's `space`, and the classes that may reach all of them."""

    ports: int
    sources: int


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who from elsewhere reaches into a set of pods, where, and on what."""

    sources: tuple[ObjectKey, ...]
    destinations: tuple[ObjectKey, ...]
    ports: tuple[PortRange, ...]


class Matrix:
    def __init__(self, rules: Rulebook, directory: Directory) -> None:
        self._rules, self._directory = rules, directory
        self._classes = rules.classes
        self._everyone = self._classes.everything
        self._free = self._everyone & ~self._classes.isolated[EGRESS]

    @cached_property
    def columns(self) -> tuple[tuple[Region, ...], ...]:
        """By destination class."""
        return tuple(tuple(self._column(number)) for number in range(len(self._classes.members)))

    def pairs(self, port: int, protocol: str = "TCP") -> Iterator[tuple[int, int]]:
        """Source and destination classes of every cell that is open on the port."""
        asked = self._rules.space.at(protocol, port)
        for number, column in enumerate(self.columns):
            for region in column:
                if region.ports & asked:
                    yield from ((source, number) for source in members(region.sources))

    def _column(self, number: int) -> Iterator[Region]:
        entering, leaving = self._entering(number), self._leaving(number)
        alone = 1 << number if len(self._classes.members[number]) == 1 else 0
        found: dict[int, int] = {}
        for ports in _pieces(self._rules.space.everything, {*entering, *leaving}):
            sources = _holding(entering, ports) & _holding(leaving, ports) & ~alone
            if sources:
                found[sources] = found.get(sources, 0) | ports
        for sources, ports in found.items():
            yield Region(ports, sources)

    def _entering(self, number: int) -> dict[int, int]:
        """Whom the class lets in, by ports."""
        every = self._rules.space.everything
        if not self._classes.isolated[INGRESS] >> number & 1:
            return {every: self._everyone}
        found = {every: self._neighbours(number)}
        for flow in self._rules.flows_of(INGRESS, 1 << number):
            self._add(found, flow, number, flow.peers)
        return found

    def _leaving(self, number: int) -> dict[int, int]:
        """Whose own rules let them go to the class, by ports."""
        on_host = self._classes.hosts >> number & 1
        found = {self._rules.space.everything: self._free | (self._neighbours(number) if on_host else 0)}
        for flow in (*self._egress_to[-1], *self._egress_to.get(number, ())):
            self._add(found, flow, number, flow.subjects)
        return found

    def _add(self, found: dict[int, int], flow: Flow, number: int, classes: int) -> None:
        mask = self._rules.mask_of(flow.rule.ports, self._classes.members[number][0])
        if mask:
            found[mask] = found.get(mask, 0) | classes

    @cached_property
    def _merged_egress(self) -> list[Flow]:
        """Rules that speak of the same peers and ports, as one."""
        found: dict[tuple[int, object], Flow] = {}
        for flow in self._classes.flows[EGRESS]:
            key = (flow.peers, flow.rule.ports)
            known = found.get(key)
            found[key] = Flow(flow.policy, flow.rule, flow.subjects | (known.subjects if known else 0), flow.peers)
        return list(found.values())

    @cached_property
    def _egress_to(self) -> dict[int, list[Flow]]:
        """By class; those that lead to every class stand under -1 and not under each."""
        found: dict[int, list[Flow]] = {-1: []}
        for flow in self._merged_egress:
            for number in members(flow.peers) if flow.peers != self._everyone else (-1,):
                found.setdefault(number, []).append(flow)
        return found

    def _neighbours(self, number: int) -> int:
        """The classes at the other end of traffic between a node and its pods: of a pod's class those on the host
        network of its nodes, of such a class the pods of its node."""
        beside = union(self._on(node) for node in {pod.node for pod in self._classes.members[number]})
        return beside if self._classes.hosts >> number & 1 else beside & self._classes.hosts

    def _on(self, node: str) -> int:
        """The classes with a pod that is, or may come to be, on the node."""
        return self._by_node.get(node, 0) | self._by_node.get("", 0) if node else self._everyone

    @cached_property
    def _by_node(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number, pods in enumerate(self._classes.members):
            for node in {pod.node for pod in pods}:
                found[node] = found.get(node, 0) | 1 << number
        return found

    # Zones

    def entrances(self, zone: Collection[ObjectKey]) -> list[Entrance]:
        """Every way from a pod outside the zone to one inside, e.g. to all pods that hold card data."""
        return list(self._entrances(frozenset(zone)))

    def _entrances(self, zone: frozenset[ObjectKey]) -> Iterator[Entrance]:
        for number, pods in enumerate(self._classes.members):
            inside = [pod.key for pod in pods if pod.key in zone]
            ways: dict[int, int] = {}
            for region in self.columns[number] if inside else ():
                for source in members(region.sources):
                    ways[source] = ways.get(source, 0) | region.ports
            for source, ports in ways.items():
                outside = [pod.key for pod in self._classes.members[source] if pod.key not in zone]
                if not outside:
                    continue
                if self._classes.hosts & (1 << source | 1 << number):
                    yield from self._one_by_one(outside, inside)
                else:
                    yield Entrance(tuple(outside), tuple(inside), self._rules.space.ranges(ports))

    def _one_by_one(self, outside: list[ObjectKey], inside: list[ObjectKey]) -> Iterator[Entrance]:
        for destination in inside:
            ways: dict[tuple[PortRange, ...], list[ObjectKey]] = {}
            for source in outside:
                mask = self._rules.mask(self._directory.end(source), self._directory.end(destination))
                ways.setdefault(self._rules.space.ranges(mask), []).append(source)
            for ports, sources in ways.items():
                if ports:
                    yield Entrance(tuple(sources), (destination,), ports)


def _pieces(everything: int, masks: Collection[int]) -> list[int]:
    """The ports, cut so that each mask holds all of a piece or nothing of it."""
    pieces = [everything]
    for mask in masks:
        pieces = [part for piece in pieces for part in (piece & mask, piece & ~mask) if part]
    return pieces


def _holding(sets: Mapping[int, int], piece: int) -> int:
    return union(classes for mask, classes in sets.items() if mask & piece)
