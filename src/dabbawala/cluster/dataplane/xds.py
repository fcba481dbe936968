"""Configuration as files: one each for listeners and clusters, one a RouteConfiguration, one a cluster's endpoints.

Envoy reads a file when it is replaced by a rename. Every file carries a hash of its content as its version, by which
acceptance is read back. A change goes out in steps, each of which is complete in itself: first what is new to refer to
(endpoints, clusters), then what refers to it (routes, listeners), then what nobody refers to any more is taken away; so
no request ever meets a route to a cluster that is not there yet, or a cluster whose endpoints have already left it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from dabbawala.cluster.dataplane.resources import Config, Resource

LISTENERS, CLUSTERS = "lds.json", "cds.json"
ROUTES, ENDPOINTS = "rds", "eds"


@dataclass(frozen=True, slots=True)
class File:
    """A DiscoveryResponse as it lies on disk."""

    version: str
    content: bytes


Files = Mapping[str, File]


def routes_file(name: str) -> str:
    return f"{ROUTES}/{name}.json"


def endpoints_file(name: str) -> str:
    return f"{ENDPOINTS}/{name}.json"


class Encoder:
    """Files of configurations, in the order in which they have to be written; a resource that is still the same object
    is not encoded again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Resource, File]] = {}

    def encode(self, config: Config) -> dict[str, File]:
        fresh: dict[str, tuple[Resource, File]] = {}
        for name, resource in config.endpoints.items():
            fresh[endpoints_file(name)] = self._encoded(endpoints_file(name), resource)
        for name, resource in config.routes.items():
            fresh[routes_file(name)] = self._encoded(routes_file(name), resource)
        self._known = fresh
        supplied = {endpoints_file(name): fresh[endpoints_file(name)][1] for name in config.endpoints}
        routed = {routes_file(name): fresh[routes_file(name)][1] for name in config.routes}
        clusters, listeners = _file(list(config.clusters.values())), _file(list(config.listeners.values()))
        return {**supplied, CLUSTERS: clusters, **routed, LISTENERS: listeners}

    def _encoded(self, name: str, resource: Resource) -> tuple[Resource, File]:
        known = self._known.get(name)
        return known if known is not None and known[0] is resource else (resource, _file([resource]))


def _file(resources: list[Resource]) -> File:
    body = orjson.dumps(resources)
    version = hashlib.blake2b(body, digest_size=8).hexdigest()
    return File(version, b'{"version_info":"' + version.encode() + b'","resources":' + body + b"}")


def steps(current: Config, wanted: Config) -> Iterator[Config]:
    """Configurations to go through on the way, the last being `wanted`; each may be run by itself for any time."""
    still = current.routes == wanted.routes and current.listeners == wanted.listeners
    if still and current.clusters.keys() <= wanted.clusters.keys():
        yield wanted
        return
    supplied = Config(
        current.listeners,
        {**current.clusters, **wanted.clusters},
        current.routes,
        {name: _both(name, current, wanted) for name in {**current.endpoints, **wanted.endpoints}},
    )
    turned = replace(supplied, listeners=wanted.listeners, routes=wanted.routes)
    last = current
    for step in (supplied, turned, wanted):
        if step != last:
            yield step
            last = step
    if last is current:
        yield wanted


def _both(name: str, current: Config, wanted: Config) -> Resource:
    """Endpoints old and new: while routes move, neither side may run dry."""
    old, new = current.endpoints.get(name), wanted.endpoints.get(name)
    if old is None or new is None or old == new:
        return new or old or {}
    known = new["endpoints"][0]["lb_endpoints"]
    leaving = [end for end in old["endpoints"][0]["lb_endpoints"] if end not in known]
    return {**new, "endpoints": [{"lb_endpoints": [*known, *leaving]}]} if leaving else new


def write(folder: Path, files: Files, known: Mapping[str, str]) -> dict[str, str]:
    """Make the folder hold exactly these files; `known` says the versions that lie there. Returns versions by file."""
    for name in (ROUTES, ENDPOINTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        if known.get(name) != file.version:
            replace_file(folder / name, file.content)
    for name in known.keys() - files.keys():
        (folder / name).unlink(missing_ok=True)
    return {name: file.version for name, file in files.items()}


def replace_file(path: Path, content: bytes) -> None:
    """Atomic for whoever reads; Envoy takes notice of renames only."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    os.replace(partial, path)


def rewrite(folder: Path, name: str) -> None:
    """Replace a file by itself, so that Envoy tries again what it could not do."""
    replace_file(folder / name, (folder / name).read_bytes())


def read(folder: Path) -> tuple[Config, dict[str, str]]:
    """What lies in a folder, as a configuration and as versions; a control plane that starts anew goes on from there.
    A file that cannot be read counts as not there."""
    versions: dict[str, str] = {}
    found: dict[str, dict[str, Resource]] = {LISTENERS: {}, CLUSTERS: {}, ROUTES: {}, ENDPOINTS: {}}
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        group = found.get(name if "/" not in name else name.split("/")[0])
        response = _response(path)
        if group is None or response is None:
            continue
        versions[name] = str(response["version_info"])
        for resource in response["resources"]:
            group[str(resource.get("name") or resource.get("cluster_name"))] = resource
    return Config(found[LISTENERS], found[CLUSTERS], found[ROUTES], found[ENDPOINTS]), versions


def _response(path: Path) -> Resource | None:
    try:
        response: Resource = orjson.loads(path.read_bytes())
        whole = response["version_info"] and all(isinstance(each, dict) for each in response["resources"])
        return response if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
