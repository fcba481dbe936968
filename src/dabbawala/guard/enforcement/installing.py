"""Carrying out a plan: server-side apply under a field manager of our own, all of it tried first.

A dry run of every write comes before the first real one, so that what a server does not take (an older release, a
right that is missing) is said before anything has changed. Every write is idempotent: after a crash, run it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import orjson

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard import resources
from dabbawala.guard.enforcement import bundle
from dabbawala.guard.enforcement.bundle import BINDING, FIELD_MANAGER, POLICY
from dabbawala.guard.enforcement.plan import Act, Installed, Plan, Step

OLDEST = (1, 30)
"""The first release whose API has these kinds for good."""


class TooOld(Exception):
    """The cluster has no ValidatingAdmissionPolicies; the message says which release it is."""


async def check_release(client: Client) -> None:
    """Raises TooOld."""
    told: Object = orjson.loads(await (await client.raw("GET", "/version")).read())
    found = resources.release(str(told.get("gitVersion", "")).partition("-")[0].partition("+")[0])
    if found is not None and found < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise TooOld(f"the cluster is {told['gitVersion']}; admission policies are there from {wanted} on")


async def observe(client: Client) -> Installed:
    """What is installed now, ours and others'."""
    found = [*await _all(client)]
    with suppress(status.NotFound):
        found.append(await client.get(core_v1.CONFIG_MAP, bundle.PARAMETERS_NAME, bundle.PARAMETERS_HOME))
    return Installed.of(found)


async def _all(client: Client) -> Iterable[Object]:
    policies, bindings = await client.list(POLICY), await client.list(BINDING)
    return [*policies.items, *bindings.items]


async def carry_out(client: Client, plan: Plan) -> AsyncIterator[Step]:
    """Each step when it is done. Raises StatusError, before the first write where a server does not take one."""
    writer = client.writing_as(FIELD_MANAGER)
    for step in plan.changes:
        if step.act is not Act.REMOVE:
            await writer.apply(step.kind, step.object, dry_run=True)
    for step in plan.changes:
        if step.act is Act.REMOVE:
            await _remove(writer, step)
        else:
            await writer.apply(step.kind, step.object)
        yield step


async def _remove(client: Client, step: Step) -> None:
    """Only the very object that was looked at."""
    obj = step.object
    with suppress(status.NotFound, status.Conflict):
        await client.delete(step.kind, meta.name(obj), meta.namespace(obj), uid=meta.uid(obj))
