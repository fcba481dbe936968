"""What the preview lists is what Deny refuses: of every live object, no more and no less."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from dabbawala.api import KINDS, core_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement.bundle import Terms
from dabbawala.guard.enforcement.preview import Preview, Refusal, Rehearsal
from dabbawala.guard.findings import Subject
from dabbawala.guard.live import rehearsal
from tests.guard import cases
from tests.guard.enforcement.test_expiry import PRIVILEGED, excepting
from tests.guard.enforcement.worlds import NOTHING, Guarded, deployment, guarded, native, pod, some

Named = tuple[str, str, str]
_SET_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")


@pytest.fixture
async def world() -> AsyncIterator[Guarded]:
    async with guarded("shop", "bank", "cases") as made:
        yield made


async def rehearsed(world: Guarded, asked: list[Check], terms: Terms = NOTHING) -> Preview:
    told = await rehearsal.over_cluster(world.client, Rehearsal(asked, terms, now=world.clock.now()))
    assert not told.problems
    return told.preview


def refused(preview: Preview) -> set[Named]:
    return {(item.subject.kind, item.subject.namespace, item.subject.name) for item in preview.refusals}


async def stored(world: Guarded) -> list[Object]:
    stored_kinds = [kind for kind in KINDS if kind.is_stored and not kind.stored_as and kind.kind != "Event"]
    return [obj for kind in stored_kinds for obj in (await world.client.list(kind)).items]


def again(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _SET_BY_SERVER}
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": metadata}


SOME = ("WL-01", "WL-06", "IMG-03", "SEC-01", "SEC-15", "RBAC-02", "NET-10", "REL-04", "GOV-06")


@pytest.mark.parametrize("asked", [pytest.param(native(), marks=pytest.mark.soak, id="all"), some(*SOME)])
async def test_the_preview_is_what_deny_refuses(world: Guarded, asked: list[Check]) -> None:
    stored_cases = 0
    for name in SOME:
        for number, case in enumerate(cases.read(name)):
            for obj in case.objects:
                stored_cases += await stores(world, renamed(obj, f"{name.lower()}-{number}"))
    assert stored_cases > 40
    terms = Terms((excepting("WL-01", namespaces=["cases"], names=["wl-01-5*"]),))
    preview = await rehearsed(world, asked, terms)
    listed = refused(preview)
    everything = await stored(world)
    await world.enforce(asked, terms=terms)
    said = {key(obj) for obj in everything if await world.refusal(again(obj))}
    assert listed == said
    assert len(said) > 20
    assert preview.judged == len(everything)


async def stores(world: Guarded, obj: Object) -> bool:
    if obj["kind"] in ("Namespace", "CustomResourceDefinition"):
        return False
    with suppress(status.StatusError):  # a case may be more than our server takes; it is no live object then
        await world.create(obj)
        return True
    return False


def renamed(obj: Object, name: str) -> Object:
    home = {"namespace": "cases"} if meta.namespace(obj) else {}
    return {**obj, "metadata": {**obj.get("metadata", {}), "name": name, **home}}


def key(obj: Object) -> Named:
    return obj["kind"], meta.namespace(obj), meta.name(obj)


async def test_what_a_workload_made_is_judged_where_it_came_from(world: Guarded) -> None:
    await world.create(deployment(containers=[PRIVILEGED]))
    owner = await world.current(deployment())
    reference = meta.owner_reference(owner)
    made = pod("web-abc", labels=[("app", "web")], containers=[PRIVILEGED])
    made["metadata"]["ownerReferences"] = [reference]
    await world.create(made)
    assert refused(await rehearsed(world, some("WL-01"))) == {("Deployment", "shop", "web")}


async def test_what_is_being_deleted_and_what_the_system_has_is_left_out(world: Guarded) -> None:
    held = pod("held", containers=[PRIVILEGED])
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.create(held, pod("dns", "kube-system", containers=[PRIVILEGED]))
    await world.client.delete(core_v1.POD, "held", "shop", grace_period_seconds=0)
    assert refused(await rehearsed(world, some("WL-01"))) == set()


async def test_secrets_are_looked_at_by_their_values_once(world: Guarded) -> None:
    def secret(name: str, **data: str) -> Object:
        metadata: dict[str, Any] = {"name": name, "namespace": "shop"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    await world.create(secret("weak", password="cGFzc3dvcmQ="), secret("strong", password="OTMxZjFhYzE4ZTU4"))
    preview = await rehearsed(world, some("SEC-15"))
    assert refused(preview) == {("Secret", "shop", "weak")}
    assert not any("cGFzc3dvcmQ" in item.message for item in preview.refusals)


def test_a_preview_is_ordered_by_what_refuses_most() -> None:
    one, other = some("WL-01", "WL-02")
    items = [Refusal(one, Subject("v1", "Pod", "b", "x"), "m")]
    items += [Refusal(other, Subject("v1", "Pod", home, "x"), "m") for home in ("b", "a")]
    assert list(Preview(items).by_place()) == [("WL-02", "a"), ("WL-02", "b"), ("WL-01", "b")]
