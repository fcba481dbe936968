"""The mesh's metrics under the names that dashboards and analyses expect, read off an Envoy's own statistics. Pure.

Envoy counts by cluster; a cluster's name says which Service, port and subset it stands for. What Istio calls
`istio_requests_total` and `istio_request_duration_milliseconds` follows from that, with Istio's labels for the
destination. The source is not known here: an Envoy serves every pod of its node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dabbawala.cluster.dataplane import names
from dabbawala.timeseries import labels
from dabbawala.timeseries.exposition import Sample

CLUSTER = "envoy_cluster_name"
CODE = "envoy_response_code"
RENAMED = {
    "envoy_cluster_upstream_rq": "istio_requests_total",
    "envoy_cluster_upstream_rq_time_bucket": "istio_request_duration_milliseconds_bucket",
    "envoy_cluster_upstream_rq_time_sum": "istio_request_duration_milliseconds_sum",
    "envoy_cluster_upstream_rq_time_count": "istio_request_duration_milliseconds_count",
}


def derive(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Further samples for those that count requests to a Service."""
    for sample in samples:
        found = dict(sample.labels)
        name = RENAMED.get(found[labels.NAME])
        destination = names.parse(found.get(CLUSTER, "")) if name else None
        if name is None or destination is None:
            continue
        pairs = {
            labels.NAME: name,
            "reporter": "source",
            "destination_service_name": destination.service.name,
            "destination_service_namespace": destination.service.namespace,
            "destination_service": f"{destination.service.name}.{destination.service.namespace}.svc.cluster.local",
            "destination_version": destination.subset,
            "destination_port": str(destination.port),
            "response_code": found.get(CODE, ""),
            "le": found.get("le", ""),
        }
        yield Sample(labels.make(pairs), sample.value, sample.timestamp_ms)
