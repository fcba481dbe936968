from __future__ import annotations

from dabbawala.cluster.dataplane import mesh
from dabbawala.timeseries import exposition

PAGE = """\
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="shop_web_80_v2"} 7
envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="shop_web_80"} 1
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="shop_web_80",le="5"} 4
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="admin"} 9
envoy_cluster_upstream_cx_total{envoy_cluster_name="shop_web_80"} 3
"""


def test_requests_by_cluster_become_requests_by_destination() -> None:
    first, second, third = (dict(sample.labels) for sample in mesh.derive(exposition.parse(PAGE)))
    assert first["__name__"] == "istio_requests_total"
    assert first["destination_service"] == "web.shop.svc.cluster.local"
    assert (first["destination_version"], first["response_code"]) == ("v2", "200")
    assert (second.get("destination_version"), second["response_code"]) == (None, "503")
    assert (third["__name__"], third["le"]) == ("istio_request_duration_milliseconds_bucket", "5")


def test_the_values_are_those_of_envoy() -> None:
    assert [sample.value for sample in mesh.derive(exposition.parse(PAGE))] == [7.0, 1.0, 4.0]
