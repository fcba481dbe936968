"""A graph of services, as those who build them draw it: what each is, who it asks, and who asks it.

    dns: {namespace: kube-system, labels: {k8s-app: kube-dns}, protocols: [UDP, TCP]}    # or false; or {anywhere: true}
    defaultDeny: true             # in the namespaces of the services
    services:
      - name: payment-service
        namespace: production
        selector: {app: payment-service}
        ports: [8080]             # 8080, http, 53/UDP
        calls:
          - postgres-primary      # a service of the graph, on all of its ports
          - {external: bank, ports: [443]}
        calledBy:
          - {namespace: api-gateway, pods: {app: api-gateway}}
    externals:
      - {name: bank, cidrs: [203.0.113.16/28], ports: [443]}

Pure. Wrong fields are told by their line, because a field that is overlooked is a connection that is cut.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.guard import documents
from dabbawala.guard.documents import Document
from dabbawala.guard.generate.faults import BadInput, at_line
from dabbawala.guard.generate.flow_log import PROTOCOLS
from dabbawala.guard.generate.isolation import DNS_PODS, Wish
from dabbawala.guard.generate.traffic import Addresses, Anybody, End, Flow, Pods, Port

SERVICES_MAX = 5_000
FLOWS_MAX = 100_000
_TOP = frozenset({"services", "externals", "dns", "defaultDeny"})
_SERVICE = frozenset({"name", "namespace", "selector", "ports", "calls", "calledBy", "policy"})
_PEER = frozenset({"service", "external", "namespace", "namespaceLabels", "pods", "ports"})
_EXTERNAL = frozenset({"name", "cidrs", "except", "ports", "anywhere"})
_DNS = frozenset({"namespace", "labels", "protocols", "anywhere"})
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SHAPE = "See docs/guard-generate.md, Service graphs, for what stands where."
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class _Node:
    """A service or an external peer: who it is, and on which ports it is asked; None for any."""

    ends: tuple[End, ...]
    ports: tuple[Port, ...] | None


@dataclass(slots=True)
class _Graph:
    document: Document
    services: dict[str, _Node] = field(default_factory=dict)
    externals: dict[str, _Node] = field(default_factory=dict)
    owned: dict[Pods, str] = field(default_factory=dict)
    flows: set[Flow] = field(default_factory=set)

    def wrong(self, path: str, message: str, remedy: str = _SHAPE) -> BadInput:
        return BadInput(self.document.place(path), f"{path or 'the file'}: {message}", remedy)

    def fields(self, value: Any, path: str, known: frozenset[str]) -> Mapping[str, Any]:
        """A mapping of no other fields than the known ones."""
        if not isinstance(value, dict):
            raise self.wrong(path, "is no mapping")
        for name in value:
            if name not in known:
                raise self.wrong(f"{path}.{name}" if path else str(name), f"is none of {', '.join(sorted(known))}")
        return value

    def items(self, value: Any, path: str) -> Iterator[tuple[str, Any]]:
        """The items of a list that may be missing, and where they are."""
        if not isinstance(value, list | None):
            raise self.wrong(path, "is no list")
        yield from ((f"{path}[{number}]", item) for number, item in enumerate(value or ()))

    def text(self, value: Any, path: str) -> str:
        """A name as Kubernetes takes it."""
        if not isinstance(value, str) or not NAME.match(value):
            raise self.wrong(path, "is missing, or no name of lower case letters, digits and hyphens")
        return value

    def labels(self, value: Any, path: str) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
            raise self.wrong(path, "is no mapping of labels, each a text in quotes where it looks like a number")
        return tuple(value.items())

    def ports(self, value: Any, path: str) -> tuple[Port, ...] | None:
        if value is None:
            return None
        return tuple(self.port(item, own) for own, item in self.items(value, path))

    def port(self, value: Any, path: str) -> Port:
        """`8080`, `http`, `53/UDP`."""
        number, _, protocol = str(value).partition("/")
        protocol = protocol or "TCP"
        known = number.isdecimal() and 0 < int(number[:6]) <= _PORT_MAX
        named = bool(NAME.match(number)) and not number.isdecimal() and len(number) < 16
        if isinstance(value, bool) or protocol not in PROTOCOLS or not (known or named):
            raise self.wrong(path, f"{value!r} is no port such as 8080, http or 53/UDP")
        return Port(protocol, int(number) if known else number)


def read(file: str, data: bytes) -> Wish:
    """Raises BadInput."""
    graph = _Graph(_document(file, data))
    top = graph.fields(graph.document.object, "", _TOP)
    deny = top.get("defaultDeny", True)
    if not isinstance(deny, bool):
        raise graph.wrong("defaultDeny", "is neither true nor false")
    for path, item in graph.items(top.get("externals"), "externals"):
        _take_external(graph, graph.fields(item, path, _EXTERNAL), path)
    services = [
        (path, graph.fields(item, path, _SERVICE)) for path, item in graph.items(top.get("services"), "services")
    ]
    if not services or len(services) > SERVICES_MAX:
        raise graph.wrong("services", f"has {len(services):,} services, not from 1 to {SERVICES_MAX:,}")
    for path, item in services:
        _take_service(graph, item, path)
    for path, item in services:
        _connect(graph, item, path)
    dns, ports = _dns(graph, top.get("dns", {}))
    isolated = frozenset(end.namespace for end in graph.owned) if deny else frozenset()
    return Wish(frozenset(graph.flows), isolated, graph.owned, dns=dns, dns_ports=ports)


def _document(file: str, data: bytes) -> Document:
    found = documents.read(file, data)
    for problem in found.problems:
        raise BadInput(problem.place, problem.message, problem.remedy)
    if len(found.documents) != 1:
        raise at_line(file, 1, f"the file holds {len(found.documents)} documents, not one graph", _SHAPE)
    return found.documents[0]


def _take_external(graph: _Graph, item: Mapping[str, Any], path: str) -> None:
    name = graph.text(item.get("name"), f"{path}.name")
    if item.get("anywhere") is True:
        ends: tuple[End, ...] = (Anybody(),)
    else:
        cut = tuple(_range(graph, each, own) for own, each in graph.items(item.get("except"), f"{path}.except"))
        ranges = [_range(graph, each, own) for own, each in graph.items(item.get("cidrs"), f"{path}.cidrs")]
        ends = tuple(Addresses(cidr, tuple(part for part in cut if _within(part, cidr))) for cidr in ranges)
    if not ends or name in graph.externals:
        raise graph.wrong(path, f"{name} has no cidrs" if not ends else f"{name} is there twice")
    graph.externals[name] = _Node(ends, graph.ports(item.get("ports"), f"{path}.ports"))


def _range(graph: _Graph, value: Any, path: str) -> str:
    try:
        return str(ipaddress.ip_network(value if isinstance(value, str) else ""))
    except ValueError:
        raise graph.wrong(path, f"{value!r} is no range of addresses such as 203.0.113.16/28") from None


def _within(part: str, whole: str) -> bool:
    inner, outer = ipaddress.ip_network(part), ipaddress.ip_network(whole)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version both


def _take_service(graph: _Graph, item: Mapping[str, Any], path: str) -> None:
    name = graph.text(item.get("name"), f"{path}.name")
    home = graph.text(item.get("namespace"), f"{path}.namespace")
    end = Pods(home, graph.labels(item.get("selector"), f"{path}.selector"))
    if name in graph.services or end in graph.owned:
        raise graph.wrong(path, f"{name} is there twice, or selects what another service selects")
    graph.services[name] = _Node((end,), graph.ports(item.get("ports"), f"{path}.ports"))
    graph.owned[end] = graph.text(item.get("policy", name), f"{path}.policy")


def _connect(graph: _Graph, item: Mapping[str, Any], path: str) -> None:
    own = graph.services[item["name"]]
    for where, peer in graph.items(item.get("calls"), f"{path}.calls"):
        node = _peer(graph, peer, where)
        graph.flows |= set(_flows(own.ends, node.ends, node.ports))
    for where, peer in graph.items(item.get("calledBy"), f"{path}.calledBy"):
        node = _peer(graph, peer, where)
        ports = node.ports if isinstance(peer, dict) and "ports" in peer else own.ports
        graph.flows |= set(_flows(node.ends, own.ends, ports))
    if len(graph.flows) > FLOWS_MAX:
        raise graph.wrong(path, f"the graph has more than {FLOWS_MAX:,} connections", "Give a part of it.")


def _flows(sources: Iterable[End], targets: tuple[End, ...], ports: tuple[Port, ...] | None) -> Iterator[Flow]:
    for source in sources:
        for target in targets:
            yield from (Flow(source, target, port) for port in (ports if ports is not None else (None,)))


def _peer(graph: _Graph, value: Any, path: str) -> _Node:
    """A service by its name, or a mapping that says who is meant."""
    peer = {"service": value} if isinstance(value, str) else graph.fields(value, path, _PEER)
    ports = graph.ports(peer.get("ports"), f"{path}.ports")
    for kind, known in (("service", graph.services), ("external", graph.externals)):
        if kind in peer:
            found = known.get(peer[kind]) if isinstance(peer[kind], str) else None
            if found is None:
                remedy = f"Add it to {kind}s, or say pods and namespace."
                raise graph.wrong(path, f"there is no {kind} {peer[kind]!r} in the graph", remedy)
            return _Node(found.ends, ports if ports is not None else found.ports)
    return _Node((_pods(graph, peer, path),), ports)


def _pods(graph: _Graph, peer: Mapping[str, Any], path: str) -> Pods:
    labels = graph.labels(peer.get("pods", {}), f"{path}.pods")
    if "namespaceLabels" in peer and "namespace" not in peer:
        return Pods("", labels, namespace_labels=graph.labels(peer["namespaceLabels"], f"{path}.namespaceLabels"))
    return Pods(graph.text(peer.get("namespace"), f"{path}.namespace"), labels)


def _dns(graph: _Graph, value: Any) -> tuple[End | None, tuple[Port, ...]]:
    if value is False:
        return None, ()
    given = graph.fields(value, "dns", _DNS)
    ports = []
    for path, name in graph.items(given.get("protocols", ["UDP", "TCP"]), "dns.protocols"):
        if name not in PROTOCOLS:
            raise graph.wrong(path, f"{name!r} is none of {', '.join(PROTOCOLS)}")
        ports.append(Port(name, 53))
    if given.get("anywhere") is True:
        return Anybody(), tuple(ports)
    home = graph.text(given.get("namespace", DNS_PODS.namespace), "dns.namespace")
    labels = graph.labels(given["labels"], "dns.labels") if "labels" in given else DNS_PODS.labels
    return Pods(home, labels), tuple(ports)
