"""Who reaches whom: NetworkPolicy's semantics, for one question or for a whole cluster.

A pod accepts everything until a policy selects it for ingress, and sends anything until one selects it for egress; from
then on only what some rule of some such policy admits. Both ends must agree. Beyond the rules: a pod always reaches
itself, a node always reaches its own pods and they it, pods on the host network are their node, and pods that have
ended are nowhere. Source: networking/v1 types.go, kubernetes.io/docs/concepts/services-networking/network-policies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.network_addresses import EVERYWHERE, PRIVATE_RANGES, Block
from dabbawala.policy.network_classes import classify
from dabbawala.policy.network_ends import Directory, End, Place
from dabbawala.policy.network_explain import Explanation, explained
from dabbawala.policy.network_matrix import Matrix
from dabbawala.policy.network_pods import Pod, namespace_labels, node_addresses
from dabbawala.policy.network_ports import PortRange, PortSpace
from dabbawala.policy.network_rulebook import Cause, Rulebook, blocks_of
from dabbawala.policy.network_rules import EGRESS, INGRESS, NetworkPolicy


class Graph:
    """The reachability of one cluster. Never changes."""

    def __init__(
        self,
        namespaces: Iterable[Object],
        pods: Iterable[Object],
        policies: Iterable[Object],
        *,
        nodes: Iterable[Object] = (),
        pod_ranges: Sequence[str] = PRIVATE_RANGES,
    ) -> None:
        """`pod_ranges` hold the addresses of pods that have none yet."""
        addresses = {meta.name(node): node_addresses(node) for node in nodes}
        self.pods = {(pod := Pod.of(found, addresses)).key: pod for found in pods}
        self.policies = tuple(NetworkPolicy.of(policy) for policy in policies)
        labels = {meta.name(namespace): namespace_labels(namespace) for namespace in namespaces}
        running = [pod for pod in self.pods.values() if not pod.ended]
        self.classes = classify(running, labels, self.policies, pod_ranges)
        self._rules = Rulebook(self.classes, running)
        self._directory = Directory(self.pods, self.classes, addresses)
        self.space = self._rules.space

    # One question

    def allows(self, source: Place, destination: Place, port: int, protocol: str = "TCP") -> bool:
        """Raises KeyError for a pod that is not there, ValueError for what is no address."""
        return bool(self._mask(source, destination) & self.space.at(protocol, port))

    def ports(self, source: Place, destination: Place) -> tuple[PortRange, ...]:
        """Everything that the one may ask the other for."""
        return self.space.ranges(self._mask(source, destination))

    def _mask(self, source: Place, destination: Place) -> int:
        return self._rules.mask(self._directory.end(source), self._directory.end(destination))

    def admissions(self, source: Place, destination: Place) -> list[tuple[tuple[PortRange, ...], Cause]]:
        """What lets the source in at the destination's end, and to which ports: rules, or why none could stop it."""
        own, peer = self._directory.end(destination), self._directory.end(source)
        return [(self.space.ranges(mask), cause) for mask, cause in self._rules.causes(INGRESS, own, peer) if mask]

    # One pod and everyone

    def reachable_from(self, source: Place, port: int | None = None, protocol: str = "TCP") -> list[ObjectKey]:
        """The pods that the source may reach on the port, or on any."""
        own = self._directory.end(source)
        return self._others(own, lambda other: self._rules.mask(own, other), _asked(self.space, port, protocol))

    def sources_of(self, destination: ObjectKey, port: int | None = None, protocol: str = "TCP") -> list[ObjectKey]:
        """The pods that may reach the pod on the port, or on any."""
        own = self._directory.end(destination)
        return self._others(own, lambda other: self._rules.mask(other, own), _asked(self.space, port, protocol))

    def _others(self, own: End, mask: Callable[[End], int], asked: int) -> list[ObjectKey]:
        """One pod of each class answers for all of it; where nodes matter, one of each node."""
        found: list[ObjectKey] = []
        for pods in self.classes.members:
            alike: dict[str, list[Pod]] = {}
            for pod in pods:
                if pod is not own.pod:
                    alike.setdefault("" if own.node is None else pod.node, []).append(pod)
            for group in alike.values():
                if mask(self._directory.of_pod(group[0])) & asked:
                    found += [pod.key for pod in group]
        return sorted(found)

    # One pod and addresses

    def reachable_addresses(self, source: ObjectKey) -> list[tuple[Block, tuple[PortRange, ...]]]:
        """Where outside the cluster the pod may go, and to which ports."""
        return self._blocks(EGRESS, source)

    def admitted_addresses(self, destination: ObjectKey) -> list[tuple[Block, tuple[PortRange, ...]]]:
        """From where outside the cluster the pod may be reached, and on which ports."""
        return self._blocks(INGRESS, destination)

    def _blocks(self, direction: str, place: ObjectKey) -> list[tuple[Block, tuple[PortRange, ...]]]:
        own = self._directory.end(place)
        if own.ended or own.pod is None:
            return []
        found: dict[Block, int] = {}
        if self._rules.free(direction, own, End("", ())) is not None:
            found = dict.fromkeys(EVERYWHERE, self.space.everything)
        for flow in self._rules.flows_of(direction, own.bit) if not found else ():
            mask = self._rules.mask_of(flow.rule.ports, own.pod if direction == INGRESS else None)
            for block in blocks_of(flow) if mask else ():
                found[block] = found.get(block, 0) | mask
        return [
            (block, self.space.ranges(mask)) for block, mask in sorted(found.items(), key=lambda item: str(item[0]))
        ]

    def problems(self) -> list[tuple[ObjectKey, str]]:
        """What could not be read in policies; where it stands nobody is selected or admitted."""
        return [(policy.key, problem) for policy in self.policies for problem in policy.problems]

    def explain(self, source: Place, destination: Place, port: int, protocol: str = "TCP") -> Explanation:
        """Why the one may reach the other, or what stops it. Raises as `allows` does."""
        return explained(
            self._rules, self._directory.end(source), self._directory.end(destination), PortRange(protocol, port, port)
        )

    @cached_property
    def matrix(self) -> Matrix:
        """Every class against every other."""
        return Matrix(self._rules, self._directory)


def _asked(space: PortSpace, port: int | None, protocol: str) -> int:
    return space.everything if port is None else space.at(protocol, port)
