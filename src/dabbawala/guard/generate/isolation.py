"""NetworkPolicies of flows: in each namespace nothing is allowed, and then exactly what was declared or seen.

An end that stands in a namespace of ours gets one policy: whom it lets in, and whom it may ask. Peers that need the
same ports share a rule; no rule allows a port to a peer that does not need it. What is selected by its namespace's
labels, and what is in somebody else's namespace, is a peer and gets no policy. Pure: the same flows in any order give
the same policies.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate.traffic import Addresses, Anybody, End, Flow, Pods, Port
from dabbawala.guard.generate.writing import Piece

SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that are isolated only if they are named: a cluster without its name server is none."""
DENY, NAMES = "default-deny", "allow-dns"
NAME_LENGTH_MAX = 63
DNS_PODS = Pods("kube-system", (("k8s-app", "kube-dns"),))
DNS_PORTS = (Port("UDP", 53), Port("TCP", 53))
_INGRESS, _EGRESS = "Ingress", "Egress"
_DIRECTIONS = {_INGRESS: ("ingress", "from"), _EGRESS: ("egress", "to")}
Ports = frozenset[Port] | None


@dataclass(frozen=True)
class Wish:
    """What is to be allowed. `isolated` are the namespaces where all else is denied; `owned` are ends that get a policy
    of that name wherever they are; `dns` is whom pods of isolated namespaces ask for names, None for nobody."""

    flows: Collection[Flow]
    isolated: frozenset[str]
    owned: Mapping[Pods, str] = field(default_factory=dict)
    dns: End | None = DNS_PODS
    dns_ports: Sequence[Port] = DNS_PORTS

    def meeting(self, end: Pods, direction: str) -> list[tuple[End, Port | None]]:
        """Whom the end meets: who asks it, or whom it asks."""
        return self._met.get((direction, end), [])

    @cached_property
    def _met(self) -> dict[tuple[str, End], list[tuple[End, Port | None]]]:
        found: dict[tuple[str, End], list[tuple[End, Port | None]]] = {}
        for flow in self.flows:
            found.setdefault((_INGRESS, flow.destination), []).append((flow.source, flow.port))
            found.setdefault((_EGRESS, flow.source), []).append((flow.destination, flow.port))
        return found

    def governs(self, end: End) -> bool:
        return isinstance(end, Pods) and (end in self.owned or end.namespace in self.isolated)


def plan(wish: Wish) -> list[Piece]:
    """The policies, namespace by namespace: what is denied, names, and then each end in order."""
    ends = sorted({end for flow in wish.flows for end in flow[:2] if isinstance(end, Pods) and wish.governs(end)}
                  | set(wish.owned))  # fmt: skip
    names = _named(ends, wish.owned)
    pieces = []
    for namespace in sorted(wish.isolated | {end.namespace for end in ends}):
        if namespace in wish.isolated:
            pieces += isolating(namespace, wish.dns, wish.dns_ports)
        here = [end for end in ends if end.namespace == namespace]
        pieces += [_policy_of(end, names[end], wish) for end in sorted(here, key=names.__getitem__)]
    return pieces


def isolating(namespace: str, dns: End | None = DNS_PODS, ports: Sequence[Port] = DNS_PORTS) -> list[Piece]:
    """Deny everything both ways; with `dns`, names can still be asked for."""
    both = [_INGRESS, _EGRESS]
    spec: Object = {"podSelector": {}, "policyTypes": both}
    pieces = [Piece(_object(namespace, DENY, spec), "Nothing moves in or out unless another policy says so.")]
    if dns is not None:
        rule = _rule(_EGRESS, namespace, [dns], frozenset(ports))
        spec = {"podSelector": {}, "policyTypes": [_EGRESS], "egress": [rule]}
        pieces.append(Piece(_object(namespace, NAMES, spec), "Every pod may ask for names, and only the name server."))
    return pieces


def _policy_of(end: Pods, name: str, wish: Wish) -> Piece:
    spec: Object = {"podSelector": end.selector, "policyTypes": [_INGRESS, _EGRESS]}
    notes = {}
    for direction, (section, _) in _DIRECTIONS.items():
        found = _rules(end, direction, wish)
        if found:
            spec[section] = [rule for rule, _ in found]
        notes.update({f"spec.{section}[{number}]": note for number, (_, note) in enumerate(found)})
    return Piece(_object(end.namespace, name, spec), f"What {_spoken(end)} may be asked by, and may ask.", notes)


def _rules(end: Pods, direction: str, wish: Wish) -> list[tuple[Object, str]]:
    """Peers by the ports that they share."""
    needed: dict[End, Ports] = {}
    for peer, port in wish.meeting(end, direction):
        before = needed.get(peer, frozenset())
        needed[peer] = None if port is None or before is None else before | {port}
    rules = []
    if direction == _EGRESS and wish.dns is not None and end.namespace not in wish.isolated:
        names = _rule(direction, end.namespace, [wish.dns], frozenset(wish.dns_ports))
        rules.append((names, "Names are asked for."))
    shared: dict[tuple[int, tuple[str, ...], Ports], list[End]] = {}
    for peer, ports in needed.items():
        shared.setdefault((_kind(peer), tuple(map(str, _ordered(ports))), ports), []).append(peer)
    for (_, _, ports), peers in sorted(shared.items(), key=lambda item: item[0][:2]):
        merged = sorted(_merged(peers), key=lambda peer: (_kind(peer), str(peer), repr(peer)))
        rules.append((_rule(direction, end.namespace, merged, ports), _reason(direction, merged)))
    return rules


def _kind(peer: End) -> int:
    return 0 if isinstance(peer, Pods) else 1 if isinstance(peer, Addresses) else 2


def _merged(peers: Sequence[End]) -> list[End]:
    """Neighbouring ranges become one where that adds no address."""
    plain = [peer.cidr for peer in peers if isinstance(peer, Addresses) and not peer.excepted]
    rest = [peer for peer in peers if not (isinstance(peer, Addresses) and not peer.excepted)]
    ranges = [ipaddress.ip_network(cidr, strict=False) for cidr in plain]
    four = ipaddress.collapse_addresses(found for found in ranges if isinstance(found, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(found for found in ranges if isinstance(found, ipaddress.IPv6Network))
    return [*rest, *(Addresses(str(found)) for found in [*four, *six])]


def _rule(direction: str, namespace: str, peers: Iterable[End], ports: Ports) -> Object:
    listed = [_peer(peer, namespace) for peer in peers if not isinstance(peer, Anybody)]
    rule: Object = {_DIRECTIONS[direction][1]: listed}
    if ports is not None:
        rule["ports"] = [{"protocol": port.protocol, "port": port.number} for port in _ordered(ports)]
    return rule


def _ordered(ports: Ports) -> list[Port]:
    """By number; those by name come last."""
    return sorted(ports or (), key=_place)


def _place(port: Port) -> tuple[str, int, str]:
    by_number = isinstance(port.number, int)
    return ("" if by_number else str(port.number), int(port.number) if by_number else 0, port.protocol)


def _peer(peer: End, namespace: str) -> Object:
    """Pods of the policy's own namespace are meant where no namespace is named."""
    if isinstance(peer, Addresses):
        block: Object = {"cidr": peer.cidr}
        return {"ipBlock": {**block, "except": list(peer.excepted)} if peer.excepted else block}
    assert isinstance(peer, Pods)
    chosen = bool(peer.selector)
    if peer.namespace == namespace and namespace:
        return {"podSelector": peer.selector}
    return {"namespaceSelector": peer.namespaces, **({"podSelector": peer.selector} if chosen else {})}


def _reason(direction: str, peers: Sequence[End]) -> str:
    if any(isinstance(peer, Anybody) for peer in peers):
        return "Everybody on these ports: name the peers as soon as they are known."
    shown = ", ".join(_spoken(peer) for peer in peers[:3]) + (f" and {len(peers) - 3} more" if len(peers) > 3 else "")
    return f"Asked by {shown}." if direction == _INGRESS else f"Asks {shown}."


def _spoken(end: End) -> str:
    if not isinstance(end, Pods):
        return str(end)
    told = "-".join(value for _, value in end.labels[:2]) or ("other pods" if end.without else "every pod")
    return f"{told} of {end.namespace}" if end.namespace else f"{told} of {end}".removesuffix("/*")


def _named(ends: Iterable[Pods], owned: Mapping[Pods, str]) -> dict[Pods, str]:
    """A name for each policy, unlike all others of its namespace. Names that were given come first."""
    found: dict[Pods, str] = {}
    taken = {(end.namespace, name) for end, name in owned.items()} | {
        (e.namespace, n) for e in ends for n in (DENY, NAMES)
    }
    for end in ends:
        if end in owned:
            found[end] = owned[end]
            continue
        stem = _stem(end)
        name, number = stem, 2
        while (end.namespace, name) in taken:
            name, number = f"{stem[: NAME_LENGTH_MAX - 5]}-{number}", number + 1
        taken.add((end.namespace, name))
        found[end] = name
    return found


def _stem(end: Pods) -> str:
    """Labels have characters that names have not."""
    told = "-".join(value for _, value in end.labels if value) or ("unlabelled" if end.without else "every-pod")
    return re.sub(r"[^a-z0-9]+", "-", told.lower())[:NAME_LENGTH_MAX].strip("-") or "pods"


def _object(namespace: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
