"""Pods as a network policy sees them: where they are, how they are labelled, and how they name their ports.

A pod with `hostNetwork` has no network of its own: what it sends and gets is its node's traffic, policies neither
select it nor find it as a peer, and its ports have no names there. A pod that has ended has no network at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.network_addresses import Address, addresses
from dabbawala.policy.network_ports import NamedPort

ENDED = frozenset({"Succeeded", "Failed"})
NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Pod:
    """`node` is empty while nobody knows; `ports` are container ports by name, several where containers agree on it."""

    key: ObjectKey
    labels: Mapping[str, str]
    ports: Mapping[NamedPort, frozenset[int]]
    addresses: tuple[Address, ...]
    node: str
    host: bool
    ended: bool

    @classmethod
    def of(cls, pod: Object, nodes: Mapping[str, tuple[Address, ...]] = MappingProxyType({})) -> Pod:
        """`nodes` are addresses by node."""
        spec, state = pod.get("spec") or {}, pod.get("status") or {}
        host, node = bool(spec.get("hostNetwork")), spec.get("nodeName") or state.get("hostIP") or ""
        listed = [state.get("podIP"), *(item.get("ip") for item in state.get("podIPs") or ())]
        found = addresses([*listed, state.get("hostIP")] if host else listed)
        return cls(
            meta.key(pod), meta.labels(pod), {} if host else _named_ports(spec),
            tuple(dict.fromkeys([*found, *(nodes.get(node, ()) if host else ())])),
            node, host, state.get("phase") in ENDED,
        )  # fmt: skip


def may_share(node: str, other: str) -> bool:
    """Whether what runs on the one may run beside what runs on the other; empty is not known yet."""
    return not node or not other or node == other


def _named_ports(spec: Mapping[str, Any]) -> dict[NamedPort, frozenset[int]]:
    found: dict[NamedPort, frozenset[int]] = {}
    for container in serving_containers(spec):
        for port in container.get("ports") or ():
            if port.get("name") and port.get("containerPort"):
                named = NamedPort(port.get("protocol") or "TCP", port["name"])
                found[named] = found.get(named, frozenset()) | {int(port["containerPort"])}
    return found


def serving_containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The containers that run while the pod serves: its own, and those init containers that keep running."""
    yield from spec.get("containers") or ()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def namespace_labels(namespace: Object) -> Mapping[str, str]:
    """With the label that the API server gives every namespace."""
    return {NAME_LABEL: meta.name(namespace), **meta.labels(namespace)}


def node_addresses(node: Object) -> tuple[Address, ...]:
    return addresses(item.get("address") for item in (node.get("status") or {}).get("addresses") or ())
