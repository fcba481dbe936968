"""Istio's match conditions as Envoy's route matches.

The conditions of one match all have to hold; a route applies when one of its matches does. A match on something that a
node's Envoy cannot know (the labels of the caller) never applies: taking it for true would send traffic where nobody
asked for it. Source: Istio HTTPMatchRequest, StringMatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.cluster.dataplane.resources import Resource
from dabbawala.cluster.dataplane.views import Port

UNKNOWABLE = ("sourceLabels", "sourceNamespace", "sourceSubnet", "destinationSubnets")
EVERYTHING: Resource = {"prefix": "/"}


def http(route: Mapping[str, Any], port: Port) -> list[tuple[Resource, Mapping[str, Any]]]:
    """Envoy's matches of a route for traffic on `port`, each with the condition it was made from."""
    conditions = route.get("match") or [{}]
    return [(_match(each), each) for each in conditions if applies(each, port)]


def applies(condition: Mapping[str, Any], port: Port) -> bool:
    """Whether a condition can hold at all for what comes in on this port."""
    if any(condition.get(field) for field in UNKNOWABLE):
        return False
    gateways = condition.get("gateways")
    if gateways and "mesh" not in gateways:
        return False
    return not condition.get("port") or int(condition["port"]) == port.number


def _match(condition: Mapping[str, Any]) -> Resource:
    match = _path(condition.get("uri") or {}, bool(condition.get("ignoreUriCase")))
    headers = list(_headers(condition))
    parameters = [
        {"name": name, **_parameter(value)} for name, value in sorted((condition.get("queryParams") or {}).items())
    ]
    if headers:
        match["headers"] = headers
    if parameters:
        match["query_parameters"] = parameters
    return match


def _path(uri: Mapping[str, Any], ignore_case: bool) -> Resource:
    match: Resource
    if uri.get("exact"):
        match = {"path": uri["exact"]}
    elif uri.get("regex"):
        return {"safe_regex": {"regex": uri["regex"]}}
    else:
        match = {"prefix": uri.get("prefix") or "/"}
    return {**match, "case_sensitive": False} if ignore_case else match


def _headers(condition: Mapping[str, Any]) -> Iterable[Resource]:
    for field, name in (("method", ":method"), ("authority", ":authority"), ("scheme", ":scheme")):
        if condition.get(field):
            yield {"name": name, **_header(condition[field])}
    for name, value in sorted((condition.get("headers") or {}).items()):
        yield {"name": name, **_header(value)}
    for name, value in sorted((condition.get("withoutHeaders") or {}).items()):
        yield {
            "name": name,
            **_header(value),
            "invert_match": True,
            "treat_missing_header_as_empty": bool(_text(value)),
        }


def _header(value: Mapping[str, Any] | None) -> Resource:
    text = _text(value)
    return {"string_match": text} if text else {"present_match": True}


def _parameter(value: Mapping[str, Any] | None) -> Resource:
    text = _text(value)
    return {"string_match": text} if text else {"present_match": True}


def _text(value: Mapping[str, Any] | None) -> Resource:
    """A StringMatch; empty for "it is there"."""
    value = value or {}
    if value.get("exact") is not None:
        return {"exact": value["exact"]}
    if value.get("prefix"):
        return {"prefix": value["prefix"]}
    if value.get("regex"):
        return {"safe_regex": {"regex": value["regex"]}}
    return {}
