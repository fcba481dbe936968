"""A scan of a cluster: its objects by the engine that files are scanned with, as one world.

Only a cluster that could be read whole lets a check say that something is missing. Exceptions that are objects of the
cluster count beside those of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from dabbawala.api import core_v1, guard_v1alpha1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Store
from dabbawala.client.client import Client
from dabbawala.guard import exceptions, requests, scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Place, Problem, Report
from dabbawala.guard.inventory import Item
from dabbawala.guard.live.reading import Reader
from dabbawala.guard.world import World

_EXCEPTION = guard_v1alpha1.POLICY_EXCEPTION


async def of_cluster(
    client: Client,
    checks: Sequence[Check],
    given: Iterable[PolicyException],
    *,
    namespace: str = "",
    now: datetime,
    store: Store | None = None,
) -> Report:
    """Scan all that may be read; with `namespace`, what is in it. Raises StatusError when the cluster does not
    answer at all."""
    report = Report(checks=checks)
    excepted = [*given, *await cluster_exceptions(client, report.problems)]
    own, native = ([check for check in checks if check.native is kept] for kept in (False, True))
    at_sight = Engine(native, excepted, now=now, store=store)
    seen: list[Judgement] = []

    def look(secret: Object, item: Item, around: Object | None) -> None:
        seen.append(at_sight.judge(requests.creating(secret, item.resource), around, nowhere))

    found = await Reader(client, namespace, look).read()
    report.problems += found.problems
    report.objects = len(found.inventory)
    world = World(found.inventory, now=now, whole=found.whole)
    asked = _Engines(Engine(checks, excepted, now=now, store=store), Engine(own, excepted, now=now, store=store))
    scanning.collect(report, chain(seen, _judgements(world, asked, namespace)))
    return report


class _Engines(NamedTuple):
    """Native checks have seen the Secrets, whose values are gone, when they were read."""

    all: Engine
    of_secrets: Engine


def _judgements(world: World, engines: _Engines, namespace: str) -> Iterator[Judgement]:
    for item in world.inventory:
        if world.inventory.owner(item) is None and _is_meant(item, namespace):
            engine = engines.of_secrets if is_secret(item) else engines.all
            request = requests.creating(item.object, item.resource)
            yield engine.judge(request, world.namespace(request.namespace), nowhere, world)


def _is_meant(item: Item, namespace: str) -> bool:
    """Of a scan of one namespace, what is in it, and it."""
    return not namespace or namespace in (item.namespace, item.name if item.kind == "Namespace" else "")


def is_secret(item: Item) -> bool:
    return (item.group, item.kind) == ("", core_v1.SECRET.kind)


@lru_cache(maxsize=4096)
def nowhere(field: str) -> Place:
    """Where nothing has a file. Of many findings only few fields differ."""
    return Place(field=field)


async def cluster_exceptions(client: Client, problems: list[Problem]) -> list[PolicyException]:
    """Those that are objects of the cluster; none where it does not know the kind. Wrong ones are problems."""
    try:
        found = (await client.list(_EXCEPTION)).items
    except status.NotFound:
        return []
    except status.Forbidden as refused:
        remedy = f"Grant the verb list on {_EXCEPTION.resource} by a ClusterRole."
        problems.append(Problem(Place(), "not-permitted", f"exceptions may not be listed: {refused.message}", remedy))
        return []
    return list(_exceptions(found, problems))


def _exceptions(objects: Iterable[Object], problems: list[Problem]) -> Iterator[PolicyException]:
    for obj in objects:
        wrong = exceptions.wrong_with(obj)
        for error in wrong:
            message = f"PolicyException {meta.name(obj)}: {error.field}: {error.message}"
            problems.append(Problem(Place(field=error.field), "bad-exception", message, "It counts for nothing."))
        if not wrong:
            yield exceptions.of(obj)
