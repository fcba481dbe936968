"""Probes: what answers mean, and each kind against a real server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.kubelet.observed import Health
from dabbawala.cluster.kubelet.probes import ask, verdict
from dabbawala.cluster.kubelet.probes.ask import Reach
from dabbawala.cluster.kubelet.probes.prober import Prober, Reports
from dabbawala.cluster.kubelet.probes.verdict import Answer, NotAsked, Tally


async def connect(host: str, port: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, (host, port))
    return made


async def command(argv: list[str]) -> tuple[int, bytes]:
    return (0, b"") if argv == ["true"] else (1, b"no")


HERE = Reach("127.0.0.1", connect, command)


async def once(probe: dict[str, Any], timeout: float = 2.0) -> Answer:
    return await ask.ask({"name": "c", "ports": [{"name": "web", "containerPort": 1}]}, probe, HERE, timeout)


class Site:
    """An HTTP server that answers each path as told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, str] = {}

    def probe(self, path: str, **fields: Any) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": self.port, **fields}}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        answer = made.answers.get(head.split(" ")[1], "404 -\r\n")
        if answer == "silence":
            await asyncio.sleep(5)
        writer.write(f"HTTP/1.1 {answer}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


async def test_http_is_well_from_200_to_399(site: Site) -> None:
    site.answers = {"/ok": "200 OK\r\n", "/gone": "410 Gone\r\n", "/err": "503 -\r\n"}
    assert (await once(site.probe("/ok"))).ok
    assert await once(site.probe("/gone")) == Answer(False, "HTTP probe failed with statuscode: 410")
    assert not (await once(site.probe("/err"))).ok


async def test_redirects_are_followed_on_the_same_host_only(site: Site) -> None:
    site.answers = {"/here": "302 -\r\nlocation: /bad\r\n", "/bad": "500 -\r\n",
                    "/away": "302 -\r\nlocation: http://example.com/\r\n"}  # fmt: skip
    assert not (await once(site.probe("/here"))).ok
    assert (await once(site.probe("/away"))).ok


async def test_silence_is_a_failure_after_the_timeout(site: Site) -> None:
    site.answers = {"/slow": "silence"}
    answer = await once(site.probe("/slow"), timeout=0.1)
    assert not answer.ok
    assert "within 0.1s" in answer.text


async def test_an_answer_that_the_agent_was_too_late_to_read_is_no_timeout() -> None:
    """The server answers at once, from a thread; the agent's loop stands still for longer than the timeout."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    answering = asyncio.get_running_loop().run_in_executor(None, serve)
    asked = asyncio.create_task(once(Site(listening.getsockname()[1]).probe("/"), timeout=0.2))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(time.sleep, 0.6)
    assert (await asked).ok
    await answering
    listening.close()


async def test_nobody_listening_and_unknown_ports_say_so(site: Site) -> None:
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()
    assert "connection refused" in (await once({"tcpSocket": {"port": port}})).text
    assert (await once({"tcpSocket": {"port": site.port}})).ok
    assert "couldn't find port" in (await once({"httpGet": {"port": "admin"}})).text


async def test_a_command_is_well_when_it_exits_with_0() -> None:
    assert (await once({"exec": {"command": ["true"]}})).ok
    assert await once({"exec": {"command": ["false"]}}) == Answer(False, "no")


class HealthServer(asyncio.Protocol):
    """A gRPC health service, spoken by an independent HTTP/2 implementation."""

    def __init__(self) -> None:
        self.statuses = {"": 1, "down": 2}
        self.wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.wire.initiate_connection()
        transport.write(self.wire.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.wire.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = {name.decode(): value.decode() for name, value in event.headers or ()}
                assert headers[":path"] == "/grpc.health.v1.Health/Check"
            elif isinstance(event, h2.events.DataReceived):
                self.answer(event.stream_id, (event.data or b"")[7:].decode())
        self.transport.write(self.wire.data_to_send())

    def answer(self, stream: int, service: str) -> None:
        start = [(":status", "200"), ("content-type", "application/grpc")]
        if service not in self.statuses:
            self.wire.send_headers(stream, [*start, ("grpc-status", "5")], end_stream=True)
            return
        message = bytes([8, self.statuses[service]])
        self.wire.send_headers(stream, start)
        self.wire.send_data(stream, b"\x00" + len(message).to_bytes(4, "big") + message)
        self.wire.send_headers(stream, [("grpc-status", "0")], end_stream=True)


async def test_grpc_health_is_asked_over_http2() -> None:
    server = await asyncio.get_running_loop().create_server(HealthServer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await once({"grpc": {"port": port}})).ok
    assert "NOT_SERVING" in (await once({"grpc": {"port": port, "service": "down"}})).text
    assert not (await once({"grpc": {"port": port, "service": "unknown"}})).ok
    server.close()


def test_a_result_needs_as_many_answers_in_a_row_as_its_threshold() -> None:
    timing = verdict.Timing.of({"successThreshold": 2, "failureThreshold": 3})
    tally = Tally()
    seen = []
    for ok in (True, True, False, False, True, False, False, False):
        tally = tally.count(Answer(ok), timing)
        seen.append(tally.result)
    assert seen == [None, True, True, True, True, True, True, False]


async def _run(
    probes: dict[str, Any],
    script: list[bool | None],
    seconds: float,
    *,
    resumed: tuple[Health, float, float] | None = None,
) -> tuple[Prober, list[str]]:
    """A prober on virtual time whose answers are scripted, the last one repeating; None is a question that could not
    be put."""
    clock = VirtualClock()
    failures: list[str] = []

    async def question(item: object, probe: object, timeout: float) -> Answer:
        ok = script.pop(0) if len(script) > 1 else script[0]
        if ok is None:
            raise NotAsked("the sandbox does not answer")
        return Answer(ok)

    reports = Reports(lambda health: None, lambda kind, text: failures.append(kind))
    prober = Prober({"name": "c", **probes}, 0, question, clock, reports)
    if resumed is not None:
        prober.resume(*resumed)
    task = asyncio.create_task(prober.run())
    for _ in range(int(seconds * 10)):
        for _ in range(5):
            await asyncio.sleep(0)
        clock.advance(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return prober, failures


async def test_a_startup_probe_is_given_its_whole_threshold_however_eagerly_it_is_asked() -> None:
    probes = {"startupProbe": {"periodSeconds": 10, "failureThreshold": 3}}
    prober, _ = await _run(probes, [False], 19)
    assert prober.health.restart == ""
    prober, failures = await _run(probes, [False], 21.5)
    assert prober.health.restart == "failed startup probe"
    assert len(failures) == 3


async def test_a_slow_starter_is_started_within_a_second_of_its_first_success() -> None:
    probes = {"startupProbe": {"periodSeconds": 10}, "readinessProbe": {"periodSeconds": 10}}
    prober, _ = await _run(probes, [False, False, False, True], 4.5)
    assert prober.health == Health(0, started=True, ready=True)


async def test_liveness_waits_for_the_initial_delay_and_kills_after_its_threshold() -> None:
    probes = {"livenessProbe": {"initialDelaySeconds": 5, "periodSeconds": 2, "failureThreshold": 2}}
    prober, _ = await _run(probes, [False], 6.5)
    assert prober.health.restart == ""
    prober, _ = await _run(probes, [False], 7.5)
    assert prober.health.restart == "failed liveness probe"


async def test_a_question_that_could_not_be_put_counts_neither_way() -> None:
    probes = {"livenessProbe": {"periodSeconds": 1, "failureThreshold": 2}}
    prober, failures = await _run(probes, [False, None, None, None, True], 8)
    assert prober.health.restart == ""
    assert failures == ["liveness"]
    prober, _ = await _run(probes, [False, None, None, False], 5)
    assert prober.health.restart == "failed liveness probe"


async def test_a_new_agent_counts_the_initial_delay_from_the_run_and_spreads_its_questions() -> None:
    probes = {"livenessProbe": {"initialDelaySeconds": 60, "periodSeconds": 10, "failureThreshold": 1}}
    well = Health(0, started=True, ready=True)
    for resumed, kept in (((well, 5.0, 0.0), 54.0), ((well, 300.0, 0.5), 4.0)):
        prober, _ = await _run(probes, [False], kept, resumed=resumed)
        assert prober.health.restart == ""
        prober, _ = await _run(probes, [False], kept + 2, resumed=resumed)
        assert prober.health.restart == "failed liveness probe"
