"""Links, addresses and routes by raw rtnetlink (RFC 3549): 1 ms a pod, with no tool and no library to install.

A socket speaks for the network namespace in which it was opened, whoever uses it later. Requests are answered one at
a time; the kernel's error becomes `OSError`.
"""

from __future__ import annotations

import os
import socket
import struct

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_NEWROUTE = 20, 24
_REQUEST, _ACK, _EXCL, _CREATE, _REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
_NLMSG_ERROR = 2
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_PROTO_BOOT = 3
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_ROUTE_UNICAST, _ROUTE_LOCAL = 1, 2
_FLAG_ONLINK = 4


def attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + b"\0" * (-size % 4)


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _link_header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


class Netlink:
    """One rtnetlink conversation with the network namespace of the calling thread."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def _request(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, self._sequence, 0)
        self._socket.send(header + body)
        answer = b""
        while True:
            data = self._socket.recv(65536)
            while len(data) >= 16:
                size, got, _, sequence, _ = struct.unpack_from("=IHHII", data)
                payload, data = data[16:size], data[(size + 3) & ~3 :]
                if sequence != self._sequence:
                    continue
                if got != _NLMSG_ERROR:
                    answer = payload
                    continue
                code = -struct.unpack_from("=i", payload)[0]
                if code:
                    raise OSError(code, f"netlink request {kind}: {os.strerror(code)}")
                return answer

    def index(self, name: str) -> int:
        reply = self._request(_RTM_GETLINK, 0, _link_header() + _text(_IFLA_IFNAME, name))
        return int(struct.unpack_from("=BxHi", reply)[2])

    def set_up(self, name: str, up: bool = True) -> None:
        header = _link_header(0, _IFF_UP if up else 0, _IFF_UP)
        self._request(_RTM_NEWLINK, 0, header + _text(_IFLA_IFNAME, name))

    def create_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """A veth pair with its far end straight in another namespace; neither end is up yet (ENOTCONN otherwise)."""
        far = _link_header() + _text(_IFLA_IFNAME, peer)
        far += attribute(_IFLA_NET_NS_FD, struct.pack("=i", peer_namespace))
        info = _text(_INFO_KIND, "veth") + attribute(_INFO_DATA, attribute(_VETH_PEER, far))
        body = _link_header() + _text(_IFLA_IFNAME, name) + attribute(_IFLA_LINKINFO, info)
        self._request(_RTM_NEWLINK, _CREATE | _EXCL, body)

    def delete(self, name: str) -> None:
        self._request(_RTM_DELLINK, 0, _link_header() + _text(_IFLA_IFNAME, name))

    def add_address(self, name: str, address: str) -> None:
        """The address with a /32 prefix: every other address is reached by a route."""
        packed = socket.inet_aton(address)
        body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, _SCOPE_UNIVERSE, self.index(name))
        body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        self._request(_RTM_NEWADDR, _CREATE | _REPLACE, body)

    def add_route(self, destination: str, prefix: int, name: str, *, via: str = "") -> None:
        """destination/prefix by the link, directly or through a gateway taken to be on the link."""
        scope = _SCOPE_UNIVERSE if via else _SCOPE_LINK
        flags = _FLAG_ONLINK if via else 0
        self._route(destination, prefix, self.index(name), via, (_TABLE_MAIN, scope, _ROUTE_UNICAST, flags))

    def add_local_route(self, destination: str, prefix: int) -> None:
        """Every address of the range is this host's own (AnyIP): one route instead of an address per Service."""
        self._route(destination, prefix, self.index("lo"), "", (_TABLE_LOCAL, _SCOPE_HOST, _ROUTE_LOCAL, 0))

    def _route(self, destination: str, prefix: int, index: int, via: str, kind: tuple[int, int, int, int]) -> None:
        table, scope, route_type, flags = kind
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, prefix, 0, 0, table, _PROTO_BOOT, scope, route_type, flags)
        if prefix:
            body += attribute(_RTA_DST, socket.inet_aton(destination))
        if via:
            body += attribute(_RTA_GATEWAY, socket.inet_aton(via))
        body += attribute(_RTA_OIF, struct.pack("=i", index))
        self._request(_RTM_NEWROUTE, _CREATE | _REPLACE, body)
