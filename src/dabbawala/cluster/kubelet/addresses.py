"""The pod addresses of one node: 10.42.k.2 to 10.42.k.254, each used again as late as possible."""

from __future__ import annotations

import ipaddress
from collections import deque


class NoAddress(Exception):
    """All addresses of the node are taken."""


class AddressPool:
    """Addresses by owner. The network and gateway addresses and the last one are never given out."""

    def __init__(self, cidr: str) -> None:
        hosts = [str(address) for address in ipaddress.ip_network(cidr).hosts()]
        self._cidr = cidr
        self._free = deque(hosts[1:])
        self._taken: dict[str, str] = {}

    def take(self, owner: str) -> str:
        """The owner's address; a new one if it has none. Raises NoAddress."""
        if owner not in self._taken:
            if not self._free:
                raise NoAddress(f"all {len(self._taken)} pod addresses of {self._cidr} are taken")
            self._taken[owner] = self._free.popleft()
        return self._taken[owner]

    def adopt(self, owner: str, address: str) -> None:
        """Note an address that the owner has already."""
        if address in self._free:
            self._free.remove(address)
        self._taken[owner] = address

    def release(self, owner: str) -> None:
        """To the end of the line, unless it was found with another owner too."""
        address = self._taken.pop(owner, None)
        if address is not None and address not in self._free and address not in self._taken.values():
            self._free.append(address)
