"""A NetworkPolicy, read: whom it selects, which directions it isolates, and what each rule lets through.

What is absent and what is empty differ, and mean the opposite of each other in places: a missing `from` is everyone,
a missing `ingress` is nobody, a missing `podSelector` of a peer beside a `namespaceSelector` is every pod.
Source: networking/v1 types.go, pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.apimachinery.status import BadRequest
from dabbawala.policy.network_addresses import Block
from dabbawala.policy.network_ports import LAST_PORT, PROTOCOLS, NamedPort, PortRange

INGRESS, EGRESS = "Ingress", "Egress"
Ports = tuple[PortRange | NamedPort, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Peer:
    """Pods (of the policy's own namespace unless `namespaces` says which), or addresses."""

    pods: LabelSelector = selectors.NOTHING
    namespaces: LabelSelector | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`peers` None is everyone, `ports` None every port. `field` is where it stands, e.g. `spec.ingress[0]`."""

    field: str
    peers: tuple[Peer, ...] | None
    ports: Ports | None


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """`ingress` and `egress` are None where the policy does not isolate that direction. `problems` say what could not
    be read; it selects or admits nobody."""

    key: ObjectKey
    selector: LabelSelector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, policy: Object) -> NetworkPolicy:
        reading, spec = _Reading(), policy.get("spec") or {}
        types = policy_types(spec)
        ingress = reading.rules(spec, "ingress", "from") if INGRESS in types else None
        egress = reading.rules(spec, "egress", "to") if EGRESS in types else None
        selector = reading.selector(spec.get("podSelector") or {}, "spec.podSelector")
        return cls(meta.key(policy), selector, ingress, egress, tuple(reading.problems))

    def rules(self, direction: str) -> tuple[Rule, ...] | None:
        return self.ingress if direction == INGRESS else self.egress


def policy_types(spec: Mapping[str, Any]) -> frozenset[str]:
    """What the policy isolates; defaulted: ingress always, egress if there are egress rules."""
    given = spec.get("policyTypes") or ()
    return frozenset(given) if given else frozenset({INGRESS, EGRESS} if spec.get("egress") else {INGRESS})


class _Reading:
    """Reads one policy, and goes on where a part of it cannot be read."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def rules(self, spec: Mapping[str, Any], direction: str, peers: str) -> tuple[Rule, ...]:
        listed = enumerate(spec.get(direction) or ())
        return tuple(self._rule(rule or {}, f"spec.{direction}[{index}]", peers) for index, rule in listed)

    def _rule(self, rule: Mapping[str, Any], field: str, peers: str) -> Rule:
        who, ports = rule.get(peers), rule.get("ports")
        return Rule(
            field,
            tuple(self._peer(peer, f"{field}.{peers}[{index}]") for index, peer in enumerate(who)) if who else None,
            tuple(self._ports(ports, field)) if ports else None,
        )

    def _peer(self, peer: Mapping[str, Any], field: str) -> Peer:
        if peer.get("ipBlock") is not None:
            return Peer(block=self._try(Block.of, peer["ipBlock"], f"{field}.ipBlock"))
        pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
        if pods is None and namespaces is None:
            self.problems.append(f"{field}: must name pods, namespaces or an ipBlock; it admits nobody")
            return Peer()
        chosen = self.selector(pods or {}, f"{field}.podSelector")
        where = None if namespaces is None else self.selector(namespaces, f"{field}.namespaceSelector")
        return Peer(chosen, where)

    def _ports(self, ports: Iterable[Mapping[str, Any]], field: str) -> Iterable[PortRange | NamedPort]:
        for index, entry in enumerate(ports):
            protocol, port = entry.get("protocol") or "TCP", entry.get("port")
            if protocol not in PROTOCOLS:
                self.problems.append(f"{field}.ports[{index}].protocol: {protocol!r} is not TCP, UDP or SCTP")
            elif port is None:
                yield PortRange(protocol, 1, LAST_PORT)
            elif isinstance(port, str):
                yield NamedPort(protocol, port)
            elif not 1 <= port <= LAST_PORT:
                self.problems.append(f"{field}.ports[{index}].port: {port} is not between 1 and {LAST_PORT}")
            else:
                last = min(int(entry.get("endPort") or port), LAST_PORT)
                yield PortRange(protocol, port, last)

    def selector(self, selector: Mapping[str, Any], field: str) -> LabelSelector:
        return self._try(selectors.from_label_selector, selector, field) or selectors.NOTHING

    def _try(self, read: Callable[[Mapping[str, Any]], T], value: Mapping[str, Any], field: str) -> T | None:
        try:
            return read(value)
        except (BadRequest, ValueError) as error:
            self.problems.append(f"{field}: {error}")
            return None
