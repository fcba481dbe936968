"""Defaults and validation of Ingresses and of the classes that say who serves them.

Source: pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation.
"""

from __future__ import annotations

import re

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_A_PATH = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_ITS_END = ("/..", "/.")
_SCOPES = ("Cluster", "Namespace")
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_MAX_CONTROLLER = 250


def ingress(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        yield check.invalid_json("spec", None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        yield from _rule(rule or {}, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        for at, host in enumerate((tls or {}).get("hosts") or ()):
            yield from _host(host, f"spec.tls[{index}].hosts[{at}]")
        secret = (tls or {}).get("secretName")
        yield from check.optionally_named(secret, names.dns_subdomain, f"spec.tls[{index}].secretName")
    name = spec.get("ingressClassName")
    if name is not None:
        for message in names.dns_subdomain(name):
            yield status.invalid("spec.ingressClassName", name, message)
    noted = meta.annotations(new).get(CLASS_ANNOTATION)
    if old is None and None not in (noted, name) and noted != name:
        message = "must match `ingressClassName` when both are specified"
        yield status.invalid(f"annotations.{CLASS_ANNOTATION}", noted, message)


def _rule(rule: Object, path: str) -> Errors:
    if rule.get("host"):
        if not names.ip_address(rule["host"]):
            yield status.invalid(f"{path}.host", rule["host"], "must be a DNS name, not an IP address")
        yield from _host(rule["host"], f"{path}.host")
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        yield status.required(f"{path}.http.paths")
    for index, route in enumerate(http.get("paths") or ()):
        yield from _route(route, f"{path}.http.paths[{index}]")


def _host(host: str, path: str) -> Errors:
    for message in names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host):
        yield status.invalid(path, host, message)


def _route(route: Object, path: str) -> Errors:
    kind, text = route.get("pathType"), route.get("path") or ""
    if kind is None:
        yield status.required(f"{path}.pathType", "pathType must be specified")
        return
    if kind not in _PATH_TYPES:
        yield status.not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield status.invalid(f"{path}.path", text, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        for mark in _NOT_IN_A_PATH:
            if mark in text:
                yield status.invalid(f"{path}.path", text, f"must not contain '{mark}'")
        for mark in _NOT_AT_ITS_END:
            if text.endswith(mark):
                yield status.invalid(f"{path}.path", text, f"cannot end with '{mark}'")
    yield from _backend(route.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> Errors:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield status.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from _reference(resource, f"{path}.resource")
    elif service is not None:
        yield from check.named(service.get("name"), names.dns_1035_label, f"{path}.service.name")
        yield from _service_port(service.get("port") or {}, path)
    else:
        yield status.invalid(path, "", "resource or service backend is required")


def _service_port(port: Object, path: str) -> Errors:
    name, number = port.get("name"), port.get("number")
    if name and number:
        yield status.invalid(path, "", "cannot set both port name & port number")
    elif name:
        yield from check.port(name, f"{path}.service.port.name")
    elif number:
        yield from check.port(number, f"{path}.service.port.number")
    else:
        yield status.required(path, "port name or number is required")


def _reference(ref: Object, path: str) -> Errors:
    yield from check.optionally_named(ref.get("apiGroup"), names.dns_subdomain, f"{path}.apiGroup")
    for field in ("kind", "name"):
        yield from check.named(ref.get(field), names.path_segment, f"{path}.{field}")


def default_class(obj: Object) -> None:
    """The parameters of a class are looked for in the whole cluster, unless they say otherwise."""
    parameters = obj.setdefault("spec", {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def ingress_class(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from _controller(spec.get("controller") or "", "spec.controller")
    if spec.get("parameters") is not None:
        yield from _parameters(spec["parameters"], "spec.parameters")
    if old is not None:
        before = (old.get("spec") or {}).get("controller")
        yield from object_meta.immutable(spec.get("controller"), before, "spec.controller")


def _controller(value: str, path: str) -> Errors:
    if not value:
        yield status.required(path)
        return
    if len(value.encode()) > _MAX_CONTROLLER:
        message = f"Too long: may not be more than {_MAX_CONTROLLER} bytes"
        yield status.FieldError(path, "FieldValueTooLong", message)
    host, _, rest = value.partition("/")
    if not host or not rest:
        yield status.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for message in names.dns_subdomain(host):
        yield status.invalid(path, host, message)
    if not re.fullmatch(_HTTP_PATH, rest):
        message = f"must be a valid HTTP Path (regex used for validation is '{_HTTP_PATH}')"
        yield status.invalid(path, rest, message)


def _parameters(given: Object, path: str) -> Errors:
    yield from _reference(given, path)
    scope, namespace = given.get("scope"), given.get("namespace")
    yield from check.one_of(scope, _SCOPES, f"{path}.scope")
    if scope == "Namespace":
        if namespace is None:
            yield status.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from check.named(namespace, names.dns_label, f"{path}.namespace")
    elif scope == "Cluster" and namespace is not None:
        yield status.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
