"""Endpoints: what the EndpointSlices of a Service say, in the one object per Service that older clients read.

It is made from our own slices, not from the pods again, so the two never disagree; nothing in the cluster reads it, and
nothing makes slices of it. Where upstream differs from slices so does this: pods that are going away are left out, a
thousand addresses are the most, and only the Service's first address family counts. A large object is rewritten at
most once in BATCH, since every change of a pod changes all of it.
Source: pkg/controller/endpoint in Kubernetes 1.37.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Create, Delete, Patch, Plan

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
CHANGED = "endpoints.kubernetes.io/last-change-trigger-time"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST = 1000
"""Addresses in one object; slices have no such limit."""

LARGE = 100
BATCH = timedelta(seconds=1)
"""Time between two writes of an object with more than LARGE addresses."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One address with the ports behind it, and these as text, to group by."""

    ready: bool
    ports: Sequence[Object]
    group: str
    address: Object


def plan(service: Object, slices: Sequence[Object], found: Object | None, now: datetime) -> Plan:
    """`slices` are those of the Service that our controller keeps, `found` the Endpoints of its name. A Service without
    a selector has Endpoints of its user's own making, or none."""
    spec = service["spec"]
    if not spec.get("selector") or spec.get("type") == "ExternalName" or meta.is_deleting(service):
        return Plan()
    if found is not None and _size(found) > LARGE and (wait := _changed_at(found) + BATCH - now) > timedelta():
        return Plan((), wait)
    family = next(iter(spec.get("ipFamilies") or ()), "IPv4")
    places = sorted(_places(slices, family, always=bool(spec.get("publishNotReadyAddresses"))), key=_order)
    subsets = _subsets(places[:MOST])
    body: Object = {"metadata": {"labels": _labels(service), "annotations": {}}, "subsets": subsets}
    if len(places) > MOST:
        body["metadata"]["annotations"][OVER_CAPACITY] = "truncated"
    if found is None:
        return Plan((Create(core_v1.ENDPOINTS, _new(service, body, now)),))
    changes = _changes(found, body)
    if not changes:
        return Plan()
    changes["metadata"].setdefault("annotations", {})[CHANGED] = clock.format_micro_time(now)
    return Plan((Patch(core_v1.ENDPOINTS, meta.key(found), changes, resource_version=meta.resource_version(found)),))


def forget(found: Object | None) -> Plan:
    """The Service is gone: so is what was made for it."""
    if found is None or meta.labels(found).get(MANAGED_BY) != MANAGER:
        return Plan()
    return Plan((Delete(core_v1.ENDPOINTS, meta.key(found), uid=meta.uid(found)),))


def _places(slices: Iterable[Object], family: str, *, always: bool) -> Iterator[_Place]:
    for item in slices:
        if item.get("addressType") != family or meta.is_deleting(item):
            continue
        ports = item.get("ports") or []
        group = str([sorted(port.items()) for port in ports])
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating") and not always:
                continue
            address = {"ip": endpoint["addresses"][0]}
            address |= {
                field: endpoint[field] for field in ("hostname", "nodeName", "targetRef") if endpoint.get(field)
            }
            yield _Place(conditions.get("ready") is not False, ports, group, address)


def _order(place: _Place) -> tuple[object, ...]:
    """Ready ones first, so that they are the last to be left out."""
    target = place.address.get("targetRef") or {}
    return not place.ready, place.group, place.address["ip"], target.get("uid", "")


def _subsets(places: Iterable[_Place]) -> list[Object]:
    """Addresses with the same ports together."""
    subsets = []
    for _, group in itertools.groupby(sorted(places, key=_group), key=_group):
        members = list(group)
        subset: Object = {}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            if listed := [place.address for place in members if place.ready is ready]:
                subset[field] = listed
        if members[0].ports:
            subset["ports"] = [_port(port) for port in members[0].ports]
        subsets.append(subset)
    return subsets


def _group(place: _Place) -> str:
    return place.group


def _port(port: Object) -> Object:
    """A nameless port has no name here, where a slice's has an empty one."""
    return {field: value for field, value in port.items() if value != ""}


def _size(found: Object) -> int:
    lists = (subset.get(field) for subset in found.get("subsets") or () for field in ("addresses", "notReadyAddresses"))
    return sum(len(addresses or ()) for addresses in lists)


def _labels(service: Object) -> dict[str, str]:
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    own = {name: value for name, value in meta.labels(service).items() if name != HEADLESS}
    return {**own, MANAGED_BY: MANAGER, **headless}


def _new(service: Object, body: Object, now: datetime) -> Object:
    metadata = body["metadata"]
    annotations = {**metadata["annotations"], CHANGED: clock.format_micro_time(now)}
    return {
        "apiVersion": core_v1.ENDPOINTS.api_version,
        "kind": core_v1.ENDPOINTS.kind,
        "metadata": {
            "name": meta.name(service),
            "namespace": meta.namespace(service),
            "labels": metadata["labels"],
            "annotations": annotations,
        },
        "subsets": body["subsets"],
    }


def _changes(found: Object, body: Object) -> Object:
    """The merge patch that makes `found` so, or nothing."""
    changes: Object = {"metadata": {}}
    if (found.get("subsets") or []) != body["subsets"]:
        changes["subsets"] = body["subsets"]
    labels = body["metadata"]["labels"]
    if dict(meta.labels(found)) != labels:
        stale = {name: None for name in meta.labels(found) if name not in labels}
        changes["metadata"]["labels"] = {**stale, **labels}
    truncated = body["metadata"]["annotations"].get(OVER_CAPACITY)
    if meta.annotations(found).get(OVER_CAPACITY) != truncated:
        changes["metadata"]["annotations"] = {OVER_CAPACITY: truncated}
    return changes if changes != {"metadata": {}} else {}


def _changed_at(found: Object) -> datetime:
    try:
        return clock.parse_time(meta.annotations(found).get(CHANGED, ""))
    except ValueError:
        return clock.parse_time("1970-01-01T00:00:00Z")
