"""What the rules let through, at one end of a connection and at both.

The chain of a subject's end: it is no pod, it shares its node's network, no policy isolates it, the peer is its node,
or some rule admits the peer. The first four open every port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from dabbawala.policy.label_index import members, union
from dabbawala.policy.network_addresses import EVERYWHERE, Block
from dabbawala.policy.network_classes import DIRECTIONS, Classes, Flow
from dabbawala.policy.network_ends import End
from dabbawala.policy.network_pods import Pod, may_share
from dabbawala.policy.network_ports import NamedPort, PortRange, PortSpace
from dabbawala.policy.network_rules import EGRESS, INGRESS, Ports

OUTSIDE, HOST, OPEN, NODE = "outside", "host", "open", "node"
Cause = Flow | str
"""One of those reasons, or the rule that admits the peer."""


class Rulebook:
    def __init__(self, classes: Classes, pods: Iterable[Pod]) -> None:
        """The pods are those that run; ports are cut by what their names stand for too."""
        self.classes = classes
        self.space = PortSpace(_cuts(classes, pods))
        self._masks: dict[Ports, int] = {}

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
        if (reason := self.free(direction, subject, peer)) is not None:
            yield self.space.everything, reason
            return
        destination = subject if direction == INGRESS else peer
        for flow in self.flows_of(direction, subject.bit):
            if _admits(flow, peer):
                yield self.mask_of(flow.rule.ports, destination.pod), flow

    def free(self, direction: str, subject: End, peer: End) -> str | None:
        """Why the subject's end lets everything through, whatever rules say."""
        if subject.pod is None:
            return OUTSIDE
        if subject.pod.host:
            return HOST
        if not subject.bit & self.classes.isolated[direction]:
            return OPEN
        return NODE if peer.node is not None and may_share(peer.node, subject.pod.node) else None

    def flows_of(self, direction: str, bit: int) -> Sequence[Flow]:
        """The rules that speak of a class."""
        return self._of_subject[direction].get(bit, ())

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


def _cuts(classes: Classes, pods: Iterable[Pod]) -> Iterator[PortRange]:
    """Where some rule begins or ends, numbers that names stand for included."""
    listed = {port for d in DIRECTIONS for flow in classes.flows[d] for port in flow.rule.ports or ()}
    named = {port for port in listed if isinstance(port, NamedPort)}
    yield from (port for port in listed if isinstance(port, PortRange))
    for pod in pods:
        for name in named & pod.ports.keys():
            yield from (PortRange(name.protocol, number, number) for number in pod.ports[name])


def _admits(flow: Flow, peer: End) -> bool:
    if flow.rule.peers is None:
        return True
    if peer.bit:
        return bool(flow.peers & peer.bit)
    return any(block.holds(address) for block in blocks_of(flow) for address in peer.addresses)


def blocks_of(flow: Flow) -> Iterable[Block]:
    if flow.rule.peers is None:
        return EVERYWHERE
    return [peer.block for peer in flow.rule.peers if peer.block is not None]
