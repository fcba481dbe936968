"""What is read and said without an Envoy: hosts, protocols, durations, names, statistics, metrics, conditions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import acceptance, durations, hosts, mesh, names, plan, views, worlds
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.names import Destination
from dabbawala.cluster.dataplane.protocols import Protocol, protocol
from dabbawala.cluster.dataplane.views import Port
from dabbawala.reconcile.plan import Patch, Record
from dabbawala.timeseries import exposition, labels

WEB = ObjectKey("shop", "web")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("web", WEB), ("web.shop", WEB), ("web.shop.svc", WEB), ("web.shop.svc.cluster.local", WEB),
        ("web.other", ObjectKey("other", "web")), ("example.com.au", None), ("*", None), ("*.shop", None), ("", None),
    ],
)  # fmt: skip
def test_a_host_leads_to_the_service_that_istio_means(host: str, service: ObjectKey | None) -> None:
    assert hosts.resolve(host, "shop") == service


@pytest.mark.parametrize(
    ("port", "routed", "spoken"),
    [
        (Port("http", 80), False, Protocol.HTTP1), (Port("http-api", 80), False, Protocol.HTTP1),
        (Port("grpc", 80), False, Protocol.HTTP2), (Port("http2-x", 80), False, Protocol.HTTP2),
        (Port("https", 443), True, Protocol.TCP), (Port("tcp-x", 80), True, Protocol.TCP),
        (Port("web", 80), False, Protocol.ASK), (Port("web", 80), True, Protocol.HTTP1),
        (Port("", 3306), False, Protocol.TCP), (Port("", 80), False, Protocol.ASK),
        (Port("http", 80, app_protocol="kubernetes.io/h2c"), False, Protocol.HTTP2),
        (Port("http", 80, app_protocol="example.com/own"), False, Protocol.TCP),
        (Port("dns", 53, "UDP"), False, Protocol.UDP), (Port("x", 1, "SCTP"), False, None),
    ],
)  # fmt: skip
def test_a_port_speaks_what_it_declares(port: Port, routed: bool, spoken: Protocol | None) -> None:
    assert protocol(port, routed=routed) is spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".5s", "0.5s"),
        ("1s", "1s"),
        ("1m30s", "90s"),
        ("250ms", "0.25s"),
        ("1h", "3600s"),
        ("1.5s", "1.5s"),
        ("soon", "7s"),
        ("", "7s"),
        pytest.param("1" * 200_000, "7s", id="long"),
    ],
)
def test_a_duration_is_given_as_protobuf_wants_it(text: str, expected: str) -> None:
    assert durations.protobuf(text, "7s") == expected


@pytest.mark.parametrize(
    "destination",
    [
        Destination(WEB, 80), Destination(WEB, 80, "stable"), Destination(WEB, 53, udp=True),
        Destination(WEB, 80, "v1.2/../_x%"), Destination(WEB, 80, "ünï"),
    ],
)  # fmt: skip
def test_a_name_can_be_taken_apart_and_is_safe_in_paths_and_statistics(destination: Destination) -> None:
    assert names.parse(destination.cluster) == destination
    assert "/" not in destination.cluster
    assert "." not in destination.cluster


def test_statistics_lead_to_the_files_they_are_about() -> None:
    text = (
        'cluster.shop_web_80.version_text: "e1"\ncluster_manager.cds.version_text: "c1"\n'
        'http.shop_web_80.rds.shop_web_80.version_text: "r1"\nlistener_manager.lds.version_text: "l1"\n'
        'other.version_text: "x"\n'
    )
    expected = {"eds/shop_web_80.json": "e1", "cds.json": "c1", "rds/shop_web_80.json": "r1", "lds.json": "l1"}
    assert acceptance.versions(text) == expected


def test_an_envoys_counts_become_the_meshs_metrics() -> None:
    page = """
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="shop_web_80_canary"} 12
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="shop_web_80",le="5"} 3
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="shop_web_80"} 4
envoy_tcp_downstream_cx_total{envoy_tcp_prefix="shop_db_5432"} 2
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="edge-30080"} 1
envoy_server_uptime{} 9
"""
    found = {
        (labels.get(each.labels, labels.NAME), labels.get(each.labels, "destination_version")): each
        for each in mesh.derive(exposition.parse(page))
    }
    requests = found["istio_requests_total", "canary"]
    assert requests.value == 12
    assert dict(requests.labels) == {
        "__name__": "istio_requests_total",
        "reporter": "source",
        "destination_service": "web.shop.svc.cluster.local",
        "destination_service_name": "web",
        "destination_service_namespace": "shop",
        "destination_port": "80",
        "destination_version": "canary",
        "response_code": "200",
    }
    assert labels.get(found["istio_request_duration_milliseconds_bucket", ""].labels, "le") == "5"
    assert found["istio_tcp_connections_opened_total", ""].value == 2
    assert len(found) == 4


def service(**spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "generation": 3, "resourceVersion": "7"},
        "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}], **spec},
    }


def said(obj: Object, *verdicts: Verdict, edge: dict[str, str] | None = None) -> tuple[Object, list[Record]]:
    world = worlds.assemble(views.services([obj], []), [], [])
    actions = plan.plan(plan.Observed(world, verdicts, edge or {}, "127.0.0.1"), [obj], NOW).actions
    patch = next(action for action in actions if isinstance(action, Patch))
    assert patch.resource_version == "7"
    return patch.body["status"]["conditions"], [action for action in actions if isinstance(action, Record)]


def test_a_condition_names_the_node_and_the_cause() -> None:
    late = Verdict("node-2", pending=frozenset({"eds/shop_web_80.json"}))
    (condition,), _ = said(service(), Verdict("node-1"), late)
    assert (condition["status"], condition["reason"]) == ("False", "NodesPending")
    assert condition["message"] == "node-2: its Envoy does not run eds/shop_web_80.json yet"
    assert condition["observedGeneration"] == 3


def test_what_another_object_waits_for_is_of_no_concern() -> None:
    late = Verdict("node-1", pending=frozenset({"eds/shop_other_80.json"}), listeners={"shop_other_80": "taken"})
    (condition,), _ = said(service(), late)
    assert (condition["status"], condition["message"]) == ("True", "the node's Envoy runs it")


def test_a_refusal_counts_more_than_a_delay() -> None:
    refused = Verdict("node-1", rejected={"rds/shop_web_80.json": "bad regex"})
    (condition,), _ = said(service(), Verdict("node-2", down="gone"), refused)
    assert (condition["reason"], condition["message"]) == (
        "Rejected",
        "node-1: Envoy refuses rds/shop_web_80.json: bad regex",
    )


def test_nothing_is_written_when_nothing_has_changed() -> None:
    obj = service()
    conditions, _ = said(obj, Verdict("node-1"))
    told = {**obj, "status": {"conditions": conditions}}
    world = worlds.assemble(views.services([told], []), [], [])
    assert plan.plan(plan.Observed(world, [Verdict("node-1")], {}, ""), [told], NOW).actions == ()


def test_a_service_that_changed_during_the_delivery_is_not_said_to_be_run() -> None:
    delivered = service()
    world = worlds.assemble(views.services([delivered], []), [], [])
    changed = {**delivered, "metadata": {**delivered["metadata"], "generation": 4, "resourceVersion": "8"}}
    assert plan.plan(plan.Observed(world, [Verdict("node-1")], {}, ""), [changed], NOW).actions == ()


def test_a_taken_port_is_recorded_once() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    obj = service(ports=ports, type="NodePort")
    taken = {"edge-30080": "cannot bind '127.0.0.1:30080': Address already in use"}
    conditions, events = said(obj, Verdict("node-1"), edge=taken)
    assert [(each["type"], each["status"]) for each in conditions] == [
        ("dabbawala.dev/Programmed", "True"),
        ("dabbawala.dev/Reachable", "False"),
    ]
    assert [event.reason for event in events] == ["NodePortTaken"]
    told = {**obj, "status": {"conditions": conditions}}
    world = worlds.assemble(views.services([told], []), [], [])
    assert plan.plan(plan.Observed(world, [Verdict("node-1")], taken, "127.0.0.1"), [told], NOW).actions == ()


def test_views_are_made_anew_only_for_what_has_changed() -> None:
    viewer, obj = views.Viewer(), service()
    other = {**service(), "metadata": {"name": "other", "namespace": "shop"}}
    before = viewer.services([obj, other], [], views.no_labels)
    changed = service(ports=[{"port": 81}])
    after = viewer.services([changed, other], [], views.no_labels)
    assert after[ObjectKey("shop", "other")] is before[ObjectKey("shop", "other")]
    assert after[WEB].ports[0].number == 81


def test_only_a_node_with_an_agent_has_a_data_plane() -> None:
    """A thousand simulated nodes need no thousand Envoys."""
    status = {"addresses": [{"type": "InternalIP", "address": "10.42.1.1"}]}
    socket = {"dabbawala.dev/kubelet-socket": "/run/kubelet.sock"}
    real: Object = {"metadata": {"name": "node-1", "annotations": socket}, "status": status}
    simulated: Object = {"metadata": {"name": "sim-1"}, "status": status}
    nowhere: Object = {"metadata": {"name": "node-2", "annotations": socket}}
    found = views.nodes([simulated, nowhere, real], lambda name: f"/run/{name}")
    assert found == (views.Node("node-1", "10.42.1.1", "/run/node-1"),)
