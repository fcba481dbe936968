"""Validation of containers: images, ports, environment, mounts, probes, hooks and resources.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import names
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.meta import Object

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
KEYED_FIELDS = ("metadata.annotations['", "metadata.labels['")
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def containers(spec: Object, path: str) -> Errors:
    """All containers of a pod spec, and what must hold between them."""
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    if not spec.get("containers"):
        yield status.required(f"{path}.containers")
    listed = [
        (container, f"{path}.{field}[{index}]", field)
        for field in ("containers", "initContainers")
        for index, container in enumerate(spec.get(field) or ())
    ]
    yield from check.unique((f"{where}.name", item.get("name")) for item, where, _ in listed)
    for container, where, field in listed:
        yield from _container(container, where, volumes)
        sidecar = field == "containers" or container.get("restartPolicy") == "Always"
        yield from _lifecycle_allowed(container, where, sidecar)


def _container(container: Object, path: str, volumes: set[Any]) -> Errors:
    yield from check.named(container.get("name"), names.dns_label, f"{path}.name")
    image = container.get("image") or ""
    if not image:
        yield status.required(f"{path}.image")
    elif image != image.strip():
        yield status.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from check.one_of(container.get("imagePullPolicy"), _PULL_POLICIES, f"{path}.imagePullPolicy")
    yield from _ports(container.get("ports") or (), f"{path}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _env(variable, f"{path}.env[{index}]")
    for index, source in enumerate(container.get("envFrom") or ()):
        yield from _env_from(source, f"{path}.envFrom[{index}]")
    yield from _mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    yield from _probes(container, path)
    yield from resources(container.get("resources") or {}, f"{path}.resources")
    yield from _security(container.get("securityContext") or {}, f"{path}.securityContext")


def _ports(ports: Iterable[Object], path: str) -> Errors:
    listed = [(f"{path}[{index}]", port) for index, port in enumerate(ports)]
    yield from check.unique((f"{where}.name", port["name"]) for where, port in listed if port.get("name"))
    for where, port in listed:
        yield from check.optionally_named(port.get("name"), names.port_name, f"{where}.name")
        if not port.get("containerPort"):
            yield status.required(f"{where}.containerPort")
        else:
            yield from check.port(port["containerPort"], f"{where}.containerPort")
        if port.get("hostPort"):
            yield from check.port(port["hostPort"], f"{where}.hostPort")
        yield from check.one_of(port.get("protocol"), _PROTOCOLS, f"{where}.protocol")


def _env(variable: Object, path: str) -> Errors:
    yield from check.named(variable.get("name"), names.env_var_name, f"{path}.name")
    source = variable.get("valueFrom")
    if source is None:
        return
    where = f"{path}.valueFrom"
    chosen = [field for field in _ENV_SOURCES if source.get(field) is not None]
    if variable.get("value"):
        yield status.invalid(where, "", "may not be specified when `value` is not empty")
    if not chosen:
        listed = ", ".join(f"`{field}`" for field in _ENV_SOURCES[:-1])
        yield status.invalid(where, "", f"must specify one of: {listed} or `{_ENV_SOURCES[-1]}`")
    if len(chosen) > 1:
        yield status.invalid(where, "", "may not have more than one field specified at a time")
    for field in chosen:
        yield from _ENV_SOURCE_CHECKS[field](source[field], f"{where}.{field}")


def _env_field(ref: Object, path: str) -> Errors:
    field = ref.get("fieldPath") or ""
    if not field:
        yield status.required(f"{path}.fieldPath")
    elif not field.startswith(KEYED_FIELDS) and field not in _ENV_FIELDS:
        yield status.not_supported(f"{path}.fieldPath", field, _ENV_FIELDS)


def _env_resource(ref: Object, path: str) -> Errors:
    if not ref.get("resource"):
        yield status.required(f"{path}.resource")


def _env_key(ref: Object, path: str) -> Errors:
    if not ref.get("name"):
        yield status.required(f"{path}.name")
    yield from check.named(ref.get("key"), names.config_key, f"{path}.key")


def _env_file(ref: Object, path: str) -> Errors:
    for field in ("volumeName", "path", "key"):
        if not ref.get(field):
            yield status.required(f"{path}.{field}")


_ENV_SOURCE_CHECKS: Mapping[str, Callable[[Object, str], Errors]] = {
    "fieldRef": _env_field,
    "resourceFieldRef": _env_resource,
    "configMapKeyRef": _env_key,
    "secretKeyRef": _env_key,
    "fileKeyRef": _env_file,
}


def _env_from(source: Object, path: str) -> Errors:
    chosen = [field for field in ("configMapRef", "secretRef") if source.get(field) is not None]
    if not chosen:
        yield status.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
    if len(chosen) > 1:
        yield status.invalid(path, "", "may not have more than one field specified at a time")
    for field in chosen:
        if not source[field].get("name"):
            yield status.required(f"{path}.{field}.name")


def _mounts(mounts: Iterable[Object], path: str, volumes: set[Any]) -> Errors:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        if not mount.get("name"):
            yield status.required(f"{where}.name")
        elif mount["name"] not in volumes:
            yield check.not_found(f"{where}.name", mount["name"])
        target = mount.get("mountPath") or ""
        if not target:
            yield status.required(f"{where}.mountPath")
        elif target in seen:
            yield status.invalid(f"{where}.mountPath", target, "must be unique")
        seen.add(target)
        yield from relative_path(mount.get("subPath"), f"{where}.subPath")


def relative_path(value: str | None, path: str) -> Errors:
    """A path that stays inside: no leading slash, no `..`."""
    if not value:
        return
    if value.startswith("/"):
        yield status.invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        yield status.invalid(path, value, "must not contain '..'")


def _probes(container: Object, path: str) -> Errors:
    for field in _PROBES:
        if container.get(field) is not None:
            yield from probe(container[field], f"{path}.{field}", readiness=field == "readinessProbe")
    for hook, action in (container.get("lifecycle") or {}).items():
        if isinstance(action, dict):
            yield from _one_handler(action, _HOOK_HANDLERS, f"{path}.lifecycle.{hook}")


def probe(given: Object, path: str, *, readiness: bool) -> Errors:
    yield from _one_handler(given, _HANDLERS, path)
    fields = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    for field in fields:
        yield from check.at_least(given.get(field), 0, f"{path}.{field}")
    grace = given.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield status.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if readiness and grace is not None:
        message = "must not be set for readinessProbes"
        yield status.invalid(f"{path}.terminationGracePeriodSeconds", grace, message)
    if not readiness and given.get("successThreshold") != 1:
        yield status.invalid(f"{path}.successThreshold", given.get("successThreshold"), "must be 1")


def _one_handler(action: Object, handlers: tuple[str, ...], path: str) -> Errors:
    none, many = "must specify a handler type", "may not specify more than 1 handler type"
    yield from check.exactly_one(action, handlers, path, none=none, many=many)
    if action.get("exec") is not None and not action["exec"].get("command"):
        yield status.required(f"{path}.exec.command")
    for field in ("httpGet", "tcpSocket", "grpc"):
        if action.get(field) is not None:
            yield from check.port(action[field].get("port", 0), f"{path}.{field}.port")
    if action.get("httpGet") is not None:
        yield from check.one_of(action["httpGet"].get("scheme"), ("HTTP", "HTTPS"), f"{path}.httpGet.scheme")


def _lifecycle_allowed(container: Object, path: str, allowed: bool) -> Errors:
    if allowed:
        return
    for field in ("lifecycle", *_PROBES):
        if container.get(field) is not None:
            yield status.forbidden(f"{path}.{field}", "may not be set for init containers without restartPolicy=Always")


def resources(given: Object, path: str) -> Errors:
    """Requests and limits are quantities of known resources, and no request exceeds its limit."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    wrong = False
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            for error in (*resource_name(name, f"{path}.{field}"), *check.amount(value, f"{path}.{field}[{name}]")):
                wrong = True
                yield error
    if wrong:
        return
    for name in requests.keys() & limits.keys():
        overcommits = name in _STANDARD_RESOURCES
        order = quantity.compare(requests[name], limits[name])
        if order > 0 or (order and not overcommits):
            relation = "less than or equal to" if overcommits else "equal to"
            message = f"must be {relation} {name} limit of {limits[name]}"
            yield status.invalid(f"{path}.requests", str(requests[name]), message)


def resource_name(name: str, path: str) -> Errors:
    for message in names.qualified_name(name):
        yield status.invalid(path, name, message)
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        yield status.invalid(path, name, "must be a standard resource type or fully qualified")
        yield status.invalid(path, name, "must be a standard resource for containers")


def _security(context: Object, path: str) -> Errors:
    for field in ("runAsUser", "runAsGroup"):
        value = context.get(field)
        if value is not None and not 0 <= value < 2**31:
            yield status.invalid(f"{path}.{field}", value, "must be between 0 and 2147483647, inclusive")
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield check.invalid_json(path, context, message)
