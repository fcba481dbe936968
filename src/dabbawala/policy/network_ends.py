"""The two ends of a connection: a pod, a node, or an address outside, by whatever name it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.policy.network_addresses import Address, addresses
from dabbawala.policy.network_classes import Classes
from dabbawala.policy.network_pods import Pod

Place = ObjectKey | str
"""A pod by its key, or an address."""


@dataclass(frozen=True, slots=True)
class End:
    """A place, looked up. `node` is None for what is no node; `bit` is 0 for what is no pod."""

    place: Place
    addresses: tuple[Address, ...]
    pod: Pod | None = None
    bit: int = 0
    node: str | None = None

    @property
    def ended(self) -> bool:
        return self.pod is not None and self.pod.ended

    def __str__(self) -> str:
        if self.pod is not None:
            return f"pod {self.place}"
        return f"node {self.node} ({self.place})" if self.node else f"address {self.place}"


class Directory:
    """The places of one cluster."""

    def __init__(
        self, pods: Mapping[ObjectKey, Pod], classes: Classes, nodes: Mapping[str, tuple[Address, ...]]
    ) -> None:
        self._pods, self._classes, self._node_addresses = pods, classes, nodes

    def end(self, place: Place) -> End:
        """A pod's or a node's address means the pod or the node."""
        if not isinstance(place, str):
            return self.of_pod(self._pods[place])
        found = addresses([place])
        if not found:
            raise ValueError(f"{place!r} is neither the key of a pod nor an IP address")
        pod = self._by_address.get(found[0])
        return self.of_pod(pod) if pod else End(place, found, node=self._nodes.get(found[0]))

    def of_pod(self, pod: Pod) -> End:
        number = self._classes.index.get(pod.key)
        bit = 0 if number is None else 1 << number
        return End(pod.key, pod.addresses, pod, bit, pod.node if pod.host else None)

    @cached_property
    def _by_address(self) -> dict[Address, Pod]:
        return {a: pod for pod in self._pods.values() if not pod.host and not pod.ended for a in pod.addresses}

    @cached_property
    def _nodes(self) -> dict[Address, str]:
        named = {address: name for name, found in self._node_addresses.items() for address in found}
        return {**{a: pod.node for pod in self._pods.values() if pod.host for a in pod.addresses}, **named}
