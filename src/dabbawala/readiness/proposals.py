"""Objects that would put an item right, made from what the service is. Pure; to be read before they are applied.

They are applied server-side, so that a change of an object that is there names only the fields that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import exposure, measuring
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import DASHBOARD_LABEL

CPU_PERCENT = 70
PEAK_FACTOR = 3
"""How many times its present size an autoscaler may make the service."""

EVERYWHERE = "0.0.0.0/0"


class NothingToPropose(Exception):
    """No object puts this item right; the message says what does."""


def propose(observed: Observed, item: str) -> list[Object]:
    """Raises NothingToPropose."""
    make = _MADE.get(item)
    if make is None:
        raise NothingToPropose(f"no object puts {item} right; it is one of {', '.join(sorted(_MADE))} that one does")
    return make(observed)


def autoscaler(observed: Observed) -> list[Object]:
    workload = observed.workload
    assert workload is not None, "whoever looks has found one"
    now = max(2, int((workload.get("spec") or {}).get("replicas") or 1))
    return [{
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _named(observed, meta.name(workload)),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": workload.get("apiVersion"),
                "kind": workload.get("kind"),
                "name": meta.name(workload),
            },
            "minReplicas": now,
            "maxReplicas": now * PEAK_FACTOR,
            "metrics": [{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}},
            }],
        },
    }]  # fmt: skip


def network_policy(observed: Observed) -> list[Object]:
    """In: its own namespace, Prometheus, and from outside the cluster where a Service is open. Out: DNS and its own
    namespace. What else it needs must be added by whoever knows."""
    ports = [
        {"port": port["containerPort"], "protocol": port.get("protocol", "TCP")}
        for container in observed.containers
        for port in container.get("ports") or ()
    ]
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    sources: list[Object] = [{"podSelector": {}}, monitoring]
    if exposure.bare_services(observed):
        sources.append({"ipBlock": {"cidr": EVERYWHERE, "except": exposure.pod_ranges(observed)}})
    ingress: Object = {"from": sources} | ({"ports": ports} if ports else {})
    dns = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [{
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _named(observed, f"{observed.service}-only-what-it-needs"),
        "spec": {
            "podSelector": {"matchLabels": _stable_labels(observed)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [ingress],
            "egress": [{"ports": dns}, {"to": [{"podSelector": {}}]}],
        },
    }]  # fmt: skip


def _stable_labels(observed: Observed) -> Object:
    selector = ((observed.workload or {}).get("spec") or {}).get("selector") or {}
    return selector.get("matchLabels") or dict(meta.labels(observed.template))


def account(observed: Observed) -> list[Object]:
    """An account of its own without a token in its pods, and the workload told to use it."""
    workload = observed.workload
    assert workload is not None, "whoever looks has found one"
    name = observed.service
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _named(observed, name),
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": workload.get("apiVersion"),
            "kind": workload.get("kind"),
            "metadata": {"name": meta.name(workload), "namespace": observed.namespace},
            "spec": {"template": {"spec": {"serviceAccountName": name}}},
        },
    ]


def alerts(observed: Observed) -> list[Object]:
    own = measuring.pods_of(observed)
    mesh = f'destination_service_namespace="{observed.namespace}",destination_service_name=~"{_doors(observed)}"'
    ratio = (
        f'sum(rate(istio_requests_total{{{mesh},response_code=~"5.."}}[5m]))'
        f" / sum(rate(istio_requests_total{{{mesh}}}[5m]))"
    )
    rules = [
        _alert("PodsDown", f"min(up{{{own}}}) == 0", "5m", "critical", f"a pod of {observed.service} does not answer"),
        _alert("Failures", f"{ratio} > 0.001", "5m", "critical", f"{observed.service} fails 1 of 1,000 requests"),
    ]
    return [{
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _named(observed, observed.service),
        "spec": {"groups": [{"name": observed.service, "rules": rules}]},
    }]  # fmt: skip


def _alert(name: str, expression: str, wait: str, severity: str, summary: str) -> Object:
    return {
        "alert": name, "expr": expression, "for": wait, "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }  # fmt: skip


def dashboard(observed: Observed) -> list[Object]:
    mesh = f'destination_service_namespace="{observed.namespace}",destination_service_name=~"{_doors(observed)}"'
    rate = f"sum(rate(istio_requests_total{{{mesh}}}[5m]))"
    bad = f'sum(rate(istio_requests_total{{{mesh},response_code=~"5.."}}[5m])) / {rate}'
    buckets = f"sum(rate(istio_request_duration_milliseconds_bucket{{{mesh}}}[5m])) by (le)"
    panels = [("Requests a second", rate), ("Failures", bad), ("P95 ms", f"histogram_quantile(0.95, {buckets})")]
    board = {
        "title": observed.service,
        "uid": observed.service[:40],
        "schemaVersion": 39,
        "panels": list(_panels(panels)),
    }
    metadata = _named(observed, f"{observed.service}-dashboard") | {"labels": {DASHBOARD_LABEL: "1"}}
    text = orjson.dumps(board, option=orjson.OPT_INDENT_2).decode()
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {f"{observed.service}.json": text}}]


def _panels(said: list[tuple[str, str]]) -> Iterator[Object]:
    for index, (title, expression) in enumerate(said):
        yield {
            "id": index + 1, "title": title, "type": "timeseries",
            "gridPos": {"x": 8 * index, "y": 0, "w": 8, "h": 8}, "targets": [{"expr": expression, "refId": "A"}],
        }  # fmt: skip


def _doors(observed: Observed) -> str:
    return "|".join(sorted(meta.name(service) for service in observed.services)) or observed.service


def _named(observed: Observed, name: str) -> Object:
    return {"name": name, "namespace": observed.namespace}


_MADE: dict[str, Callable[[Observed], list[Object]]] = {
    "auto_scaling_configured": autoscaler,
    "network_policies_applied": network_policy,
    "network_segmentation": network_policy,
    "rbac_configured": account,
    "alerting_rules_defined": alerts,
    "grafana_dashboards_created": dashboard,
}
