"""Plans are carried out once, whatever has been done already."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import AlreadyExists, Conflict, Forbidden, ServiceUnavailable
from dabbawala.client.client import Client
from dabbawala.reconcile.apply import LARGEST_BATCH, Executor, LostAnswer, batches
from dabbawala.reconcile.own_writes import Written
from dabbawala.reconcile.plan import Create, Delete, Evict, Patch, Plan, Record


def config_map(name: str, owner: str = "") -> Object:
    metadata: Object = {"name": name, "namespace": "default"}
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": owner, "controller": True}
        ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


class Events:
    def __init__(self) -> None:
        self.records: list[Record] = []

    def record(self, event: Record) -> None:
        self.records.append(event)


@pytest.fixture
def executor(client: Client) -> Executor:
    return Executor(client, Events(), field_manager="tester")


async def run(executor: Executor, *actions: Any) -> list[Written]:
    written: list[Written] = []
    await executor.apply(Plan(tuple(actions)), written.append)
    return written


async def test_what_exists_with_the_same_owner_counts_as_created(executor: Executor) -> None:
    first = await run(executor, Create(core_v1.CONFIG_MAP, config_map("a", "u1")))
    again = await run(executor, Create(core_v1.CONFIG_MAP, config_map("a", "u1")))
    assert again == first


async def test_what_exists_with_another_owner_is_an_error(executor: Executor) -> None:
    await run(executor, Create(core_v1.CONFIG_MAP, config_map("a", "u1")))
    with pytest.raises(AlreadyExists):
        await run(executor, Create(core_v1.CONFIG_MAP, config_map("a", "u2")))


async def test_deleting_what_is_gone_or_was_replaced_counts_as_done(executor: Executor, client: Client) -> None:
    key = ObjectKey("default", "a")
    await run(executor, Delete(core_v1.CONFIG_MAP, key, uid="long-gone"))
    await run(executor, Create(core_v1.CONFIG_MAP, config_map("a")))
    await run(executor, Delete(core_v1.CONFIG_MAP, key, uid="a-namesake"))
    assert meta.name(await client.get(core_v1.CONFIG_MAP, "a", "default")) == "a"


async def test_a_patch_of_what_has_changed_is_refused_and_nothing_after_it_is_tried(
    executor: Executor, client: Client
) -> None:
    await run(executor, Create(core_v1.CONFIG_MAP, config_map("a")))
    stale = Patch(core_v1.CONFIG_MAP, ObjectKey("default", "a"), {"data": {"x": "1"}}, resource_version="1")
    with pytest.raises(Conflict):
        await run(executor, stale, Create(core_v1.CONFIG_MAP, config_map("b")))
    assert (await client.list(core_v1.CONFIG_MAP, "default", label_selector="")).items[-1]["metadata"]["name"] != "b"


async def test_writes_carry_the_field_manager_and_tell_their_revision(executor: Executor, client: Client) -> None:
    (written,) = await run(executor, Create(core_v1.CONFIG_MAP, config_map("a")))
    found = await client.get(core_v1.CONFIG_MAP, "a", "default")
    assert written.revision == int(meta.resource_version(found))
    assert found["metadata"]["managedFields"][0]["manager"] == "tester"


async def test_evicting_a_pod_that_is_gone_counts_as_done(executor: Executor) -> None:
    await run(executor, Evict(ObjectKey("default", "nobody")))


def test_equal_creations_go_out_in_growing_batches_and_everything_else_one_by_one() -> None:
    creations = [Create(core_v1.POD, config_map(str(n))) for n in range(100)]
    other = Patch(core_v1.POD, ObjectKey("", "x"), {})
    sizes = [len(batch) for batch in batches([other, *creations, other, other])]
    assert sizes == [1, 1, 2, 4, 8, 16, LARGEST_BATCH, LARGEST_BATCH, 5, 1, 1]


async def test_a_lost_answer_is_not_hidden_by_a_refusal_beside_it(client: Client) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def writing_as(self, field_manager: str) -> Flaky:
            return self

        async def create(self, *arguments: Any, **options: Any) -> Object:
            self.calls += 1
            if self.calls == 2:
                raise Forbidden("exceeded quota")
            if self.calls == 3:
                raise ServiceUnavailable("connection reset")
            return await client.create(*arguments, **options)

    executor = Executor(Flaky(), Events(), field_manager="tester")
    with pytest.raises(LostAnswer):
        await run(executor, *(Create(core_v1.CONFIG_MAP, config_map(name)) for name in "abc"))
