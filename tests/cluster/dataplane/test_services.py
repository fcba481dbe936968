"""Services as their users meet them: an address that answers, whatever happens behind it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.dataplane.names import Destination
from tests.cluster.dataplane.lab import NAMESPACE, Crowd, Program, Visitor, ask, eventually, lab, network


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dp")


async def test_a_service_spreads_requests_evenly_over_its_programs(run: Path) -> None:
    net = network(1)
    async with lab(run, node=f"{net}.254") as world:
        programs = [await world.program(name, f"{net}.{10 + at}") for at, name in enumerate("abc")]
        await world.service("web", f"{net}.1")
        await world.endpoints("web", programs)
        await world.served("web")
        for _ in range(30):
            assert (await ask(f"{net}.1", 8000))[0] == 200
        assert [program.answered for program in programs] == [10, 10, 10]


async def test_a_service_without_endpoints_answers_503_instead_of_refusing(run: Path) -> None:
    net = network(2)
    async with lab(run, node=f"{net}.254") as world:
        await world.service("web", f"{net}.1", ports=[{"name": "http", "port": 8000}])
        await world.served("web")
        status, body = await ask(f"{net}.1", 8000)
        assert (status, body) == (503, "no healthy upstream")


async def test_a_request_passes_as_it_is(run: Path) -> None:
    net = network(3)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1")
        await world.endpoints("web", [program])
        await world.served("web")
        await ask(f"{net}.1", 8000, "/a//b/../c?d=e", {"X-One": "1"})
        head = program.heads[0].lower()
        assert head.startswith("get /a//b/../c?d=e http/1.1\r\n")
        sent = {line.split(":")[0] for line in head.strip().split("\r\n")[1:]}
        assert sent <= {"host", "x-one", "x-forwarded-proto"}


async def test_what_an_ending_program_is_doing_is_finished_and_nothing_new_reaches_it(run: Path) -> None:
    net = network(4)
    async with lab(run, node=f"{net}.254") as world:
        old, new = await world.program("old", f"{net}.10"), await world.program("new", f"{net}.11")
        await world.service("web", f"{net}.1")
        await world.endpoints("web", [old])
        await world.served("web")
        slow = asyncio.create_task(ask(f"{net}.1", 8000, "/wait/0.5"))
        visitor = Visitor(f"{net}.1", 8000)
        await visitor.ask()
        await eventually(lambda: len(old.heads) == 2)
        await world.endpoints("web", [new])
        cluster = Destination(ObjectKey(NAMESPACE, "web"), 8000).cluster
        await world.runs(run, cluster, new.address)
        answered = old.answered
        assert [(await visitor.ask())[1] for _ in range(5)] == ["new"] * 5
        assert await slow == (200, "old")
        assert old.answered == answered + 1
        await eventually(lambda: old.open == 0)
        visitor.leave()


async def test_programs_come_and_go_under_load_without_a_failed_request(run: Path) -> None:
    net = network(5)
    async with lab(run, node=f"{net}.254") as world:
        programs = [await world.program(str(at), f"{net}.{10 + at}") for at in range(4)]
        await world.service("web", f"{net}.1")
        await world.endpoints("web", programs[:2])
        await world.served("web")
        async with Crowd(f"{net}.1", 8000) as crowd:
            for turn in range(12):
                serving = [programs[turn % 4], programs[(turn + 1) % 4]]
                await world.endpoints("web", serving)
                before = {program.name: crowd.seen[program.name] for program in serving}
                await crowd.until(lambda now=before: all(crowd.seen[name] > count + 3 for name, count in now.items()))
        assert crowd.failed == []


async def test_a_pod_that_is_ending_serves_while_no_other_is_ready(run: Path) -> None:
    net = network(6)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("last", f"{net}.10")
        await world.service("web", f"{net}.1")
        ending = {"ready": False, "serving": True, "terminating": True}
        await world.endpoints("web", [program], conditions=ending)
        await world.served("web")
        assert await ask(f"{net}.1", 8000) == (200, "last")


async def test_a_port_that_declares_nothing_carries_http_and_anything_else(run: Path) -> None:
    net = network(7)
    async with lab(run, node=f"{net}.254") as world:
        web = await world.program("web", f"{net}.10")
        echo = await asyncio.start_server(_echo, f"{net}.11", 8080)
        await world.service("web", f"{net}.1", 8000)
        await world.service("echo", f"{net}.2", 7000)
        await world.endpoints("web", [web])
        await world.endpoints("echo", [Program("echo", f"{net}.11")])
        await world.served("web")
        await world.served("echo")
        assert await ask(f"{net}.1", 8000) == (200, "web")
        reader, writer = await asyncio.open_connection(f"{net}.2", 7000)
        writer.write(b"\x00\x01 not http")
        assert await reader.readexactly(11) == b"\x00\x01 not http"
        writer.close()
        echo.close()


async def test_datagrams_go_to_a_program_and_their_answers_come_back(run: Path) -> None:
    net = network(8)
    async with lab(run, node=f"{net}.254") as world:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(_Shout, local_addr=(f"{net}.10", 8080))
        await world.service(
            "dns", f"{net}.1", ports=[{"name": "dns", "port": 5353, "protocol": "UDP", "targetPort": 8080}]
        )
        await world.endpoints("dns", {f"{net}.10": {}}, ports=[{"name": "dns", "port": 8080, "protocol": "UDP"}])
        await world.served("dns")
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        client, _ = await loop.create_datagram_endpoint(lambda: _Collect(answers), remote_addr=(f"{net}.1", 5353))
        client.sendto(b"hello")
        assert await asyncio.wait_for(answers.get(), 5) == b"HELLO"
        client.close()
        transport.close()


async def test_one_client_keeps_its_program_with_affinity(run: Path) -> None:
    net = network(9)
    async with lab(run, node=f"{net}.254") as world:
        programs = [await world.program(str(at), f"{net}.{10 + at}") for at in range(4)]
        await world.service("web", f"{net}.1", sessionAffinity="ClientIP")
        await world.endpoints("web", programs)
        await world.served("web")
        seen = {(await ask(f"{net}.1", 8000))[1] for _ in range(12)}
        assert len(seen) == 1


async def test_the_api_server_is_reached_through_its_socket(run: Path) -> None:
    net = network(10)
    socket = str(run / "api.sock")
    api = await asyncio.start_unix_server(_echo, socket)
    key = ObjectKey(NAMESPACE, "kubernetes")
    async with lab(run, node=f"{net}.254", sockets={key: socket}) as world:
        await world.service("kubernetes", f"{net}.1", ports=[{"name": "https", "port": 6443}])
        await world.served("kubernetes")
        reader, writer = await asyncio.open_connection(f"{net}.1", 6443)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
    api.close()


async def test_every_service_is_in_the_table_of_the_nodes_dns(run: Path) -> None:
    net = network(11)
    async with lab(run, node=f"{net}.254") as world:
        await world.service("web", f"{net}.1")
        await world.service("peers", "None")
        await world.endpoints("peers", {f"{net}.10": {"app": "peers"}}, hostname="peers-0")
        outside = {"metadata": {"name": "out", "namespace": NAMESPACE}}
        await world.client.create(
            core_v1.SERVICE, {**outside, "spec": {"type": "ExternalName", "externalName": "example.com"}}, NAMESPACE
        )
        await world.served("out")
        await world.served("peers")
        await eventually(lambda: len(_table(run)) == 3 and _table(run)["shop/peers"]["endpoints"])
        table = _table(run)
        assert table["shop/web"]["cluster_ip"] == f"{net}.1"
        assert table["shop/peers"]["headless"] is True
        assert table["shop/peers"]["endpoints"] == [{"ip": f"{net}.10", "hostname": "peers-0"}]
        assert table["shop/out"] == {"external_name": "example.com"}


def _table(run: Path) -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = json.loads((run / "dns.json").read_text())["services"]
    return services


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


class _Shout(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(data.upper(), address)


class _Collect(asyncio.DatagramProtocol):
    def __init__(self, answers: asyncio.Queue[bytes]) -> None:
        self._answers = answers

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._answers.put_nowait(data)
