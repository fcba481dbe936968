"""The two ends of a connection, and why one of them lets it through."""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.policy.network_addresses import Address
from dabbawala.policy.network_classes import Flow
from dabbawala.policy.network_pods import Pod

Place = ObjectKey | str
"""A pod by its key, or an address."""

OUTSIDE, HOST, OPEN, NODE = "outside", "host", "open", "node"
Cause = Flow | str
"""It is no pod, shares its node's network, is not isolated, the peer is its node; or the rule that admits the peer."""


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
