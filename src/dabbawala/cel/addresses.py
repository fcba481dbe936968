"""IP addresses and CIDR blocks, usable by authors since Kubernetes 1.31.

Source: apiserver/pkg/cel/library/ip.go and cidr.go. Zones and IPv4-mapped IPv6 addresses are refused, as there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from math import ceil
from typing import Any

from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import signature

_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_BROADCAST = IPv4Address("255.255.255.255")


class Ip:
    """An address."""

    __slots__ = ("address",)
    cel_type = "net.IP"

    def __init__(self, address: IPv4Address | IPv6Address) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ip) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    @property
    def cel_size(self) -> int:
        return self.address.max_prefixlen // 8

    def cel_string(self) -> str:
        return str(self.address)

    def __repr__(self) -> str:
        return f'ip("{self.address}")'


class Cidr:
    """An address and the length of its network's prefix."""

    __slots__ = ("address", "bits")
    cel_type = "net.CIDR"

    def __init__(self, address: IPv4Address | IPv6Address, bits: int) -> None:
        self.address, self.bits = address, bits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and (other.address, other.bits) == (self.address, self.bits)

    def __hash__(self) -> int:
        return hash((self.address, self.bits))

    @property
    def cel_size(self) -> int:
        return ceil(self.bits / 8)

    def cel_string(self) -> str:
        return f"{self.address}/{self.bits}"

    def __repr__(self) -> str:
        return f'cidr("{self.cel_string()}")'

    def network(self, address: IPv4Address | IPv6Address) -> int:
        """The bits of an address that say the network."""
        return int(address) >> (address.max_prefixlen - self.bits)

    def contains(self, address: IPv4Address | IPv6Address) -> bool:
        return address.version == self.address.version and self.network(address) == self.network(self.address)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        found = ip_address(text)
    except (ValueError, AddressValueError):
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        ) from None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
        if found.ipv4_mapped is not None:
            raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def _is(parse: Callable[[Any], Any], function: str) -> Callable[[Any], bool]:
    def holds(text: Any) -> bool:
        if type(text) is not str:
            raise signature(function, text)
        try:
            parse(text)
        except EvaluationError:
            return False
        return True

    return holds


def ip(value: Any) -> Ip:
    """The address that a text says, or the one of a block."""
    if type(value) is Cidr:
        return Ip(value.address)
    if type(value) is not str:
        raise signature("ip", value)
    return Ip(_address(value))


def cidr(text: Any) -> Cidr:
    if type(text) is not str:
        raise signature("cidr", text)
    written, slash, bits = text.rpartition("/")
    try:
        address = _address(written) if slash else None
    except EvaluationError:
        address = None
    if address is None or not _PREFIX.fullmatch(bits) or int(bits) > address.max_prefixlen:
        raise EvaluationError(
            f'network address parse error during conversion from string: netip.ParsePrefix("{text}"): invalid'
        )
    return Cidr(address, int(bits))


def is_canonical(text: Any) -> bool:
    if type(text) is not str:
        raise signature("ip.isCanonical", text)
    return str(_address(text)) == text


def contains_ip(block: Any, other: Any) -> bool:
    if type(block) is not Cidr or type(other) not in (str, Ip):
        raise signature("containsIP", block, other)
    return block.contains(ip(other).address if type(other) is str else other.address)


def contains_cidr(block: Any, other: Any) -> bool:
    if type(block) is not Cidr or type(other) not in (str, Cidr):
        raise signature("containsCIDR", block, other)
    inner = cidr(other) if type(other) is str else other
    return block.bits <= inner.bits and block.contains(inner.address)


def masked(block: Any) -> Cidr:
    if type(block) is not Cidr:
        raise signature("masked", block)
    shift = block.address.max_prefixlen - block.bits
    return Cidr(type(block.address)(int(block.address) >> shift << shift), block.bits)


def _of_ip(function: str, holds: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def ask(value: Any) -> Any:
        if type(value) is not Ip:
            raise signature(function, value)
        return holds(value.address)

    return ask


def _link_local_multicast(address: Any) -> bool:
    if address.version == 4:
        return int(address) >> 8 == 0xE00000
    return int(address) >> 112 & 0xFF0F == 0xFF02


def _global_unicast(address: Any) -> bool:
    special = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not special and address != _BROADCAST


def prefix_length(block: Any) -> int:
    if type(block) is not Cidr:
        raise signature("prefixLength", block)
    return block.bits


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ip": ip,
    "isIP": _is(ip, "isIP"),
    "ip.isCanonical": is_canonical,
    "family": _of_ip("family", lambda address: address.version),
    "isUnspecified": _of_ip("isUnspecified", lambda address: address.is_unspecified),
    "isLoopback": _of_ip("isLoopback", lambda address: address.is_loopback),
    "isLinkLocalMulticast": _of_ip("isLinkLocalMulticast", _link_local_multicast),
    "isLinkLocalUnicast": _of_ip("isLinkLocalUnicast", lambda address: address.is_link_local),
    "isGlobalUnicast": _of_ip("isGlobalUnicast", _global_unicast),
    "cidr": cidr,
    "isCIDR": _is(cidr, "isCIDR"),
    "containsIP": contains_ip,
    "containsCIDR": contains_cidr,
    "masked": masked,
    "prefixLength": prefix_length,
}
