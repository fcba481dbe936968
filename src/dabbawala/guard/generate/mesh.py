"""Who asked whom, by the metrics of a mesh: `istio_requests_total` and `istio_tcp_connections_opened_total`.

The metrics name workloads and Services; their labels and ports stand in the objects, so that these are needed too. A
series without a caller, as a proxy that stands before the cluster reports it, says nothing that a policy could be made
of; nor does one whose Service is not there. Those are told and left out. Pure.
Source: Istio standard metrics, Prometheus HTTP API.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard.findings import Place
from dabbawala.guard.generate import traffic
from dabbawala.guard.generate.faults import BadInput
from dabbawala.guard.generate.observed import Sighting, Traffic
from dabbawala.guard.generate.traffic import Port, Workload
from dabbawala.policy.services import Backend, Backends

METRICS = ("istio_requests_total", "istio_tcp_connections_opened_total")
BY = (
    "source_workload", "source_workload_namespace", "destination_service_name", "destination_service_namespace",
    "destination_port",
)  # fmt: skip
"""Nothing else of a series matters here; `destination_port` only meshes that have it tell."""
SERIES_MAX = 200_000
_UNKNOWN = frozenset({"", "unknown"})


class Known(NamedTuple):
    """What the metrics' names mean: pods under the names of their workloads, and Services."""

    pods: tuple[Object, ...]
    services: tuple[Object, ...]


def question(metric: str, window: str) -> str:
    """PromQL for all that was counted in the window, such as `7d`."""
    return f"max by ({', '.join(BY)}) (max_over_time({metric}[{window}])) > 0"


def series(address: str, body: object) -> list[Mapping[str, str]]:
    """The labels of the series in Prometheus' answer. Raises BadInput."""
    place, remedy = Place(address), "Check that the address is that of a Prometheus server's API."
    if not isinstance(body, dict) or body.get("status") != "success":
        said = body.get("error") if isinstance(body, dict) else ""
        raise BadInput(place, f"Prometheus did not answer the query: {said or 'no success'}", remedy)
    data = body.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list) or not all(isinstance(each, dict) for each in result):
        raise BadInput(place, "the answer has no result", remedy)
    if len(result) > SERIES_MAX:
        raise BadInput(place, f"the answer has more than {SERIES_MAX:,} series", "Ask for a shorter window.")
    return [_texts(each.get("metric")) for each in result]


def _texts(metric: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in metric.items()} if isinstance(metric, dict) else {}


def read(found: Iterable[Mapping[str, str]], known: Known) -> Traffic:
    """The connections behind the series, and what could not be resolved."""
    workloads = {meta.key(pod): Workload(meta.namespace(pod), traffic.labelled(meta.labels(pod))) for pod in known.pods}
    backends = Backends(known.services, known.pods)
    made, lost = Traffic(), Counter[str]()
    for labels in found:
        source = workloads.get(ObjectKey(labels.get(BY[1], ""), labels.get(BY[0], "")))
        targets = {(workloads[each.pod], Port(each.protocol, each.port)) for each in _behind(labels, backends)}
        if source is None or not targets:
            lost[_reason(labels, source)] += 1
            continue
        made.sightings |= {Sighting(source, target, port) for target, port in targets}
    made.remarks += [f"{reason} ({count} series)" for reason, count in sorted(lost.items())]
    return made


def _behind(labels: Mapping[str, str], backends: Backends) -> list[Backend]:
    service, number = ObjectKey(labels.get(BY[3], ""), labels.get(BY[2], "")), labels.get(BY[4], "")
    return backends.of(service, int(number) if number.isdecimal() else None)


def _reason(labels: Mapping[str, str], source: Workload | None) -> str:
    if labels.get(BY[0], "") in _UNKNOWN:
        return "series do not say who asked: this mesh counts at the node; a flow log would tell"
    if source is None:
        return f"there is no workload {labels.get(BY[1])}/{labels.get(BY[0])} among the objects, though it asked"
    return (
        f"no pod of the objects stands behind the Service {labels.get(BY[3])}/{labels.get(BY[2])}, though it was asked"
    )
