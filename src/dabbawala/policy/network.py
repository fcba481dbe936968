"""Who reaches whom: NetworkPolicy's semantics, for one question or for a whole cluster.

A pod accepts everything until a policy selects it for ingress, and sends anything until one selects it for egress; from
then on only what some rule of some such policy admits. Both ends must agree. Beyond the rules: a pod always reaches
itself, a node always reaches its own pods and they it, pods on the host network are their node, and pods that have
ended are nowhere. Source: networking/v1 types.go, kubernetes.io/docs/concepts/services-networking/network-policies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.label_index import members, union
from dabbawala.policy.network_addresses import EVERYWHERE, PRIVATE_RANGES, Address, Block, addresses
from dabbawala.policy.network_classes import DIRECTIONS, Classes, Flow, classify
from dabbawala.policy.network_ends import HOST, NODE, OPEN, OUTSIDE, Cause, End, Place
from dabbawala.policy.network_explain import Explanation, explained
from dabbawala.policy.network_matrix import Matrix
from dabbawala.policy.network_pods import Pod, may_share, namespace_labels
from dabbawala.policy.network_ports import NamedPort, PortRange, PortSpace
from dabbawala.policy.network_rules import EGRESS, INGRESS, NetworkPolicy, Ports


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
        self._node_addresses = {meta.name(node): _addresses_of(node) for node in nodes}
        self.pods = {(pod := Pod.of(found, self._node_addresses)).key: pod for found in pods}
        self.policies = tuple(NetworkPolicy.of(policy) for policy in policies)
        labels = {meta.name(namespace): namespace_labels(namespace) for namespace in namespaces}
        running = [pod for pod in self.pods.values() if not pod.ended]
        self.classes: Classes = classify(running, labels, self.policies, pod_ranges)
        self.space = PortSpace(self._cuts(running))
        self._masks: dict[Ports, int] = {}

    def _cuts(self, pods: Iterable[Pod]) -> Iterator[PortRange]:
        """Where some rule begins or ends, numbers that names stand for included."""
        listed = {port for d in DIRECTIONS for flow in self.classes.flows[d] for port in flow.rule.ports or ()}
        named = {port for port in listed if isinstance(port, NamedPort)}
        yield from (port for port in listed if isinstance(port, PortRange))
        for pod in pods:
            for name in named & pod.ports.keys():
                yield from (PortRange(name.protocol, number, number) for number in pod.ports[name])

    # One question

    def allows(self, source: Place, destination: Place, port: int, protocol: str = "TCP") -> bool:
        """Raises KeyError for a pod that is not there, ValueError for what is no address."""
        return bool(self.mask(self.end(source), self.end(destination)) & self.space.at(protocol, port))

    def ports(self, source: Place, destination: Place) -> tuple[PortRange, ...]:
        """Everything that the one may ask the other for."""
        return self.space.ranges(self.mask(self.end(source), self.end(destination)))

    def end(self, place: Place) -> End:
        """A pod's or a node's address means the pod or the node."""
        if not isinstance(place, str):
            return self._pod_end(self.pods[place])
        found = addresses([place])
        if not found:
            raise ValueError(f"{place!r} is neither the key of a pod nor an IP address")
        pod = self._by_address.get(found[0])
        return self._pod_end(pod) if pod else End(place, found, node=self._nodes.get(found[0]))

    def _pod_end(self, pod: Pod) -> End:
        number = self.classes.index.get(pod.key)
        bit = 0 if number is None else 1 << number
        return End(pod.key, pod.addresses, pod, bit, pod.node if pod.host else None)

    @cached_property
    def _by_address(self) -> dict[Address, Pod]:
        return {a: pod for pod in self.pods.values() if not pod.host and not pod.ended for a in pod.addresses}

    @cached_property
    def _nodes(self) -> dict[Address, str]:
        named = {address: name for name, found in self._node_addresses.items() for address in found}
        return {**{a: pod.node for pod in self.pods.values() if pod.host for a in pod.addresses}, **named}

    def mask(self, source: End, destination: End) -> int:
        """The ports that both ends let through."""
        if source.ended or destination.ended:
            return 0
        if source.pod is not None and source.pod is destination.pod:
            return self.space.everything
        sent = union(mask for mask, _ in self.causes(EGRESS, source, destination))
        return sent and sent & union(mask for mask, _ in self.causes(INGRESS, destination, source))

    def causes(self, direction: str, subject: End, peer: End) -> Iterator[tuple[int, Cause]]:
        """What lets traffic through at the subject's end, and for which ports."""
        if (reason := self._free(direction, subject, peer)) is not None:
            yield self.space.everything, reason
            return
        destination = subject if direction == INGRESS else peer
        for flow in self._of_subject[direction].get(subject.bit, ()):
            if _admits(flow, peer):
                yield self.mask_of(flow.rule.ports, destination.pod), flow

    def _free(self, direction: str, subject: End, peer: End) -> str | None:
        if subject.pod is None:
            return OUTSIDE
        if subject.pod.host:
            return HOST
        if not subject.bit & self.classes.isolated[direction]:
            return OPEN
        return NODE if peer.node is not None and may_share(peer.node, subject.pod.node) else None

    def flows_of(self, direction: str, number: int) -> Sequence[Flow]:
        """The rules that speak of a class."""
        return self._of_subject[direction].get(1 << number, ())

    @cached_property
    def _of_subject(self) -> dict[str, dict[int, list[Flow]]]:
        found: dict[str, dict[int, list[Flow]]] = {direction: {} for direction in DIRECTIONS}
        for direction in DIRECTIONS:
            for flow in self.classes.flows[direction]:
                for number in members(flow.subjects):
                    found[direction].setdefault(1 << number, []).append(flow)
        return found

    def mask_of(self, ports: Ports | None, destination: Pod | None) -> int:
        """A rule's ports, names read at the destination; only pods have names for their ports."""
        if ports is None:
            return self.space.everything
        mask = self._numbers(ports)
        for port in ports if destination is not None and destination.ports else ():
            if isinstance(port, NamedPort) and destination is not None:
                numbers = destination.ports.get(port, ())
                mask |= union(self.space.at(port.protocol, number) for number in numbers)
        return mask

    def _numbers(self, ports: Ports) -> int:
        if ports not in self._masks:
            self._masks[ports] = union(self.space.mask(port) for port in ports if isinstance(port, PortRange))
        return self._masks[ports]

    # One pod and everyone

    def reachable_from(self, source: Place, port: int | None = None, protocol: str = "TCP") -> list[ObjectKey]:
        """The pods that the source may reach on the port, or on any."""
        own = self.end(source)
        return self._others(own, lambda other: self.mask(own, other), self._asked(port, protocol))

    def sources_of(self, destination: ObjectKey, port: int | None = None, protocol: str = "TCP") -> list[ObjectKey]:
        """The pods that may reach the pod on the port, or on any."""
        own = self.end(destination)
        return self._others(own, lambda other: self.mask(other, own), self._asked(port, protocol))

    def _asked(self, port: int | None, protocol: str) -> int:
        return self.space.everything if port is None else self.space.at(protocol, port)

    def _others(self, own: End, mask: Callable[[End], int], asked: int) -> list[ObjectKey]:
        """One pod of each class answers for all of it; where nodes matter, one of each node."""
        found: list[ObjectKey] = []
        for pods in self.classes.members:
            alike: dict[str, list[Pod]] = {}
            for pod in pods:
                if pod is not own.pod:
                    alike.setdefault("" if own.node is None else pod.node, []).append(pod)
            for group in alike.values():
                if mask(self._pod_end(group[0])) & asked:
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
        own = self.end(place)
        if own.ended or own.pod is None:
            return []
        found: dict[Block, int] = {}
        if self._free(direction, own, End("", ())) is not None:
            found = dict.fromkeys(EVERYWHERE, self.space.everything)
        for flow in self._of_subject[direction].get(own.bit, ()) if not found else ():
            mask = self.mask_of(flow.rule.ports, own.pod if direction == INGRESS else None)
            for block in _blocks_of(flow) if mask else ():
                found[block] = found.get(block, 0) | mask
        return [
            (block, self.space.ranges(mask)) for block, mask in sorted(found.items(), key=lambda item: str(item[0]))
        ]

    def problems(self) -> list[tuple[ObjectKey, str]]:
        """What could not be read in policies; where it stands nobody is selected or admitted."""
        return [(policy.key, problem) for policy in self.policies for problem in policy.problems]

    def explain(self, source: Place, destination: Place, port: int, protocol: str = "TCP") -> Explanation:
        """Why the one may reach the other, or what stops it. Raises as `allows` does."""
        return explained(self, self.end(source), self.end(destination), PortRange(protocol, port, port))

    @cached_property
    def matrix(self) -> Matrix:
        """Every class against every other."""
        return Matrix(self)


def _admits(flow: Flow, peer: End) -> bool:
    if flow.rule.peers is None:
        return True
    if peer.bit:
        return bool(flow.peers & peer.bit)
    return any(block.holds(address) for block in _blocks_of(flow) for address in peer.addresses)


def _blocks_of(flow: Flow) -> Iterable[Block]:
    if flow.rule.peers is None:
        return EVERYWHERE
    return [peer.block for peer in flow.rule.peers if peer.block is not None]


def _addresses_of(node: Object) -> tuple[Address, ...]:
    return addresses(item.get("address") for item in (node.get("status") or {}).get("addresses") or ())
