"""The HTTP routes of a Service's port: those of its VirtualService, or the one that leads to its endpoints.

Nothing is ever sent twice: a retry happens only where a VirtualService asks for it. There is no timeout unless one is
asked for. A request that no route of a VirtualService matches is answered 404, as in Istio.
Source: Istio HTTPRoute, Envoy RouteConfiguration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.dataplane import durations, matches, virtual_services
from dabbawala.cluster.dataplane.names import Destination
from dabbawala.cluster.dataplane.resources import ROUTES, Resource, typed
from dabbawala.cluster.dataplane.views import Port, Service
from dabbawala.cluster.dataplane.virtual_services import Weighted
from dabbawala.cluster.dataplane.worlds import World

FAULT_FILTER = "envoy.filters.http.fault"
FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
NO_TIMEOUT = "0s"
PER_MILLION = 10_000


def configuration(
    service: Service, port: Port, world: World, *, owner: Object | None, hashed: list[Resource]
) -> Resource:
    """The RouteConfiguration that all HTTP listeners of this port share, whatever address they listen on."""
    name = Destination(service.key, port.number).cluster
    if virtual_services.http_routes(owner) and owner is not None:
        routes = list(_of_virtual_service(owner, port, world, hashed))
    else:
        routes = [{"match": matches.EVERYTHING, "route": _forward({"cluster": name}, hashed)}]
    host = {"name": name, "domains": ["*"], "routes": routes}
    return typed(ROUTES, name=name, virtual_hosts=[host], validate_clusters=False)


def _forward(target: Resource, hashed: list[Resource]) -> Resource:
    return {**target, "timeout": NO_TIMEOUT, **({"hash_policy": hashed} if hashed else {})}


def _of_virtual_service(owner: Object, port: Port, world: World, hashed: list[Resource]) -> Iterable[Resource]:
    namespace = meta.namespace(owner)
    for entry in virtual_services.http_routes(owner):
        action = _action(entry, namespace, port, world, hashed)
        for match, condition in matches.http(entry, port):
            yield {"match": match, **_finished(action, entry, condition), **_headers(entry.get("headers") or {})}


def _action(entry: Mapping[str, Any], namespace: str, port: Port, world: World, hashed: list[Resource]) -> Resource:
    """What to do with a request, before what depends on the match."""
    if entry.get("redirect"):
        return {"redirect": _redirect(entry["redirect"])}
    if entry.get("directResponse"):
        return {"direct_response": _direct(entry["directResponse"])}
    targets = virtual_services.weighted(entry, namespace, port, world)
    if not targets:
        return {"direct_response": {"status": 503, "body": {"inline_string": "no destination has a weight\n"}}}
    forward = _forward(_targets(targets), hashed)
    forward["timeout"] = durations.protobuf(entry.get("timeout"), NO_TIMEOUT)
    forward.update(_retries(entry.get("retries") or {}))
    forward.update(_mirrors(entry, namespace, port, world))
    return {"route": forward, **_fault(entry.get("fault") or {})}


def _finished(action: Resource, entry: Mapping[str, Any], condition: Mapping[str, Any]) -> Resource:
    """The action with its rewrite, which depends on what part of the path was matched."""
    rewrite = entry.get("rewrite") or {}
    if not rewrite or "route" not in action:
        return action
    forward = dict(action["route"])
    if rewrite.get("authority"):
        forward["host_rewrite_literal"] = rewrite["authority"]
    if rewrite.get("uriRegexRewrite"):
        wanted = rewrite["uriRegexRewrite"]
        forward["regex_rewrite"] = {"pattern": {"regex": wanted["match"]}, "substitution": wanted["rewrite"]}
    elif rewrite.get("uri") and (condition.get("uri") or {}).get("regex"):
        forward["regex_rewrite"] = {"pattern": {"regex": condition["uri"]["regex"]}, "substitution": rewrite["uri"]}
    elif rewrite.get("uri"):
        forward["prefix_rewrite"] = rewrite["uri"]
    return {**action, "route": forward}


def _targets(targets: list[Weighted]) -> Resource:
    if len(targets) == 1 and not targets[0].entry.get("headers"):
        return {"cluster": targets[0].cluster}
    shares = [
        {"name": each.cluster, "weight": each.weight, **_headers(each.entry.get("headers") or {})} for each in targets
    ]
    return {"weighted_clusters": {"clusters": shares}}


def _retries(wanted: Mapping[str, Any]) -> Resource:
    attempts = int(wanted.get("attempts") or 0)
    if attempts <= 0:
        return {}
    policy: Resource = {"retry_on": wanted.get("retryOn") or RETRY_ON, "num_retries": attempts}
    if wanted.get("perTryTimeout"):
        policy["per_try_timeout"] = durations.protobuf(wanted["perTryTimeout"], NO_TIMEOUT)
    return {"retry_policy": policy}


def _mirrors(entry: Mapping[str, Any], namespace: str, port: Port, world: World) -> Resource:
    wanted = list(entry.get("mirrors") or ())
    if entry.get("mirror"):
        share = entry.get("mirrorPercentage") or {"value": entry.get("mirrorPercent", entry.get("mirror_percent", 100))}
        wanted.append({"destination": entry["mirror"], "percentage": share})
    policies = [
        {
            "cluster": virtual_services.cluster_of(each.get("destination") or {}, namespace, port, world),
            "runtime_fraction": {"default_value": _share(each.get("percentage"))},
        }
        for each in wanted
    ]
    return {"request_mirror_policies": policies} if policies else {}


def _share(percentage: Mapping[str, Any] | None) -> Resource:
    percent = 100.0 if percentage is None else float(percentage.get("value") or 0)
    return {"numerator": round(percent * PER_MILLION), "denominator": "MILLION"}


def _fault(wanted: Mapping[str, Any]) -> Resource:
    fault: Resource = {}
    if wanted.get("delay"):
        delay = wanted["delay"]
        fault["delay"] = {
            "fixed_delay": durations.protobuf(delay.get("fixedDelay"), "0s"),
            "percentage": _share(delay.get("percentage")),
        }
    if wanted.get("abort"):
        abort = wanted["abort"]
        fault["abort"] = {"http_status": abort.get("httpStatus") or 503, "percentage": _share(abort.get("percentage"))}
    return {"typed_per_filter_config": {FAULT_FILTER: typed(FAULT, **fault)}} if fault else {}


def _redirect(wanted: Mapping[str, Any]) -> Resource:
    codes = {
        301: "MOVED_PERMANENTLY",
        302: "FOUND",
        303: "SEE_OTHER",
        307: "TEMPORARY_REDIRECT",
        308: "PERMANENT_REDIRECT",
    }
    redirect: Resource = {"response_code": codes.get(int(wanted.get("redirectCode") or 301), "MOVED_PERMANENTLY")}
    for field, name in (("authority", "host_redirect"), ("uri", "path_redirect"), ("port", "port_redirect")):
        if wanted.get(field):
            redirect[name] = wanted[field]
    if wanted.get("scheme"):
        redirect["scheme_redirect"] = wanted["scheme"]
    return redirect


def _direct(wanted: Mapping[str, Any]) -> Resource:
    body = wanted.get("body") or {}
    shown = {"inline_string": body["string"]} if body.get("string") else {}
    shown = {"inline_bytes": body["bytes"]} if body.get("bytes") else shown
    return {"status": int(wanted.get("status") or 200), **({"body": shown} if shown else {})}


def _headers(wanted: Mapping[str, Any]) -> Resource:
    """Headers to set, add and remove, on the way there and back."""
    changed: Resource = {}
    for way in ("request", "response"):
        operations = wanted.get(way) or {}
        added = [*_values(operations.get("set"), "OVERWRITE_IF_EXISTS_OR_ADD")]
        added += _values(operations.get("add"), "APPEND_IF_EXISTS_OR_ADD")
        if added:
            changed[f"{way}_headers_to_add"] = added
        if operations.get("remove"):
            changed[f"{way}_headers_to_remove"] = list(operations["remove"])
    return changed


def _values(headers: Mapping[str, str] | None, action: str) -> list[Resource]:
    return [
        {"header": {"key": name, "value": str(value)}, "append_action": action, "keep_empty_value": True}
        for name, value in sorted((headers or {}).items())
    ]
