"""The questions to Prometheus: what they are called, and how they are asked about one service. Pure.

Requests are counted where they arrive, by the mesh's metrics, and otherwise by the program's own.
"""

from __future__ import annotations

from dabbawala.apimachinery import meta
from dabbawala.readiness.observed import Measurement, Observed
from dabbawala.reconcile.templates import ALPHABET

ADDRESS = "http://prometheus.monitoring.svc.cluster.local:9090"
WINDOW = "10m"

NOT_USERS = ",".join(f'{name}!~"(?i).*(health|ready|live|metrics|ping).*"' for name in ("path", "handler", "uri"))
"""What probes and scrapers ask of a program, which its own counts have too."""

SCRAPED, TRACES = "scraped", "traces"
REQUESTS, FAILED, P95 = "requests_per_second", "failed_ratio", "p95_milliseconds"


def questions(observed: Observed) -> dict[str, str]:
    """Name -> PromQL."""
    namespace = observed.namespace
    own = meta.name(observed.workload or {}) or observed.service
    pods = pods_of(observed)
    doors = "|".join(sorted(meta.name(item) for item in observed.services)) or own
    mesh = f'destination_service_namespace="{namespace}",destination_service_name=~"{doors}"'
    users = f"{pods},{NOT_USERS}"
    total = _either(f"istio_requests_total{{{mesh}}}", f"http_requests_total{{{users}}}")
    bad = _either(
        f'istio_requests_total{{{mesh},response_code=~"5..|0"}}', f'http_requests_total{{{users},status=~"5.."}}'
    )
    slow = f"sum(rate(istio_request_duration_milliseconds_bucket{{{mesh}}}[{WINDOW}])) by (le)"
    slow_own = f"sum(rate(http_request_duration_seconds_bucket{{{users}}}[{WINDOW}])) by (le)"
    return {
        SCRAPED: f"count(up{{{pods}}} == 1)",
        TRACES: f'count(traces_spanmetrics_calls_total{{service_name="{observed.service}"}})',
        REQUESTS: total,
        FAILED: f"(({bad}) or vector(0)) / ({total})",
        P95: f"histogram_quantile(0.95, {slow}) or 1000 * histogram_quantile(0.95, {slow_own})",
    }


def pods_of(observed: Observed) -> str:
    """Matchers of the pods of a service's workload, and not of one whose name only begins like its own."""
    workload = observed.workload or {}
    letters = f"[{ALPHABET}]"
    made = {"StatefulSet": "[0-9]+", "DaemonSet": letters + "{5}"}.get(
        workload.get("kind", ""), f"{letters}+-{letters}{{5}}"
    )
    return f'namespace="{observed.namespace}",pod=~"{meta.name(workload) or observed.service}-{made}"'


def _either(mesh: str, own: str) -> str:
    return f"sum(rate({mesh}[{WINDOW}])) or sum(rate({own}[{WINDOW}]))"


def of_answer(query: str, body: object) -> Measurement:
    """The one number of Prometheus' answer to a query; no number when it has no sample."""
    if not isinstance(body, dict) or body.get("status") != "success":
        said = body.get("error") if isinstance(body, dict) else ""
        return Measurement(query, problem=str(said or "Prometheus did not answer the query"))
    result = (body.get("data") or {}).get("result") or []
    try:
        value = float(result[0]["value"][1])
    except (IndexError, KeyError, TypeError, ValueError):
        return Measurement(query)
    return Measurement(query, value if value == value and abs(value) != float("inf") else None)
