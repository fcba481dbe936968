"""Who comes from outside: sets of addresses, and whether one of them is among those that a rule admits."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from dabbawala.policy.network_addresses import EVERYWHERE, PRIVATE_RANGES, Block, Network, within

_NOT_INTERNET = tuple(
    ipaddress.ip_network(text)
    for text in (*PRIVATE_RANGES, "127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/3", "fe80::/10", "::1/128")
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Networks without some parts, and how to call them."""

    blocks: tuple[Block, ...]
    called: str
    public: bool

    @classmethod
    def of(cls, ranges: Iterable[str]) -> Sources:
        """Source ranges as a Service gives them; public if one of them holds an address of the internet. Ranges that
        are none let nobody in."""
        listed = [text.strip() for text in ranges]
        blocks = tuple(block for text in listed for block in _block(text))
        public = any(_common(block, internet) for block in blocks for internet in INTERNET.blocks)
        return cls(blocks, ", ".join(listed), public)

    def meet(self, block: Block) -> bool:
        """Whether some address is both one of these and in the block."""
        return any(_common(own, block) for own in self.blocks)

    def __str__(self) -> str:
        return self.called


def _block(text: str) -> list[Block]:
    try:
        return [Block.of({"cidr": text})]
    except ValueError:
        return []


def _common(left: Block, right: Block) -> bool:
    """Whether two blocks share an address: one network lies in the other, and no exceptions cover the smaller whole."""
    if left.network.version != right.network.version or not left.network.overlaps(right.network):
        return False
    smaller = max(left.network, right.network, key=lambda network: network.prefixlen)
    holes = [hole for hole in (*left.excepts, *right.excepts) if hole.version == smaller.version]
    return not _covers(holes, smaller)


def _covers(holes: list[Network], network: Network) -> bool:
    if any(within(network, hole) for hole in holes):
        return True
    inside = sorted((hole for hole in holes if within(hole, network)), key=_place)
    size, last = 0, -1
    for hole in inside:
        if int(hole.broadcast_address) > last:
            size += hole.num_addresses
            last = int(hole.broadcast_address)
    return size == network.num_addresses


def _place(network: Network) -> tuple[int, int]:
    """Larger networks before those inside them."""
    return int(network.network_address), network.prefixlen


ANYBODY = Sources(EVERYWHERE, "addresses outside", False)
INTERNET = Sources(
    tuple(Block(block.network, _NOT_INTERNET) for block in EVERYWHERE), "addresses of the internet", True
)
