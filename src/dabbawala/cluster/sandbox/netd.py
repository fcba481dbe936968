"""The node's small network daemon: cluster DNS on 10.96.0.10:53 and the relay for connections that leave the cluster.

It runs in the host's network and holds listening sockets of the node's network, so a query for an outside name and a
connection to an outside address leave from the host with nothing in between. It needs no one: the table of Services is
a file, replaced whole, looked at when its time stamp changes. It survives the agent and the control plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any, cast

from dabbawala.cluster.sandbox import dns, egress, kernel, network, nftables

_TABLE_NAME = "dabbawala_egress"
_UPSTREAM_SECONDS = 3.0
_MAX_UPSTREAM = 256
_STREAM_IDLE_SECONDS = 30.0


class Table:
    """The table file, read again when it was replaced. A damaged or missing file leaves the last good one in force."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._zone = dns.Zone({})
        self._egress: dict[str, Any] = {}
        self._refresh()

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            with open(self._path, "rb") as file:
                content = file.read()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._complain(error)
            return
        self._stamp = stamp  # also of a broken one, which is told about once
        try:
            table = json.loads(content)
            self._zone, self._egress = dns.Zone(table), table.get("egress", {})
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        sys.stderr.write(f"netd: {self._path}: {error}; keeping the table before it\n")

    def zone(self) -> dns.Zone:
        self._refresh()
        return self._zone

    def egress(self) -> dict[str, Any]:
        self._refresh()
        return self._egress


def host_resolvers(path: str = "/etc/resolv.conf") -> list[str]:
    with contextlib.suppress(OSError), open(path) as file:
        words = [line.split() for line in file]
        return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return []


class Resolver:
    """Answers a query from the zone, or brings the answer of the host's resolver."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._waiting = 0

    async def answer(self, query: bytes, *, stream: bool) -> bytes:
        try:
            question = dns.parse(query)
        except ValueError:
            return query[:2] + b"\x80\x01" + b"\0" * 8 if len(query) >= 2 else b""
        answer = self._table.zone().answer(question.name, question.kind)
        if answer is not None:
            return dns.respond(question, answer, stream=stream)
        if self._waiting < _MAX_UPSTREAM:
            self._waiting += 1
            try:
                for server in host_resolvers():
                    with contextlib.suppress(OSError, TimeoutError, EOFError):
                        async with asyncio.timeout(_UPSTREAM_SECONDS):
                            return await (_ask_stream(server, query) if stream else _ask_datagram(server, query))
            finally:
                self._waiting -= 1
        return dns.failure(question, dns.SERVFAIL)


async def _ask_datagram(server: str, query: bytes) -> bytes:
    events = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as upstream:
        await events.sock_connect(upstream, (server, 53))
        await events.sock_sendall(upstream, query)
        while (answer := await events.sock_recv(upstream, 65535))[:2] != query[:2]:
            pass
        return answer


async def _ask_stream(server: str, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport does not derive from DatagramTransport, so this cannot be asked.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        task = asyncio.ensure_future(self._reply(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        answer = await self._resolver.answer(data, stream=False)
        if answer and self._transport is not None:
            self._transport.sendto(answer, addr)


async def _serve_stream(resolver: Resolver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(_STREAM_IDLE_SECONDS):
            while True:
                query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                answer = await resolver.answer(query, stream=True)
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
    writer.close()


def _open_sockets(address: str) -> tuple[socket.socket, socket.socket, socket.socket]:
    """In the node's network: the rules, then the sockets they lead to."""
    ranges = ((network.SERVICE_RANGE), ("10.42.0.0", 16), ("127.0.0.0", 8))
    outside = tuple(nftables.destination_outside(net, prefix) for net, prefix in ranges)
    way_out = (*outside, nftables.protocol_is(socket.IPPROTO_TCP), nftables.redirect_to(address, egress.RELAY_PORT))
    nftables.replace_table(_TABLE_NAME, [nftables.Rule(way_out)])
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((network.DNS_ADDRESS, 53))
    streams, relay = socket.socket(), socket.socket()
    for sock, where in ((streams, (network.DNS_ADDRESS, 53)), (relay, (address, egress.RELAY_PORT))):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(128)
    for sock in (datagrams, streams, relay):
        sock.setblocking(False)
    return datagrams, streams, relay


async def _run(address: str, table_path: str) -> None:
    namespace = int(os.environ["DABBAWALA_NETNS"])
    datagrams, streams, relay = kernel.in_network(namespace, lambda: _open_sockets(address))
    table = Table(table_path)
    resolver = Resolver(table)
    events = asyncio.get_running_loop()
    ended = asyncio.Event()
    events.add_signal_handler(signal.SIGTERM, ended.set)
    await events.create_datagram_endpoint(lambda: _Datagrams(resolver), sock=datagrams)
    await asyncio.start_server(lambda r, w: _serve_stream(resolver, r, w), sock=streams)
    await egress.Relay(table.egress).serve(relay)
    await ended.wait()


def main(address: str, table_path: str) -> None:
    """Run until SIGTERM. `address` is the node's own; the namespace's descriptor comes in DABBAWALA_NETNS."""
    kernel.set_process_name("dabba-netd")
    asyncio.run(_run(address, table_path))
