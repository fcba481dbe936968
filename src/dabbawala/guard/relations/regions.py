"""In which country something is: cloud regions, their zones, and hosts that name one or whose service keeps data there.

What no table knows is nowhere: a data centre of one's own says where it is by a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.relations import zones
from dabbawala.guard.relations.tables import rows
from dabbawala.guard.world import TYPE, World

INDIA = "IN"
PLACES_MAX = 20
"""Of one object; a sentence names no more."""

_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE_LABELS = (
    "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone",
    "topology.gke.io/zone", "topology.disk.csi.azure.com/zone",
)  # fmt: skip
_TOPOLOGY = frozenset((*_REGION_LABELS, *_ZONE_LABELS))
_TOKEN = re.compile(r"[a-z]+[a-z0-9]*(?:-[a-z0-9]+)*")
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}")
_WORDS = {"india": INDIA, "mumbai": INDIA, "chennai": INDIA, "hyderabad": INDIA, "bengaluru": INDIA, "pune": INDIA}
_SHORT_TEXT = 256  # characters of what is worth remembering
_SHORT = 6
"""Names of regions shorter than this (`bom`, `lon1`) are words of other things too, and only count as a whole value."""


@lru_cache(maxsize=1)
def _regions() -> Mapping[str, str]:
    return {region: country for _, region, country in rows("regions.txt")}


@lru_cache(maxsize=1)
def _sinks() -> Mapping[str, str]:
    return {row[0]: row[1] for row in rows("sinks.txt")}


def region_of(place: str) -> str:
    """The region of a region's or a zone's name (`ap-south-1a`, `asia-south1-b`, `centralindia-1`); empty if no table
    has it."""
    text = place.strip().lower()
    while text:
        if text in _regions():
            return text
        lettered = len(text) > 1 and text[-1].isalpha() and text[-2].isdigit()
        text = text[:-1] if lettered else text.rpartition("-")[0]
    return ""


def country(place: str) -> str:
    """The country (`IN`, `US`) of a region or a zone by name, of our own data centres by the cities that they are
    called after; empty where nobody knows."""
    found = _regions().get(region_of(place))
    return found or next((code for word, code in _WORDS.items() if word in place.lower()), "")


def places(found: Any) -> list[Object]:
    """The places that any string of an object names: `text`, and its `country`. Regions by name or inside host names,
    and services known to keep what they get in one country."""
    listed = {text: code for value in _strings(found) for text, code in _known(value)}
    return [{"text": text, "country": code} for text, code in sorted(listed.items())][:PLACES_MAX]


def _strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _strings(value)
    elif isinstance(found, list):
        for value in found:
            yield from _strings(value)


def _known(value: str) -> Iterable[tuple[str, str]]:
    """Most strings of a scan are in it many times: `Always`, `http`, an image's name."""
    return _remembered(value) if len(value) <= _SHORT_TEXT else _named(value)


@lru_cache(maxsize=4096)
def _remembered(value: str) -> tuple[tuple[str, str], ...]:
    return tuple(_named(value))


def _named(value: str) -> Iterator[tuple[str, str]]:
    text = value.lower()
    whole = _regions().get(text.strip())
    if whole:
        yield text.strip(), whole
        return
    for host in _HOST.findall(text):
        kept = _kept_by(host)
        if kept:
            yield host, kept
    for token in _TOKEN.findall(text):
        part = next((part for part in _parts(token) if len(part) >= _SHORT and part in _regions()), "")
        if part:
            yield part, _regions()[part]


def _parts(token: str) -> Iterator[str]:
    """A word and its parts, the longest first: `backups-us-east-1-prod` has `us-east-1`."""
    yield token
    parts = token.split("-")
    for size in (3, 2, 1):
        yield from ("-".join(parts[start : start + size]) for start in range(len(parts) - size + 1))


def _kept_by(host: str) -> str:
    parts = host.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts) - 1))
    return next((_sinks()[end] for end in ends if end in _sinks()), "")


def region(obj: Mapping[str, Any]) -> str:
    """The region that an object says it is in: a Node by its labels, a cluster's description by its `region`, a backup
    location by its configuration; as written, so also one that no table has."""
    labels, spec = meta.labels(dict(obj)), obj.get("spec") or {}
    named = [labels.get(name) for name in _REGION_LABELS]
    zone = next((labels[name] for name in _ZONE_LABELS if name in labels), "")
    own = (obj.get("metadata") or {}).get("region")
    configured = spec.get("region"), spec.get("location"), (spec.get("config") or {}).get("region")
    return next((str(text) for text in (*named, region_of(zone) or zone, own, *configured) if text), "")


def topology(found: Mapping[str, Any]) -> list[str]:
    """The regions and zones that a StorageClass's allowedTopologies or a volume's required node affinity names."""
    spec = found.get("spec") or {}
    terms = list(found.get("allowedTopologies") or ())
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    listed = [expression for term in terms for expression in term.get("matchLabelExpressions") or ()]
    for term in required.get("nodeSelectorTerms") or ():
        listed += [e for e in term.get("matchExpressions") or () if e.get("operator") == "In"]
    return sorted({str(value) for e in listed if e.get("key") in _TOPOLOGY for value in e.get("values") or ()})


def home_regions(world: World) -> list[str]:
    """The regions that the nodes of the scan are in, or that descriptions of clusters name."""
    return world.once("home regions", lambda: sorted(set(_homes(world)) - {""}))


def _homes(world: World) -> Iterator[str]:
    for kind in ("Node", "ClusterConfig.eksctl.io"):
        for obj in world.objects(kind):
            if site(obj) != RECOVERY:
                yield region(obj)


PRIMARY, RECOVERY = "primary", "recovery"
_SITES = {
    **dict.fromkeys(("primary", "dc", "active", "main"), PRIMARY),
    **dict.fromkeys(("recovery", "dr", "secondary", "standby", "backup"), RECOVERY),
}


def site(obj: Mapping[str, Any]) -> str:
    """`primary` or `recovery`, as the label or tag `site` of an object says; empty where it says nothing."""
    said = {**((obj.get("metadata") or {}).get("tags") or {}), **meta.labels(dict(obj))}
    return _SITES.get(zones.label(said, "site").lower(), "")


def regions_of_site(world: World, name: str) -> list[str]:
    """The regions of the nodes and clusters that are labelled as the `primary` or the `recovery` site."""
    objects = (*world.objects("Node"), *world.objects("ClusterConfig.eksctl.io"))
    return world.once(("site", name), lambda: sorted({region(o) for o in objects if site(o) == name} - {""}))


FUNCTIONS = (
    Function("country", ("string",), "string", country),
    Function("regionOf", ("string",), "string", region_of),
    Function("region", ("dyn",), "string", region),
    Function("places", ("dyn",), "list<dyn>", places),
    Function("topology", ("dyn",), "list<string>", topology),
    Function("site", ("dyn",), "string", site),
    Function("homeRegions", (TYPE,), "list<string>", home_regions, receiver=True),
    Function("regionsOfSite", (TYPE, "string"), "list<string>", regions_of_site, receiver=True),
)
