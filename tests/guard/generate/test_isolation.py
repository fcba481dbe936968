"""Network policies of graphs and of traffic: the described cases exactly, and what each kind of input is read as."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
import yaml

from dabbawala.guard.generate import flow_log, isolation, mesh, observed, proof, service_graph, traffic
from dabbawala.guard.generate.faults import BadInput
from dabbawala.guard.generate.traffic import Addresses, Flow, Pods, Port, Workload
from dabbawala.policy.network import Graph
from tests.guard.generate.running import FOLDER, GOLDEN, UPDATE, compare, generated, objects, run, scanned
from tests.guard.generate.test_baseline import CASES
from tests.guard.test_scenarios import FOLDER as SCENARIOS
from tests.policy.world import key, pod, service

GRAPHS = sorted(path.stem for path in (FOLDER / "graphs").iterdir())
LOGS = ("flows-shop",)
SHOP = (
    {"source": {"namespace": "shop", "pod": "web-1", "labels": {"app": "web", "pod-template-hash": "abc"}},
     "destination": {"namespace": "shop", "labels": {"app": "db"}}, "port": 5432},
    {"source": {"namespace": "edge", "labels": {"app": "gateway"}},
     "destination": {"namespace": "shop", "labels": {"app": "web"}}, "port": 8080, "protocol": "TCP"},
    {"source": {"namespace": "shop", "labels": {"app": "web"}},
     "destination": {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}, "port": 53, "protocol": "UDP"},
    {"source": {"namespace": "shop", "labels": {"app": "web"}}, "destination": {"ip": "203.0.113.4"}, "port": 443},
    {"source": {"namespace": "shop", "labels": {"app": "web"}}, "destination": {"ip": "203.0.113.5"}, "port": 443},
    {"source": {"namespace": "shop", "labels": {"app": "web"}}, "destination": {"ip": "2001:db8::1"}, "port": 443},
    {"source": {"namespace": "shop", "labels": {"app": "mallory"}},
     "destination": {"namespace": "shop", "labels": {"app": "db"}}, "port": 5432, "verdict": "DROPPED"},
)  # fmt: skip


def lines(*entries: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(entry) for entry in entries]


def log_of(folder: Path, *entries: dict[str, Any]) -> str:
    path = folder / "flows.jsonl"
    path.write_bytes(b"\n".join(lines(*entries)))
    return str(path)


def test_no_expectation_is_left_of_a_case_that_is_gone() -> None:
    known = {*GRAPHS, *LOGS, *CASES, "role-shop"}
    for path in GOLDEN.iterdir():
        if UPDATE and path.stem not in known:
            path.unlink()
    assert {path.stem for path in GOLDEN.iterdir()} <= known


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_gives_the_policies_that_are_expected(name: str) -> None:
    compare(name, generated("network-policies", str(FOLDER / "graphs" / f"{name}.yaml")))


def test_traffic_gives_the_policies_that_are_expected(tmp_path: Path) -> None:
    compare("flows-shop", generated("network-policies", "--flow-log", log_of(tmp_path, *SHOP)))


def as_meant(policy: dict[str, Any]) -> dict[str, Any]:
    """In which order ports stand means nothing."""
    for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
        rule.get("ports", []).sort(key=str)
    return policy


@pytest.mark.parametrize("name", ["S049", "S050"])
def test_the_described_policy_comes_out_of_its_graph(name: str) -> None:
    described = yaml.safe_load((SCENARIOS / name / "faithful.yaml").read_text())
    (found,) = objects(generated("network-policies", str(FOLDER / "graphs" / f"{name}.yaml")))
    assert as_meant(found) == as_meant(described)


def test_a_scan_has_nothing_to_say_of_the_isolated_graph_but_that_its_pods_are_elsewhere(tmp_path: Path) -> None:
    report = scanned(generated("network-policies", str(FOLDER / "graphs" / "S049-isolated.yaml")), tmp_path)
    assert {found.check.id for found in report.failures if found.subject.kind == "NetworkPolicy"} == set()
    assert not report.problems


def test_the_isolated_graph_allows_exactly_what_is_drawn() -> None:
    policies = objects(generated("network-policies", str(FOLDER / "graphs" / "S049-isolated.yaml")))
    pods = [
        pod("production/payment", ip="10.0.0.1", app="payment-service"),
        pod("production/postgres", ip="10.0.0.2", app="postgres-primary", node="n2"),
        pod("production/checkout", ip="10.0.0.3", app="checkout", node="n3"),
        pod("api-gateway/gateway", ip="10.0.0.4", app="api-gateway", node="n4"),
        pod("kube-system/dns", ip="10.0.0.5", node="n5", **{"k8s-app": "kube-dns"}),
    ]
    graph = Graph((), pods, policies)
    payment, postgres = key("production/payment"), key("production/postgres")
    gateway, checkout, dns = key("api-gateway/gateway"), key("production/checkout"), key("kube-system/dns")
    assert graph.allows(gateway, payment, 8080)
    assert graph.allows(checkout, payment, 8080)
    assert graph.allows(payment, postgres, 5432)
    assert graph.allows(payment, "203.0.113.20", 443)
    assert graph.allows(payment, dns, 53, "UDP")
    for source, target, port in (
        (gateway, payment, 8081), (checkout, postgres, 5432), (gateway, postgres, 5432), (postgres, payment, 8080),
        (payment, "203.0.113.20", 80), (payment, "203.0.113.64", 443), (postgres, "203.0.113.20", 443),
        (payment, "169.254.169.254", 443),
    ):  # fmt: skip
        assert not graph.allows(source, target, port), (source, target, port)


def test_a_name_server_is_reached_and_its_namespace_is_not_isolated(tmp_path: Path) -> None:
    found = objects(generated("network-policies", "--flow-log", log_of(tmp_path, *SHOP)))
    assert {obj["metadata"]["namespace"] for obj in found} == {"shop", "edge"}


def test_only_the_namespaces_that_are_named_are_isolated(tmp_path: Path) -> None:
    found = objects(generated("network-policies", "--flow-log", log_of(tmp_path, *SHOP), "-n", "edge"))
    assert {obj["metadata"]["namespace"] for obj in found} == {"edge"}
    assert {obj["metadata"]["name"] for obj in found} == {"default-deny", "allow-dns", "gateway"}


def test_workloads_that_share_labels_are_told_apart() -> None:
    web = Workload("shop", (("app", "web"),))
    canary = Workload("shop", (("app", "web"), ("track", "canary")))
    bare = Workload("shop", ())
    found = traffic.selections({web, canary, bare})
    assert found[web] == Pods("shop", (("app", "web"),), without=("track",))
    assert found[canary] == Pods("shop", (("app", "web"), ("track", "canary")))
    assert found[bare] == Pods("shop", (), without=("app",))


def test_what_a_controller_gives_to_one_generation_of_pods_is_not_selected_by() -> None:
    given = {"app": "web", "pod-template-hash": "5d4", "controller-revision-hash": "1"}
    assert traffic.labelled(given) == (("app", "web"),)


def test_policies_that_were_seen_before_are_no_difference(tmp_path: Path) -> None:
    log = log_of(tmp_path, *SHOP)
    present = tmp_path / "present.yaml"
    present.write_text(generated("network-policies", "--flow-log", log))
    result = run("network-policies", "--flow-log", log, "--diff", "--objects", str(present))
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_difference_shows_what_would_be_added_and_what_would_go(tmp_path: Path) -> None:
    log = log_of(tmp_path, *SHOP)
    present = tmp_path / "present.yaml"
    policy = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    metadata = {"name": "all-is-open", "namespace": "shop"}
    present.write_text(
        yaml.safe_dump(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": policy}
        )
    )
    result = run("network-policies", "--flow-log", log, "--diff", "--objects", str(present))
    assert result.exit_code == 1
    assert "--- present/shop/all-is-open\n+++ generated/shop/all-is-open\n" in result.stdout
    assert "+  name: default-deny\n" in result.stdout
    assert "-  name: all-is-open\n" in result.stdout


# Hubble


def hubble(**change: Any) -> dict[str, Any]:
    flow = {
        "verdict": "FORWARDED", "is_reply": False, "IP": {"source": "10.0.0.1", "destination": "10.0.0.2"},
        "l4": {"TCP": {"source_port": 4711, "destination_port": 8080}},
        "source": {"namespace": "edge", "labels": ["k8s:app=gateway", "k8s:io.kubernetes.pod.namespace=edge"]},
        "destination": {"namespace": "shop", "labels": ["k8s:app=web"], "pod_name": "web-1"},
    }  # fmt: skip
    return {"flow": {**flow, **change}, "node_name": "n1"}


def test_connections_that_hubble_forwarded_are_read_and_answers_are_not() -> None:
    reply = hubble(is_reply=True)
    dropped = hubble(verdict="DROPPED")
    icmp = hubble(l4={"ICMPv4": {"type": 8}})
    outside = hubble(source={"identity": 2, "labels": ["reserved:world"]}, IP={"source": "198.51.100.7"})
    found = flow_log.read("h", lines(hubble(), reply, dropped, icmp, outside))
    gateway, web = Workload("edge", (("app", "gateway"),)), Workload("shop", (("app", "web"),))
    assert found.sightings == {
        observed.Sighting(gateway, web, Port("TCP", 8080)),
        observed.Sighting(Addresses("198.51.100.7/32"), web, Port("TCP", 8080)),
    }


# The mesh


def known() -> mesh.Known:
    pods = (
        pod("shop/web", app="web"), pod("shop/db", "sql:5432", app="db"), pod("edge/gateway", app="gateway"),
    )  # fmt: skip
    ports = [{"name": "sql", "port": 15432, "targetPort": "sql"}, {"name": "metrics", "port": 9187}]
    return mesh.Known(pods, (service("shop/database", ports, selector={"app": "db"}),))


def series(source: str, target: str, port: str = "") -> dict[str, str]:
    home, _, name = source.partition("/")
    target_home, _, target_name = target.partition("/")
    return {
        "source_workload": name, "source_workload_namespace": home, "destination_service_name": target_name,
        "destination_service_namespace": target_home, "destination_port": port,
    }  # fmt: skip


def test_a_series_means_the_pods_port_behind_the_service() -> None:
    found = mesh.read([series("shop/web", "shop/database", "15432")], known())
    web, db = Workload("shop", (("app", "web"),)), Workload("shop", (("app", "db"),))
    assert found.sightings == {observed.Sighting(web, db, Port("TCP", 5432))}
    assert not found.remarks


def test_a_series_without_a_port_means_all_ports_of_the_service() -> None:
    found = mesh.read([series("shop/web", "shop/database")], known())
    assert {sighting.port.number for sighting in found.sightings} == {5432, 9187}


def test_series_that_cannot_be_resolved_are_told_and_left_out() -> None:
    asked = [series("/", "shop/database"), series("shop/gone", "shop/database"), series("shop/web", "shop/gone")]
    found = mesh.read(asked, known())
    assert not found.sightings
    assert [remark.split(" (")[0] for remark in found.remarks] == sorted([
        "series do not say who asked: this mesh counts at the node; a flow log would tell",
        "there is no workload shop/gone among the objects, though it asked",
        "no pod of the objects stands behind the Service shop/gone, though it was asked",
    ])  # fmt: skip


@pytest.mark.parametrize("body", [None, {}, {"status": "error", "error": "no"}, {"status": "success", "data": {}},
                                  {"status": "success", "data": {"result": [1]}}])  # fmt: skip
def test_what_is_no_answer_of_prometheus_is_refused(body: object) -> None:
    with pytest.raises(BadInput, match=r"prometheus\.shop"):
        mesh.series("http://prometheus.shop:9090", body)


class Prometheus(BaseHTTPRequestHandler):
    """Answers every query with one series."""

    result: ClassVar = [{"metric": series("shop/web", "shop/database", "15432")}]

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(orjson.dumps({"status": "success", "data": {"result": self.result}}))

    def log_message(self, *_: object) -> None:
        return None


def test_a_prometheus_is_asked_without_a_cluster_where_its_address_is_known(tmp_path: Path) -> None:
    manifests = tmp_path / "shop.yaml"
    manifests.write_text(yaml.safe_dump_all([*known().pods, *known().services]))
    with HTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = objects(generated("network-policies", "--prometheus", address, "--objects", str(manifests)))
        server.shutdown()
    assert {obj["metadata"]["name"] for obj in found} == {"default-deny", "allow-dns", "web", "db"}
    refused = run("network-policies", "--prometheus", address, "--objects", str(manifests))
    assert refused.exit_code == 2
    assert "gives no answer as Prometheus does" in refused.output


def test_a_prometheus_without_a_mesh_is_said_to_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prometheus, "result", [])
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump_all([*known().pods, *known().services]))
    with HTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = run("network-policies", "--prometheus", address, "--objects", str(tmp_path), "--window", "1d12h")
        server.shutdown()
    assert found.exit_code == 1
    assert f"no metric of a mesh in {address} tells of it in the last 1d12h; give a --flow-log" in found.output


@pytest.mark.parametrize("window", ["bogus", "7", "7d]) or vector(1", ""])
def test_a_window_that_is_no_time_is_refused_before_anybody_is_asked(window: str) -> None:
    found = run("network-policies", "--prometheus", "http://127.0.0.1:1", "--live", "--window", window)
    assert found.exit_code == 2
    assert f"--window {window!r}: give a time as Prometheus writes it" in found.output


# Inputs that are wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "2:"),
        ("a: &a [*a]\n", ":1:"),
        ("- 1\n", ":1:1: the document is a list"),
        ("services: []\n", ":1:1: services: has 0 services"),
        ("services:\n- name: web\n  namespace: shop\n  selektor: {}\n", ":4:3: services[0].selektor: is none of"),
        ("services:\n- name: web\n  namespace: Shop\n", ":3:3: services[0].namespace: is missing, or no name"),
        ("services:\n- name: web\n  namespace: shop\n  selector: {a: 1}\n", ":4:3: services[0].selector: is no"),
        ("services:\n- {name: web, namespace: shop, selector: {}, ports: [70000]}\n", "70000 is no port"),
        ("services:\n- {name: web, namespace: shop, selector: {}, calls: [db]}\n", "there is no service 'db'"),
        ("services:\n- {name: web, namespace: shop, selector: {}, calls: [{external: x}]}\n", "no external 'x'"),
        ("services:\n- {name: web, namespace: shop, selector: {}, calls: 3}\n", "is no list"),
        ("externals:\n- {name: x, cidrs: [10.0.0.1/8]}\n", "externals[0].cidrs[0]: '10.0.0.1/8' is no range"),
        ("externals:\n- {name: x}\n", "x has no cidrs"),
        ("dns: 3\nservices:\n- {name: web, namespace: shop, selector: {}}\n", ":1:1: dns: is no mapping"),
        ("a: 1\n---\na: 2\n", "holds 2 documents"),
        ("", "holds 0 documents"),
    ],
)  # fmt: skip
def test_a_graph_that_is_wrong_is_refused_with_its_line(text: str, said: str) -> None:
    result = run("network-policies", "-", text=text)
    assert result.exit_code == 2
    assert "<stdin>:" in result.output
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "the line is no JSON"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "the line is no JSON"),
        (b"{}", "port is None"),
        (b'{"port": true}', "port is True"),
        (b'{"port": 80, "protocol": "ICMP"}', "protocol is 'ICMP'"),
        (b'{"port": 80}', "source is missing"),
        (b'{"port": 80, "source": {"namespace": "a"}}', "source has no labels"),
        (b'{"port": 80, "source": {"namespace": "a", "labels": {"a": 1}}}', "values that are no text"),
        (b'{"port": 80, "source": {"ip": "here"}}', "neither a namespace with labels nor an ip"),
        (b'{"flow": {"l4": {"TCP": {}}}}', "port is None"),
        (b'{"flow": {"l4": {"TCP": {"destination_port": 1}}}}', "flow.source is missing"),
        (b'"' + b"x" * 5_000_000 + b'"', "longer than"),
    ],
)
def test_a_flow_log_that_is_wrong_is_refused_with_its_line(line: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "flows.jsonl"
    path.write_bytes(b"\n".join([*lines(SHOP[0]), b"", line]))
    result = run("network-policies", "--flow-log", str(path))
    assert result.exit_code == 2
    assert f"{path}:3:1: " in result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_services_that_contradict_each_other_are_told() -> None:
    graph = service_graph.read(
        "g",
        b"services:\n- {name: web, namespace: shop, selector: {app: web}, ports: [80], calledBy: [{namespace: ops}]}\n",
    )
    pieces = isolation.plan(graph)
    assert not list(proof.blocked(graph, (piece.object for piece in pieces)))
    without = [piece.object for piece in pieces if piece.object["metadata"]["name"] != "web"]
    assert list(proof.blocked(graph, without)) == [
        Flow(Pods("ops"), Pods("shop", (("app", "web"),)), Port("TCP", 80))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [(), ("graph.yaml", "--flow-log", "x"), ("--prometheus", "http://p"), ("--flow-log", "x", "--diff"), ("/gone",)],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...]) -> None:
    result = run("network-policies", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_log_of_nothing_gives_nothing_and_says_so(tmp_path: Path) -> None:
    result = run("network-policies", "--flow-log", log_of(tmp_path))
    assert result.exit_code == 1
    assert "no traffic was seen" in result.output
