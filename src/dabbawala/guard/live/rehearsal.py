"""The preview of what is enforced, over a cluster: read as a scan reads it, asked as admission would ask."""

from __future__ import annotations

from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard.enforcement.preview import Preview, Rehearsal
from dabbawala.guard.findings import Problem
from dabbawala.guard.inventory import Item
from dabbawala.guard.live.reading import Reader


class Rehearsed(NamedTuple):
    """What would be refused, and what could not be looked at."""

    preview: Preview
    problems: list[Problem]


async def over_cluster(client: Client, rehearsal: Rehearsal) -> Rehearsed:
    """Judge every live object. Raises StatusError when the cluster does not answer at all."""
    secrets = Preview()

    def look(secret: Object, item: Item, around: Object | None) -> None:
        secrets.judged += 1
        known = {item.namespace: around} if around is not None else {}
        secrets.refusals += rehearsal.refusals(secret, item.resource, known)

    found = await Reader(client, look=look).read()
    preview = rehearsal.over(found.inventory, found.namespaces)
    preview.refusals += secrets.refusals
    preview.judged += secrets.judged
    return Rehearsed(preview, found.problems)
