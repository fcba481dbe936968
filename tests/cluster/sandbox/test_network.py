"""Cluster DNS and the way out, from inside a pod."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dabbawala.cluster.sandbox import dns, egress
from tests.cluster.sandbox.sandboxes import World, until

_RESOLV_CONF = (
    "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
)
_TABLE: dict[str, Any] = {
    "services": {
        "default/web": {"cluster_ip": "10.96.4.7", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        "default/db": {
            "headless": True,
            "ports": [{"name": "pg", "port": 5432}],
            "endpoints": [{"ip": "10.42.1.5", "hostname": "db-0"}, {"ip": "10.42.1.6"}],
        },
        "default/empty": {"headless": True},
        "default/out": {"external_name": "example.com"},
    }
}


def _publish(world: World, **egress_policy: Any) -> None:
    path = world.directory / "table.json"
    path.with_suffix(".new").write_text(json.dumps({**_TABLE, "egress": egress_policy}))
    os.replace(path.with_suffix(".new"), path)


@pytest.fixture
async def resolving(world: World) -> World:
    _publish(world)
    directory = str(world.directory)
    await world.client.spawn_netd("node-1", "10.42.1.1", f"{directory}/table.json", f"{directory}/netd.log")

    async def listening() -> bool:
        try:
            (await world.client.node_dial("node-1", "10.96.0.10", 53)).close()
        except ConnectionRefusedError:
            return False
        return True

    await until(listening, "the network daemon")
    await world.pod("pod", resolv_conf=_RESOLV_CONF)
    await world.start("pod", "sleep", "600")
    return world


async def test_a_pod_resolves_services_endpoints_and_addresses(resolving: World) -> None:
    names = (
        "web web.default web.default.svc.cluster.local db-0.db 10.42.1.5 10.96.4.7 10-1-2-3.default.pod.cluster.local"
    )
    ran = await resolving.run("pod", "sh", "-c", f"for name in {names}; do getent hosts $name; done")
    web, db = "web.default.svc.cluster.local", "db-0.db.default.svc.cluster.local"
    expected = [("10.96.4.7", web)] * 3 + [("10.42.1.5", db)] * 2 + [("10.96.4.7", web)]
    expected.append(("10.1.2.3", "10-1-2-3.default.pod.cluster.local"))
    assert [tuple(line.split()) for line in ran.out.splitlines()] == expected


async def test_a_headless_service_gives_all_its_endpoints_and_unknown_names_fail(resolving: World) -> None:
    ran = await resolving.run("pod", "getent", "ahostsv4", "db")
    assert {line.split()[0] for line in ran.out.splitlines()} == {"10.42.1.5", "10.42.1.6"}
    assert (await resolving.run("pod", "getent", "hosts", "nothing.default.svc.cluster.local")).code == 2


async def test_a_new_table_takes_effect_and_a_broken_one_does_not(resolving: World) -> None:
    path = resolving.directory / "table.json"
    path.with_suffix(".new").write_text("{ broken")
    os.replace(path.with_suffix(".new"), path)
    assert (await resolving.run("pod", "getent", "hosts", "web")).code == 0
    path.with_suffix(".new").write_text(json.dumps({"services": {"default/web": {"cluster_ip": "10.96.9.9"}}}))
    os.replace(path.with_suffix(".new"), path)
    assert (await resolving.run("pod", "getent", "hosts", "web")).out.startswith("10.96.9.9 ")


@pytest.fixture
def host_server() -> Iterator[int]:
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


async def test_a_pod_reaches_the_hosts_services_only_when_their_port_is_allowed(
    resolving: World, host_server: int
) -> None:
    url = f"http://host.dabbawala.internal:{host_server}/"
    refused = await resolving.run("pod", "curl", "-sS", "-m", "5", url)
    assert refused.code in (7, 56)
    _publish(resolving, host_ports=[host_server])
    assert (await resolving.run("pod", "curl", "-sS", "-m", "5", url)).out == "from the host"


async def test_connections_inside_the_cluster_do_not_take_the_way_out(resolving: World) -> None:
    await resolving.pod("server")
    await resolving.start("server", "python3", "-m", "http.server", "8080", cwd="/etc")
    address = "10.42.1.3"
    await resolving.get(address)
    assert (await resolving.run("pod", "curl", "-s", f"http://{address}:8080/hostname")).out == "server\n"
    assert (await resolving.run("pod", "curl", "-s", "-m", "5", "http://10.96.200.200/")).code == 7


def _ask(name: str, kind: int = dns.A) -> dns.Answer | None:
    return dns.Zone(_TABLE).answer(name, kind)


def _codes(name: str, kind: int = dns.A) -> tuple[int, int]:
    answer = _ask(name, kind)
    assert answer is not None
    return answer.code, len(answer.records)


@pytest.mark.parametrize(
    ("name", "kind", "code", "records"),
    [
        ("web.default.svc.cluster.local", dns.A, dns.NOERROR, 1),
        ("WEB.Default.svc.cluster.local.", dns.A, dns.NOERROR, 1),
        ("web.default.svc.cluster.local", dns.AAAA, dns.NOERROR, 0),
        ("web.other.svc.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("default.svc.cluster.local", dns.A, dns.NOERROR, 0),
        ("nowhere.svc.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("db.default.svc.cluster.local", dns.A, dns.NOERROR, 2),
        ("db-0.db.default.svc.cluster.local", dns.A, dns.NOERROR, 1),
        ("10-42-1-6.db.default.svc.cluster.local", dns.A, dns.NOERROR, 1),
        ("db-9.db.default.svc.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("empty.default.svc.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("out.default.svc.cluster.local", dns.A, dns.NOERROR, 1),
        ("_http._tcp.web.default.svc.cluster.local", dns.SRV, dns.NOERROR, 1),
        ("_pg._tcp.db.default.svc.cluster.local", dns.SRV, dns.NOERROR, 2),
        ("_pg._udp.db.default.svc.cluster.local", dns.SRV, dns.NXDOMAIN, 0),
        ("7.4.96.10.in-addr.arpa", dns.PTR, dns.NOERROR, 1),
        ("8.4.96.10.in-addr.arpa", dns.PTR, dns.NXDOMAIN, 0),
        ("example.com.default.svc.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("not-an-ip.default.pod.cluster.local", dns.A, dns.NXDOMAIN, 0),
        ("host.dabbawala.internal", dns.A, dns.NOERROR, 1),
    ],
)
def test_the_zone_answers_as_the_kubernetes_dns_specification_says(
    name: str, kind: int, code: int, records: int
) -> None:
    assert _codes(name, kind) == (code, records)


@pytest.mark.parametrize("name", ["example.com", "8.8.8.8.in-addr.arpa", "cluster.local.example.com"])
def test_names_of_the_outside_are_left_to_the_hosts_resolver(name: str) -> None:
    assert _ask(name) is None


def test_an_answer_too_large_for_udp_is_marked_as_cut() -> None:
    many = [{"ip": f"10.42.1.{number}"} for number in range(1, 101)]
    zone = dns.Zone({"services": {"a/b": {"headless": True, "endpoints": many}}})
    answer = zone.answer("b.a.svc.cluster.local", dns.A)
    assert answer is not None
    query = b"\x12\x34\x01\x00\x00\x01" + b"\0" * 6 + dns.encode_name("b.a.svc.cluster.local") + b"\0\x01\0\x01"
    question = dns.parse(query)
    cut = dns.respond(question, answer, stream=False)
    assert cut[2] & 0x02
    assert len(cut) <= 512
    assert len(dns.respond(question, answer, stream=True)) > 512


@pytest.mark.parametrize(
    "message", [b"", b"\0" * 11, b"\0" * 12, b"\x12\x34\x81\0\0\1" + b"\0" * 12, b"\0\0\1\0\0\1" + b"\0" * 6 + b"\x3fa"]
)
def test_what_is_not_a_query_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        dns.parse(message)


@pytest.mark.parametrize(
    ("policy", "address", "port", "goes_to"),
    [
        ({}, "93.184.216.34", 443, "93.184.216.34"),
        ({"internet": False}, "93.184.216.34", 443, ""),
        ({}, "127.0.0.1", 5432, ""),
        ({}, dns.HOST_ADDRESS, 5432, ""),
        ({"host_ports": [5432]}, dns.HOST_ADDRESS, 5432, "127.0.0.1"),
        ({"host_ports": [5432]}, dns.HOST_ADDRESS, 5433, ""),
        ({}, "192.0.2.1", 80, ""),
        ({"host_ports": [80]}, "192.0.2.1", 80, "192.0.2.1"),
        ({"host_ports": [80]}, "169.254.169.254", 80, ""),
        ({"host_ports": [80]}, "0.0.0.0", 81, ""),
    ],
)
def test_the_way_out_leads_only_where_the_policy_says(
    policy: dict[str, Any], address: str, port: int, goes_to: str
) -> None:
    assert egress.allowed(policy, address, port, is_local=lambda each: each == "192.0.2.1") == goes_to


async def test_many_queries_at_once_are_all_answered(resolving: World) -> None:
    events = asyncio.get_running_loop()
    query = b"\x12\x34\x01\x00\x00\x01" + b"\0" * 6 + dns.encode_name("web.default.svc.cluster.local") + b"\0\x01\0\x01"

    async def one() -> bytes:
        with await resolving.client.node_socket("node-1", udp=True) as sock:
            await events.sock_connect(sock, ("10.96.0.10", 53))
            await events.sock_sendall(sock, query)
            return await asyncio.wait_for(events.sock_recv(sock, 512), 5)

    answers = await asyncio.gather(*(one() for _ in range(50)))
    assert all(answer.endswith(b"\x0a\x60\x04\x07") for answer in answers)
