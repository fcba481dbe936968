"""An object grows to its limit and no further, and can always be made smaller, let go and deleted."""

from __future__ import annotations

import orjson
import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.rest_size import STATUS_BYTES_MAX, STORED_BYTES_MAX
from dabbawala.cluster.store.entry import Key
from tests.cluster.apiserver.core_calls import MERGE, PODS, Answer, call, pod

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
ONE = f"{CLASSES}/a"
NEARLY = "x" * (STORED_BYTES_MAX - 20_000)
MORE = "x" * 30_000


def described(text: str, **annotations: str) -> Object:
    """A kind with a field that has no limit of its own."""
    return {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1, "description": text,
        "metadata": {"name": "a", "annotations": annotations},
    }  # fmt: skip


def more(text: str) -> Object:
    return {"metadata": {"annotations": {"more": text}}}


async def patched(server: APIServer, patch: Object, url: str = ONE) -> Answer:
    return await call(server, "PATCH", url, patch, content_type=MERGE)


def refused(answer: Answer) -> bool:
    assert (answer.status, answer.json["reason"]) == (413, "RequestEntityTooLarge"), answer.body[:300]
    assert f"limit is {STORED_BYTES_MAX}" in answer.json["message"]
    return True


@pytest.fixture
async def full(server: APIServer) -> APIServer:
    """An object with a finalizer, within a few bytes of the limit."""
    made = described(NEARLY)
    made["metadata"]["finalizers"] = ["example.com/hold"]
    assert (await call(server, "POST", CLASSES, made)).status == 201
    missing = STORED_BYTES_MAX - len(stored(server)) - 60
    assert (await patched(server, {"description": NEARLY + "x" * missing})).status == 200
    assert 0 <= STORED_BYTES_MAX - len(stored(server)) < 120
    return server


def stored(server: APIServer) -> bytes:
    entry = server.core.store.get(Key("priorityclasses.scheduling.k8s.io", "", "a"))
    assert entry is not None
    return entry.body


async def test_patch_upon_patch_does_not_grow_an_object_without_end(server: APIServer) -> None:
    await call(server, "POST", CLASSES, described(NEARLY))
    before = stored(server), server.core.store.revision
    assert refused(await patched(server, more(MORE)))
    assert refused(await patched(server, more(MORE), f"{ONE}?dryRun=All"))
    assert refused(await call(server, "PUT", ONE, described(NEARLY, more="x" * 19_950)))
    applied = orjson.dumps(described(NEARLY, more=MORE))
    url = f"{ONE}?fieldManager=m"
    assert refused(await call(server, "PATCH", url, applied, content_type="application/apply-patch+yaml"))
    assert (stored(server), server.core.store.revision) == before
    assert (await patched(server, more("x"))).json["metadata"]["resourceVersion"] == str(before[1] + 1)


async def test_a_new_object_is_bounded_with_all_that_is_added_to_it(server: APIServer) -> None:
    big = described(NEARLY + "x" * 19_700)
    assert len(orjson.dumps(big)) < STORED_BYTES_MAX
    assert refused(await call(server, "POST", CLASSES, big))
    assert refused(await call(server, "POST", f"{CLASSES}?dryRun=All", big))


async def test_what_is_full_can_be_changed_without_growing(full: APIServer) -> None:
    assert (await patched(full, {"description": "y" * 100 + NEARLY})).status == 200
    assert (await patched(full, {"description": "small"})).status == 200


async def test_what_is_full_can_be_deleted_and_let_go_by_somebody_new(full: APIServer) -> None:
    assert refused(await patched(full, {"metadata": {"labels": {"a": "x" * 60, "b": "x" * 60}}}))
    assert (await call(full, "DELETE", ONE)).status == 200
    assert len(stored(full)) > STORED_BYTES_MAX - 120
    assert refused(await patched(full, {"metadata": {"labels": {"a": "x" * 60, "b": "x" * 60}}}))
    gone = await patched(full, {"metadata": {"finalizers": None}}, f"{ONE}?fieldManager=somebody-with-a-long-name")
    assert gone.status == 200
    assert (await call(full, "GET", ONE)).status == 404


async def test_one_finalizer_of_several_can_be_removed_but_nothing_added_with_it(full: APIServer) -> None:
    two = {"metadata": {"finalizers": ["a.io/1", "b.io/2"]}}
    assert (await patched(full, two)).status == 200
    await patched(full, {"description": orjson.loads(stored(full))["description"] + "x" * 40})
    assert (await call(full, "DELETE", ONE)).status == 200
    url = f"{ONE}?fieldManager={'m' * 100}"
    left: Object = {"metadata": {"finalizers": ["b.io/2"]}}
    assert refused(
        await patched(full, {**left, "description": MORE + str(orjson.loads(stored(full))["description"])}, url)
    )
    assert (await patched(full, left, url)).status == 200
    assert len(stored(full)) > STORED_BYTES_MAX


async def test_a_pod_at_its_limit_can_be_bound_and_say_how_it_is(server: APIServer) -> None:
    made = pod("p")
    made["spec"]["containers"][0]["env"] = [{"name": "BIG", "value": "x" * (STORED_BYTES_MAX - 3_000)}]
    assert (await call(server, "POST", PODS, made)).status == 201
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n"}}
    assert (await call(server, "POST", f"{PODS}/p/binding", binding)).status == 201
    assert (await patched(server, {"status": {"message": MORE}}, f"{PODS}/p/status")).status == 200
    for _ in range(2):
        answer = await patched(server, {"status": {"message": "x" * 2_000_000}}, f"{PODS}/p/status")
        assert answer.status == 413
        assert f"limit is {STATUS_BYTES_MAX}" in answer.json["message"]
