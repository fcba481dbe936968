"""Objects, of files or of the cluster itself, against the policies that the cluster enforces; and how these differ from
the shipped ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard import requests, scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import drift, installing
from dabbawala.guard.engine import Judgement
from dabbawala.guard.findings import Finding, Place, Problem, Report
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.live import policies
from dabbawala.guard.live.policies import ClusterPolicies
from dabbawala.guard.live.reading import Reader
from dabbawala.guard.live.scan import is_secret, nowhere


async def files(client: Client, paths: Sequence[str], shipped: Sequence[Check]) -> Report:
    """What the cluster would say of these files. A namespace that they do not declare is the cluster's own. Raises
    StatusError where the cluster's policies may not be read."""
    report = Report()
    asked = await _asked(client, report, shipped)
    inventory = scanning.read(paths, report)
    known = {**await _namespaces(client, report), **_declared(inventory)}
    scanning.collect(report, [_judge(asked, item, known) for item in inventory if inventory.owner(item) is None])
    return report


async def cluster(client: Client, shipped: Sequence[Check], *, namespace: str = "") -> Report:
    """What the cluster's policies would say of what is in it, if it was written again."""
    report = Report()
    asked = await _asked(client, report, shipped)
    seen: list[Judgement] = []

    def look(secret: Object, item: Item, around: Object | None) -> None:
        seen.append(asked.judge(requests.creating(secret, item.resource), around, nowhere))

    found = await Reader(client, namespace, look).read()
    report.problems += found.problems
    report.objects = len(found.inventory)
    items = (item for item in found.inventory if found.inventory.owner(item) is None and not is_secret(item))
    meant = (item for item in items if namespace in ("", item.namespace))
    scanning.collect(report, [*seen, *(_judge(asked, item, found.namespaces) for item in meant)])
    return report


async def _asked(client: Client, report: Report, shipped: Sequence[Check]) -> ClusterPolicies:
    """The policies; the report learns how they differ from the shipped ones."""
    asked = await policies.read(client, report.problems)
    report.checks = [drift.check(), *asked.checks]
    report.findings += drift.findings(shipped, await installing.observe(client))
    report.findings.sort(key=Finding.sort_key)
    return asked


def _judge(asked: ClusterPolicies, item: Item, namespaces: Mapping[str, Object]) -> Judgement:
    request = requests.creating(item.object, item.resource)
    place = item.document.place if item.document is not None else nowhere
    return asked.judge(request, namespaces.get(request.namespace), place)


def _declared(inventory: Inventory) -> dict[str, Object]:
    return {name: item.object for name, item in inventory.namespaces.items() if not item.implied}


async def _namespaces(client: Client, report: Report) -> dict[str, Object]:
    try:
        return {meta.name(obj): obj for obj in (await client.list(core_v1.NAMESPACE)).items}
    except status.StatusError as refused:
        message = f"namespaces cannot be read, so their labels are not known: {refused.message}"
        report.problems.append(Problem(Place(), "not-read", message, "Grant the verb list on namespaces."))
        return {}
