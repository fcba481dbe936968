"""A report as PolicyReport objects in the cluster that it is about, where dashboards and readiness find it.

One for each namespace and one for what is in none, also where nothing failed: that a scan was made is worth as much as
what it found. An object of the API has a limit, so a long report goes on in further ones. What an earlier scan has left
and this one has nothing to say of is removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from dabbawala.api.kind import Kind
from dabbawala.api.wgpolicyk8s_v1alpha2 import CLUSTER_POLICY_REPORT, POLICY_REPORT
from dabbawala.apimachinery import clock, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard.enforcement.bundle import FIELD_MANAGER, MANAGED_BY, OURS
from dabbawala.guard.findings import Report
from dabbawala.guard.outputs import as_policy_report

SCANNED_AT = "guard.dabbawala.dev/scanned-at"


class CannotPublish(Exception):
    """The cluster takes no reports; the message says what to do."""


class Published(NamedTuple):
    """How many objects were written and removed."""

    written: int
    removed: int


async def publish(client: Client, report: Report, *, namespace: str = "", now: datetime) -> Published:
    """Write the reports; with `namespace`, of that one alone. Raises CannotPublish, or StatusError."""
    writer = client.writing_as(FIELD_MANAGER)
    made = [obj for obj in as_policy_report.objects(report) if not namespace or meta.namespace(obj) == namespace]
    try:
        before = [obj for kind in _kinds(namespace) for obj in await _ours(client, kind, namespace)]
    except status.NotFound as missing:
        how = "apply the definitions of manifests/guard/crds, or those of the Policy working group"
        raise CannotPublish(f"the cluster has no {POLICY_REPORT.kind}: {how}") from missing
    for obj in made:
        await writer.apply(_kind(obj), _dated(obj, now))
    stale = _stale(before, made)
    for obj in stale:
        with suppress(status.NotFound):
            await writer.delete(_kind(obj), meta.name(obj), meta.namespace(obj))
    return Published(len(made), len(stale))


def _kinds(namespace: str) -> tuple[Kind, ...]:
    return (POLICY_REPORT,) if namespace else (POLICY_REPORT, CLUSTER_POLICY_REPORT)


async def _ours(client: Client, kind: Kind, namespace: str) -> list[Object]:
    found = await client.list(kind, namespace, label_selector=f"{MANAGED_BY}={OURS}")
    return [obj for obj in found.items if meta.name(obj).startswith(as_policy_report.NAME)]


def _kind(obj: Object) -> Kind:
    return POLICY_REPORT if obj["kind"] == POLICY_REPORT.kind else CLUSTER_POLICY_REPORT


def _dated(obj: Object, now: datetime) -> Object:
    annotations = {**meta.annotations(obj), SCANNED_AT: clock.format_time(now)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _stale(before: Iterable[Object], made: Iterable[Object]) -> list[Object]:
    now = {(obj["kind"], meta.key(obj)) for obj in made}
    return [obj for obj in before if (obj["kind"], meta.key(obj)) not in now]
