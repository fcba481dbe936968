"""IP blocks: which addresses a rule's `ipBlock` holds, and many blocks asked about one address at once.

A pod of a manifest has no address yet. Such a pod is held by a block only if the block holds every address that a pod
may get: whoever allows the world allows it, whoever allows some network may or may not. Source: networking/v1 IPBlock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Where pods and nodes get their addresses unless somebody knows better."""


@dataclass(frozen=True, slots=True)
class Block:
    """A network without some of its parts."""

    network: Network
    excepts: tuple[Network, ...] = ()

    @classmethod
    def of(cls, ip_block: Mapping[str, Any]) -> Block:
        """Raises ValueError for what is no network."""
        excepts = (ipaddress.ip_network(part, strict=False) for part in ip_block.get("except") or ())
        return cls(ipaddress.ip_network(ip_block.get("cidr") or "", strict=False), tuple(excepts))

    def holds(self, address: Address) -> bool:
        return address in self.network and not any(address in part for part in self.excepts)

    def holds_all(self, ranges: Iterable[Network]) -> bool:
        """Whether every range of the block's family lies in it, and there is one."""
        own = [found for found in ranges if found.version == self.network.version]
        return bool(own) and all(within(found, self.network) for found in own) and not self._cut(own)

    def _cut(self, ranges: Sequence[Network]) -> bool:
        return any(part.version == found.version and part.overlaps(found) for part in self.excepts for found in ranges)

    def __str__(self) -> str:
        without = f" except {', '.join(map(str, self.excepts))}" if self.excepts else ""
        return f"{self.network}{without}"


EVERYWHERE = (Block(ipaddress.ip_network("0.0.0.0/0")), Block(ipaddress.ip_network("::/0")))


def within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    return (
        isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
    )


class BlockTable:
    """Blocks by prefix, so that an address is looked up once per length of prefix and not once per block."""

    def __init__(self, blocks: Iterable[Block], unknown: Iterable[str] = PRIVATE_RANGES) -> None:
        self._blocks = list(dict.fromkeys(blocks))
        self._numbers = {block: number for number, block in enumerate(self._blocks)}
        self._by_prefix: dict[tuple[int, int], dict[int, list[int]]] = {}
        for number, block in enumerate(self._blocks):
            network = block.network
            table = self._by_prefix.setdefault((network.version, network.max_prefixlen - network.prefixlen), {})
            table.setdefault(int(network.network_address), []).append(number)
        ranges = [ipaddress.ip_network(text, strict=False) for text in unknown]
        self._unknown = frozenset(n for n, block in enumerate(self._blocks) if block.holds_all(ranges))

    def holding(self, addresses: Iterable[Address]) -> frozenset[int]:
        """The numbers of the blocks that hold one of the addresses; without any, those that hold whatever comes."""
        known = list(addresses)
        return frozenset(number for address in known for number in self._holding(address)) if known else self._unknown

    def _holding(self, address: Address) -> Iterable[int]:
        value = int(address)
        for (version, shift), table in self._by_prefix.items():
            if version == address.version:
                for number in table.get(value >> shift << shift, ()):
                    if self._blocks[number].holds(address):
                        yield number

    def number(self, block: Block) -> int:
        return self._numbers[block]

    def __len__(self) -> int:
        return len(self._blocks)


def addresses(texts: Iterable[str | None]) -> tuple[Address, ...]:
    """Those of the texts that are addresses."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_address(text or ""))
        except ValueError:
            continue
    return tuple(found)
