"""What a cluster serves: every resource that can be listed, in the version that we know, or else in the one that the
cluster prefers.

What cannot be watched is not stored (metrics, reviews) and is left out; so are events, of which there are many and
which no check is about. A group that does not answer (its API server is down) is a problem of the scan, not its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from dabbawala.api import kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard.findings import Place, Problem

CALLS_MAX = 4
"""Calls to the API server at a time."""
NOT_READ = frozenset({("", "events"), ("events.k8s.io", "events")})
_ORDER = {kind: place for place, kind in enumerate(kinds.KINDS)}


class Served(NamedTuple):
    """The kinds that can be listed: those that others are understood by come first."""

    kinds: tuple[Kind, ...]
    problems: tuple[Problem, ...]


async def look(client: Client) -> Served:
    """Ask the cluster. Raises StatusError when it does not even say which groups it has."""
    groups = (await _get(client, "/apis")).get("groups") or ()
    versions = ["v1", *(each["groupVersion"] for group in groups for each in _preferred_first(group))]
    gate = asyncio.Semaphore(CALLS_MAX)
    answers = await asyncio.gather(*(_resources(client, version, gate) for version in versions))
    found: dict[tuple[str, str], Kind] = {}
    problems = []
    for version, answer in zip(versions, answers, strict=True):
        if isinstance(answer, Problem):
            problems.append(answer)
            continue
        for kind in _listable(version, answer):
            known = found.get((kind.group, kind.plural))
            if known is None or (kind in _ORDER and known not in _ORDER):
                found[kind.group, kind.plural] = kind
    return Served(tuple(sorted(found.values(), key=_place)), tuple(problems))


async def kinds_of(client: Client, version: str) -> tuple[Kind, ...]:
    """The kinds of one apiVersion; none where the cluster does not serve it. Raises StatusError."""
    try:
        return tuple(_listable(version, (await _get(client, _path(version))).get("resources") or ()))
    except status.NotFound:
        return ()


def _place(kind: Kind) -> tuple[int, str]:
    return (_ORDER.get(kind, len(_ORDER)), kind.resource)


def _preferred_first(group: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    preferred = (group.get("preferredVersion") or {}).get("groupVersion")
    versions: list[Mapping[str, Any]] = list(group.get("versions") or ())
    return sorted(versions, key=lambda each: each.get("groupVersion") != preferred)


async def _resources(client: Client, version: str, gate: asyncio.Semaphore) -> list[Object] | Problem:
    async with gate:
        try:
            return list((await _get(client, _path(version))).get("resources") or ())
        except status.StatusError as refused:
            message = f"the API server does not say what {version} has: {refused.message}"
            return Problem(Place(), "not-discovered", message, "See why with kubectl get apiservices, and scan again.")


def _path(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _listable(version: str, resources: Iterable[Object]) -> Iterable[Kind]:
    group, _, name = version.rpartition("/")
    for item in resources:
        plural = str(item.get("name"))
        if "/" in plural or not {"list", "watch"} <= set(item.get("verbs") or ()) or (group, plural) in NOT_READ:
            continue
        known = kinds.by_resource(group, name, plural)
        namespaced = bool(item.get("namespaced"))
        yield known or Kind(group=group, version=name, kind=str(item.get("kind")), plural=plural, namespaced=namespaced)


async def _get(client: Client, path: str) -> Object:
    answer: Object = orjson.loads(await (await client.raw("GET", path)).read())
    return answer
