"""Defaults of pods and of the pod templates inside workloads.

All functions fill their argument in place; it is a private copy of what the client sent. Some defaults are decided
elsewhere because they need other objects: the service account, priorities and tolerations (admission).
Source: pkg/apis/core/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.meta import Object

_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600
_PROBE_DEFAULTS = (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3))


def pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in all_containers(spec):
        _requests_from_limits(container["resources"])


def template(holder: Object) -> None:
    """Defaults of `holder["template"]`, a PodTemplateSpec."""
    wanted = holder.setdefault("template", {})
    wanted.setdefault("metadata", {})
    pod_spec(wanted.setdefault("spec", {}))


def all_containers(spec: Object) -> Iterator[Object]:
    """Init, ordinary and ephemeral containers of a pod spec."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def pod_spec(spec: Object) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in all_containers(spec):
        _container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                port["hostPort"] = port.get("hostPort") or port.get("containerPort", 0)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image") or "")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.get("resources") or {}
    container["resources"] = resources
    for field in ("requests", "limits"):
        canonical_quantities(resources.get(field))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        _field_ref((variable.get("valueFrom") or {}).get("fieldRef"))
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field) is not None:
            _probe(container[field])
    for hook in (container.get("lifecycle") or {}).values():
        _http_get((hook or {}).get("httpGet"))


def _pull_policy(image: str) -> str:
    """`Always` for the tag latest or none, unless a digest pins the image."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def canonical_quantities(amounts: Object | None) -> None:
    """Write every quantity the way Kubernetes writes it; what cannot be read is left for validation to name."""
    for name, amount in (amounts or {}).items():
        try:
            assert amounts is not None
            amounts[name] = quantity.canonical(amount)
        except ValueError:
            continue


def _requests_from_limits(resources: Object) -> None:
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}


def _probe(probe: Object) -> None:
    for field, value in _PROBE_DEFAULTS:
        if not probe.get(field):
            probe[field] = value
    _http_get(probe.get("httpGet"))
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _http_get(action: Object | None) -> None:
    if action is not None:
        if not action.get("path"):
            action["path"] = "/"
        if not action.get("scheme"):
            action["scheme"] = "HTTP"


def _field_ref(ref: Object | None) -> None:
    if ref is not None:
        ref.setdefault("apiVersion", "v1")


def _volume(volume: Object) -> None:
    if not volume.keys() - {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(source) is not None:
            volume[source].setdefault("defaultMode", _FILE_MODE)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _field_ref(item.get("fieldRef"))
    for projection in (volume.get("projected") or {}).get("sources") or ():
        for item in (projection.get("downwardAPI") or {}).get("items") or ():
            _field_ref(item.get("fieldRef"))
        if projection.get("serviceAccountToken") is not None:
            projection["serviceAccountToken"].setdefault("expirationSeconds", _TOKEN_SECONDS)
