"""The way out of the pod network: TCP that leaves the cluster's ranges ends here and goes on from the host's network.

There is no route out of a rootless network, so the node's packet rules send such connections to a relay. Which
destinations it goes on to is decided in one place, `allowed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from dabbawala.cluster.sandbox import dns

RELAY_PORT = 15001
_SO_ORIGINAL_DST = 80
_MAX_CONNECTIONS = 1024
_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 60
_CHUNK = 65536


def allowed(policy: Mapping[str, Any], address: str, port: int, *, is_local: Callable[[str], bool]) -> str:
    """Where to go on to, or "" for nowhere.

    `policy` is the table's `egress`: `internet` (default true) and `host_ports` (default none). The host's own
    addresses, loopback above all, hold services that trust the user, so they need their port listed, by whatever
    address they are called. Link-local addresses (a cloud's metadata service) are never reached.
    """
    target = ipaddress.IPv4Address(address)
    if address == dns.HOST_ADDRESS or target.is_loopback or target.is_unspecified or is_local(address):
        if port not in policy.get("host_ports", ()):
            return ""
        return "127.0.0.1" if address == dns.HOST_ADDRESS else address
    if target.is_link_local or target.is_multicast or target.is_reserved:
        return ""
    return address if policy.get("internet", True) else ""


def is_own_address(address: str) -> bool:
    """Whether the host itself has this address: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


class Relay:
    """Accepts redirected connections and carries them on."""

    def __init__(self, policy: Callable[[], Mapping[str, Any]]) -> None:
        self._policy = policy
        self._open = 0

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        return await asyncio.start_server(self._carry, sock=listener, limit=_CHUNK)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _MAX_CONNECTIONS:
                _reset(writer)
                return
            onward = await self._connect(writer)
            if onward is None:
                _reset(writer)
                return
            for end in (writer, onward[1]):
                _keep_alive(end)
            await _join((reader, writer), onward)
        finally:
            self._open -= 1

    async def _connect(self, writer: asyncio.StreamWriter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        except OSError:  # nobody was on the way out: the relay itself was called
            return None
        port, packed = struct.unpack_from("!2xH4s", raw)
        target = allowed(self._policy(), socket.inet_ntoa(packed), port, is_local=is_own_address)
        if not target:
            return None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(target, port, limit=_CHUNK)
        except (OSError, TimeoutError):
            return None


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(one: Pair, other: Pair) -> None:
    try:
        await asyncio.gather(_pump(one[0], other[1]), _pump(other[0], one[1]))
    except OSError:
        _reset(one[1])
        _reset(other[1])
    finally:
        for _, writer in (one, other):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """A peer that vanished without a word gives its place back after a few minutes."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEP_ALIVE_SECONDS)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Refuse the way TCP does, not with a clean end that a client may take for an empty answer."""
    with contextlib.suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
