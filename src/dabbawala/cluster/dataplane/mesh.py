"""The mesh's metrics under the names that dashboards and analyses know, derived from an Envoy's own. Pure.

`istio_requests_total` and `istio_request_duration_milliseconds` by destination, as the calling side reports them
(`reporter="source"`): the node's Envoy stands on that side. `destination_version` is the subset that the request was
routed to, empty when it went to the whole Service. Source: Istio standard metrics, Envoy cluster statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dabbawala.cluster.dataplane import names
from dabbawala.cluster.dataplane.views import DOMAIN
from dabbawala.timeseries import labels
from dabbawala.timeseries.exposition import Sample

CLUSTER, CODE, TCP = "envoy_cluster_name", "envoy_response_code", "envoy_tcp_prefix"
REQUESTS = "envoy_cluster_upstream_rq"
DURATIONS = "envoy_cluster_upstream_rq_time"
RENAMED = {
    REQUESTS: "istio_requests_total",
    **{f"{DURATIONS}_{part}": f"istio_request_duration_milliseconds_{part}" for part in ("bucket", "sum", "count")},
}
RENAMED_TCP = {
    "envoy_tcp_downstream_cx_total": "istio_tcp_connections_opened_total",
    "envoy_tcp_downstream_cx_rx_bytes_total": "istio_tcp_received_bytes_total",
    "envoy_tcp_downstream_cx_tx_bytes_total": "istio_tcp_sent_bytes_total",
}


def derive(samples: Iterable[Sample]) -> list[Sample]:
    """The mesh's samples of one Envoy's page."""
    found = []
    for sample in samples:
        pairs = dict(sample.labels)
        metric = pairs.pop(labels.NAME)
        renamed = RENAMED.get(metric) or RENAMED_TCP.get(metric)
        if renamed is None:
            continue
        destination = names.parse(pairs.get(CLUSTER) or pairs.get(TCP) or "")
        if destination is not None and (metric != REQUESTS or CODE in pairs):
            said = {labels.NAME: renamed, **_labels(destination), **_kept(pairs)}
            found.append(Sample(labels.make(said), sample.value, sample.timestamp_ms))
    return found


def _labels(destination: names.Destination) -> Mapping[str, str]:
    service = destination.service
    return {
        "reporter": "source",
        "destination_service": f"{service.name}.{service.namespace}.{DOMAIN}",
        "destination_service_name": service.name,
        "destination_service_namespace": service.namespace,
        "destination_port": str(destination.port),
        "destination_version": destination.subset,
    }


def _kept(pairs: Mapping[str, str]) -> Mapping[str, str]:
    kept = {"le": pairs["le"]} if "le" in pairs else {}
    return {**kept, "response_code": pairs[CODE]} if CODE in pairs else kept
