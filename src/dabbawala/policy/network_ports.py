"""Ports as sets: all (protocol, port) pairs, cut where any rule begins or ends, and a set as the bits of its pieces.

Between two cuts every port is treated alike by every rule, so that a question about 196,605 ports is one about as many
pieces as the rules have edges. Source: networking/v1 NetworkPolicyPort.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

PROTOCOLS = ("TCP", "UDP", "SCTP")
LAST_PORT = 65535


class PortRange(NamedTuple):
    """Ports of one protocol, both ends included."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        if (self.first, self.last) == (1, LAST_PORT):
            return f"all of {self.protocol}"
        return f"{self.protocol} {self.first}" + (f"-{self.last}" if self.last > self.first else "")


class NamedPort(NamedTuple):
    """A port by the name that the destination pod's containers give it."""

    protocol: str
    name: str

    def __str__(self) -> str:
        return f'{self.protocol} port "{self.name}"'


class PortSpace:
    """The pieces, numbered from the lowest TCP port on."""

    def __init__(self, ranges: Iterable[PortRange]) -> None:
        edges = {protocol: {1} for protocol in PROTOCOLS}
        for protocol, first, last in ranges:
            edges[protocol] |= {first, last + 1}
        self._starts = {p: sorted(edge for edge in found if edge <= LAST_PORT) for p, found in edges.items()}
        self._offset: dict[str, int] = {}
        self._pieces: list[PortRange] = []
        for protocol, starts in self._starts.items():
            self._offset[protocol] = len(self._pieces)
            ends = [*(start - 1 for start in starts[1:]), LAST_PORT]
            self._pieces += [PortRange(protocol, first, last) for first, last in zip(starts, ends, strict=True)]
        self.everything = (1 << len(self._pieces)) - 1

    def at(self, protocol: str, port: int) -> int:
        """The piece that holds the port, as a bit; 0 for what is no port."""
        if protocol not in self._starts or not 1 <= port <= LAST_PORT:
            return 0
        return 1 << (self._offset[protocol] + bisect_right(self._starts[protocol], port) - 1)

    def mask(self, ports: PortRange) -> int:
        """A range that this space was made with, as bits."""
        if ports.first > ports.last:
            return 0
        return (self.at(ports.protocol, ports.last) << 1) - self.at(ports.protocol, ports.first)

    def ranges(self, mask: int) -> tuple[PortRange, ...]:
        """What a mask holds, neighbours joined."""
        found: list[PortRange] = []
        for index, piece in enumerate(self._pieces):
            if not mask >> index & 1:
                continue
            if found and found[-1].protocol == piece.protocol and found[-1].last + 1 == piece.first:
                found[-1] = found[-1]._replace(last=piece.last)
            else:
                found.append(piece)
        return tuple(found)


def spoken(ranges: Iterable[PortRange]) -> str:
    """Ranges for a person: "TCP 80, TCP 443", or "every port"."""
    listed = list(ranges)
    if listed == [PortRange(protocol, 1, LAST_PORT) for protocol in PROTOCOLS]:
        return "every port"
    return ", ".join(map(str, listed)) or "no port"
