"""Create, get, update, patch and delete, as clients of Kubernetes expect them."""

from __future__ import annotations

import asyncio
from uuid import RFC_4122, UUID

import pytest

from dabbawala.api import apps_v1, coordination_v1, core_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.apimachinery.status import AlreadyExists, BadRequest, Conflict, Forbidden, Invalid, NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver import expiry
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.store.store import Settings, Store
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, MERGE, PODS, call, config_map, deployment, pod


async def test_create_sets_what_the_server_owns(client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a", k="v"), "default")
    assert list(made)[:3] == ["apiVersion", "kind", "metadata"]
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["creationTimestamp"]) == (
        "a", "default", "2026-01-01T00:00:00Z",
    )  # fmt: skip
    uid = UUID(metadata["uid"])
    assert (str(uid), uid.version, uid.variant) == (metadata["uid"], 4, RFC_4122)
    assert metadata["resourceVersion"].isdigit()
    assert "generation" not in metadata
    assert made == await client.get(core_v1.CONFIG_MAP, "a", "default")


async def test_a_second_object_of_that_name_is_refused(client: Client) -> None:
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")


async def test_generated_names_are_unlike_and_end_in_five_letters(client: Client) -> None:
    wanted = {"metadata": {"generateName": "job-"}}
    made = [await client.create(core_v1.CONFIG_MAP, wanted, "default") for _ in range(20)]
    names = {item["metadata"]["name"] for item in made}
    assert len(names) == 20
    assert all(len(name) == 9 and not set(name[4:]) & set("aeiou013") for name in names)


async def test_a_name_that_is_given_is_never_replaced_by_a_generated_one(client: Client) -> None:
    wanted = {"metadata": {"name": "a", "generateName": "job-"}}
    assert (await client.create(core_v1.CONFIG_MAP, wanted, "default"))["metadata"]["name"] == "a"
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        await client.create(core_v1.CONFIG_MAP, wanted, "default")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Secret"}, "kind in the data"),
        ({"apiVersion": "v2"}, "API version in the data"),
        ({"metadata": {"name": "a", "namespace": "other"}}, "namespace of the provided object"),
        ({"metadata": {"name": "a", "resourceVersion": "5"}}, "resourceVersion should not be set"),
        ({"metadata": "no"}, "must be an object"),
    ],
)
async def test_a_body_that_contradicts_the_url_is_a_bad_request(
    server: APIServer, change: dict[str, object], message: str
) -> None:
    answer = await call(server, "POST", CONFIG_MAPS, {**config_map("a"), **change})
    assert answer.status == 400
    assert message in answer.json["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"", b"\xff\xfe"])
async def test_a_body_that_is_no_object_is_a_bad_request(server: APIServer, body: bytes) -> None:
    assert (await call(server, "POST", CONFIG_MAPS, body)).status == 400


async def test_a_missing_content_type_means_json_and_yaml_is_read_too(server: APIServer) -> None:
    assert (await call(server, "POST", CONFIG_MAPS, config_map("a"), content_type="")).status == 201
    text = b"metadata: {name: b}\ndata: {day: '2026-01-01', 'on': 'x'}\n"
    answer = await call(server, "POST", CONFIG_MAPS, text, content_type="application/yaml")
    assert answer.json["data"] == {"day": "2026-01-01", "on": "x"}
    assert (await call(server, "POST", CONFIG_MAPS, b"x", content_type="image/png")).status == 415


async def test_a_trailing_slash_changes_nothing(server: APIServer) -> None:
    await call(server, "POST", CONFIG_MAPS + "/", config_map("a"))
    assert (await call(server, "GET", CONFIG_MAPS + "/a/")).json["metadata"]["name"] == "a"
    assert len((await call(server, "GET", CONFIG_MAPS + "/")).json["items"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/unicorns", 404),
        ("GET", "/apis/none/v1/pods", 404),
        ("GET", "/api/v1/pods/x", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", PODS + "/x/unknown", 404),
        ("POST", "/api/v1/pods", 405),
        ("DELETE", "/api/v1/pods", 405),
        ("PUT", PODS, 405),
        ("POST", PODS + "/x", 405),
        ("OPTIONS", PODS, 405),
        ("GET", "/nothing", 404),
    ],
)
async def test_what_is_not_served_answers_a_status(server: APIServer, method: str, path: str, code: int) -> None:
    answer = await call(server, method, path, {})
    assert answer.status == code
    assert answer.json["kind"] == "Status"
    assert answer.json["code"] == code


async def test_dry_run_creates_updates_and_deletes_nothing(server: APIServer, client: Client) -> None:
    answer = await call(server, "POST", CONFIG_MAPS + "?dryRun=All", config_map("a"))
    assert answer.status == 201
    assert answer.json["metadata"]["uid"]
    with pytest.raises(NotFound):
        await client.get(core_v1.CONFIG_MAP, "a", "default")
    made = await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    patched = await call(server, "PATCH", CONFIG_MAPS + "/a?dryRun=All", {"data": {"k": "v"}}, content_type=MERGE)
    assert patched.json["data"] == {"k": "v"}
    assert (await call(server, "DELETE", CONFIG_MAPS + "/a?dryRun=All")).status == 200
    assert await client.get(core_v1.CONFIG_MAP, "a", "default") == made
    assert (await call(server, "POST", CONFIG_MAPS + "?dryRun=Some", config_map("b"))).status == 400


# Updates ---------------------------------------------------------------------------------------------------------


async def test_an_update_on_an_old_version_conflicts(client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await client.update(core_v1.CONFIG_MAP, {**made, "data": {"k": "1"}})
    with pytest.raises(Conflict, match="the object has been modified; please apply your changes to the latest"):
        await client.update(core_v1.CONFIG_MAP, {**made, "data": {"k": "2"}})


async def test_an_update_without_a_version_overwrites(client: Client) -> None:
    await client.create(core_v1.CONFIG_MAP, config_map("a", k="1"), "default")
    await client.update(
        core_v1.CONFIG_MAP, {**config_map("a", k="2"), "metadata": {"name": "a", "namespace": "default"}}
    )
    assert (await client.get(core_v1.CONFIG_MAP, "a", "default"))["data"] == {"k": "2"}


async def test_an_update_that_changes_nothing_writes_nothing(server: APIServer, client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a", k="1"), "default")
    before = server.core.store.revision
    assert await client.update(core_v1.CONFIG_MAP, made) == made
    assert await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"k": "1"}}) == made
    assert server.core.store.revision == before


async def test_what_the_server_owns_cannot_be_changed(client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    metadata = {
        **made["metadata"],
        "creationTimestamp": "2000-01-01T00:00:00Z",
        "deletionTimestamp": "2000-01-01T00:00:00Z",
    }
    after = await client.update(core_v1.CONFIG_MAP, {**made, "metadata": metadata})
    assert after["metadata"] == made["metadata"]
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition"):
        await client.update(core_v1.CONFIG_MAP, {**made, "metadata": {**made["metadata"], "uid": "other"}})


async def test_generation_counts_changes_of_the_spec_only(client: Client) -> None:
    kind = apps_v1.DEPLOYMENT
    made = await client.create(kind, deployment("web"))
    assert made["metadata"]["generation"] == 1
    labelled = await client.patch(kind, "web", "default", {"metadata": {"labels": {"a": "b"}}})
    assert labelled["metadata"]["generation"] == 1
    scaled = await client.patch(kind, "web", "default", {"spec": {"replicas": 3}})
    assert scaled["metadata"]["generation"] == 2
    reported = await client.patch(kind, "web", "default", {"status": {"replicas": 3}}, subresource="status")
    assert reported["metadata"]["generation"] == 2


async def test_status_and_the_rest_are_written_apart(client: Client) -> None:
    kind = apps_v1.DEPLOYMENT
    await client.create(kind, {**deployment("web"), "status": {"replicas": 9}})
    both = {"spec": {"replicas": 5}, "status": {"replicas": 2}}
    reported = await client.patch(kind, "web", "default", both, subresource="status")
    assert (reported["spec"]["replicas"], reported["status"]["replicas"]) == (1, 2)
    scaled = await client.patch(kind, "web", "default", {"spec": {"replicas": 5}, "status": {"replicas": 7}})
    assert (scaled["spec"]["replicas"], scaled["status"]["replicas"]) == (5, 2)


async def test_put_creates_a_missing_lease_but_no_config_map(server: APIServer) -> None:
    lease = {"metadata": {"name": "n"}, "spec": {"holderIdentity": "x"}}
    path = coordination_v1.LEASE.path("default", "n")
    assert (await call(server, "PUT", path, lease)).status == 201
    assert (await call(server, "PUT", CONFIG_MAPS + "/a", config_map("a"))).status == 404


async def test_invalid_objects_name_every_field(client: Client) -> None:
    wrong = deployment("web")
    wrong["spec"]["replicas"] = -1
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(Invalid) as caught:
        await client.create(apps_v1.DEPLOYMENT, wrong)
    fields = {cause["field"] for cause in caught.value.details["causes"]}
    assert fields == {"spec.replicas", "spec.template.metadata.labels"}


# Patches ---------------------------------------------------------------------------------------------------------


async def test_patches_made_at_once_all_take_effect(client: Client) -> None:
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await asyncio.gather(
        *(client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {f"k{index}": "v"}}) for index in range(30))
    )
    assert len((await client.get(core_v1.CONFIG_MAP, "a", "default"))["data"]) == 30


async def test_patches_made_at_once_all_take_effect_on_disk_too(tmp_path, clock: VirtualClock) -> None:
    store = await Store.open(tmp_path / "state.db", clock=clock, settings=Settings())
    async with APIServer.in_memory([core_v1.NAMESPACE, core_v1.CONFIG_MAP], clock=clock, store=store) as server:
        client = server.client()
        await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
        await asyncio.gather(
            *(client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {f"k{index}": "v"}}) for index in range(15))
        )
        assert len((await client.get(core_v1.CONFIG_MAP, "a", "default"))["data"]) == 15


async def test_a_patch_that_names_an_old_version_conflicts(client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    body = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "1"}}
    await client.patch(core_v1.CONFIG_MAP, "a", "default", body)
    with pytest.raises(Conflict):
        await client.patch(core_v1.CONFIG_MAP, "a", "default", {**body, "data": {"k": "2"}})


async def test_each_patch_type_does_its_own_thing(client: Client) -> None:
    kind = apps_v1.DEPLOYMENT
    await client.create(kind, deployment("web"))
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}}
    strategic = await client.patch(kind, "web", "default", sidecar, type=PatchType.STRATEGIC)
    assert {item["name"] for item in strategic["spec"]["template"]["spec"]["containers"]} == {"main", "side"}
    merged = await client.patch(kind, "web", "default", sidecar, type=PatchType.MERGE)
    assert [item["name"] for item in merged["spec"]["template"]["spec"]["containers"]] == ["side"]
    steps = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
    ]
    stepped = await client.patch(kind, "web", "default", steps, type=PatchType.JSON)
    assert stepped["spec"]["replicas"] == 4
    with pytest.raises(Invalid):
        await client.patch(kind, "web", "default", steps, type=PatchType.JSON)


async def test_custom_kinds_take_no_strategic_merge(server: APIServer, client: Client) -> None:
    path = "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/x"
    answer = await call(server, "PATCH", path, {}, content_type=str(PatchType.STRATEGIC))
    assert answer.status == 415
    assert "merge-patch" in answer.json["message"]


async def test_apply_creates_updates_and_conflicts_by_manager(client: Client) -> None:
    kind = core_v1.CONFIG_MAP
    whole = {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "1"}}
    await client.writing_as("one").apply(kind, whole, force=False)
    await client.writing_as("two").apply(kind, {**whole, "data": {"other": "1"}}, force=False)
    with pytest.raises(Conflict, match='conflict with "one"'):
        await client.writing_as("two").apply(kind, {**whole, "data": {"k": "2"}}, force=False)
    await client.writing_as("two").apply(kind, {**whole, "data": {"k": "2"}})
    await client.writing_as("one").apply(kind, {"metadata": whole["metadata"]}, force=False)
    after = await client.get(kind, "a", "default")
    assert after["data"] == {"k": "2"}
    assert [(entry["manager"], entry["operation"]) for entry in after["metadata"]["managedFields"]] == [
        ("two", "Apply")
    ]


async def test_apply_needs_a_manager(server: APIServer) -> None:
    answer = await call(server, "PATCH", CONFIG_MAPS + "/a", config_map("a"), content_type=str(PatchType.APPLY))
    assert answer.status == 422
    assert "fieldManager" in answer.json["message"]


async def test_two_who_apply_a_new_object_at_once_both_succeed(server: APIServer) -> None:
    async def apply(manager: str) -> int:
        path = f"{CONFIG_MAPS}/a?fieldManager={manager}"
        body = config_map("a", **{manager: "1"})
        return (await call(server, "PATCH", path, body, content_type=str(PatchType.APPLY))).status

    assert sorted(await asyncio.gather(apply("first"), apply("second"))) == [200, 201]
    assert (await call(server, "GET", CONFIG_MAPS + "/a")).json["data"] == {"first": "1", "second": "1"}


async def test_updates_note_who_manages_what(server: APIServer) -> None:
    await call(server, "POST", CONFIG_MAPS + "?fieldManager=maker", config_map("a", k="1"))
    answer = await call(server, "PATCH", CONFIG_MAPS + "/a", {"data": {"z": "1"}}, content_type=MERGE)
    entries = {entry["manager"]: entry["fieldsV1"] for entry in answer.json["metadata"]["managedFields"]}
    assert entries == {"maker": {"f:data": {".": {}, "f:k": {}}}, "test": {"f:data": {"f:z": {}}}}


# Deletion --------------------------------------------------------------------------------------------------------


async def test_delete_answers_a_status_with_the_uid(server: APIServer) -> None:
    made = (await call(server, "POST", CONFIG_MAPS, config_map("a"))).json
    answer = await call(server, "DELETE", CONFIG_MAPS + "/a")
    assert answer.json["status"] == "Success"
    assert answer.json["details"]["uid"] == made["metadata"]["uid"]
    assert (await call(server, "DELETE", CONFIG_MAPS + "/a")).status == 404


async def test_preconditions_protect_a_namesake(client: Client) -> None:
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    with pytest.raises(Conflict, match="Precondition failed"):
        await client.delete(core_v1.CONFIG_MAP, "a", "default", uid="other")


async def test_finalizers_hold_an_object_until_the_last_is_gone(client: Client) -> None:
    kind = core_v1.CONFIG_MAP
    held = {"metadata": {"name": "a", "finalizers": ["example.com/one", "example.com/two"]}}
    await client.create(kind, held, "default")
    marked = await client.delete(kind, "a", "default")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    again = await client.delete(kind, "a", "default")
    assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    with pytest.raises(Invalid, match="no new finalizers can be added if the object is being deleted"):
        await client.patch(kind, "a", "default", {"metadata": {"finalizers": ["example.com/three"]}})
    await client.patch(kind, "a", "default", {"metadata": {"finalizers": ["example.com/two"]}})
    await client.get(kind, "a", "default")
    await client.patch(kind, "a", "default", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await client.get(kind, "a", "default")


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)]
)
async def test_propagation_policies_become_finalizers(
    client: Client, policy: str, finalizers: list[str] | None
) -> None:
    await client.create(apps_v1.DEPLOYMENT, deployment("web"))
    answer = await client.delete(apps_v1.DEPLOYMENT, "web", "default", propagation_policy=policy)
    assert answer.get("metadata", {}).get("finalizers") == finalizers


async def test_a_running_pod_ends_gracefully_and_the_kubelet_has_the_last_word(
    client: Client, clock: VirtualClock
) -> None:
    await client.create(core_v1.POD, pod("p", nodeName="n", terminationGracePeriodSeconds=20))
    marked = await client.delete(core_v1.POD, "p", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 20
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:20Z"
    assert marked["metadata"]["generation"] == 2
    shorter = await client.delete(core_v1.POD, "p", "default", grace_period_seconds=5)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    longer = await client.delete(core_v1.POD, "p", "default", grace_period_seconds=50)
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5
    await client.patch(core_v1.POD, "p", "default", {"status": {"phase": "Running"}}, subresource="status")
    await client.delete(core_v1.POD, "p", "default", grace_period_seconds=0)
    with pytest.raises(NotFound):
        await client.get(core_v1.POD, "p", "default")


@pytest.mark.parametrize("spec", [{}, {"nodeName": "n"}])
async def test_a_pod_that_runs_nowhere_goes_at_once(client: Client, spec: dict[str, str]) -> None:
    await client.create(core_v1.POD, pod("p", **spec))
    if spec:
        await client.patch(core_v1.POD, "p", "default", {"status": {"phase": "Succeeded"}}, subresource="status")
    await client.delete(core_v1.POD, "p", "default")
    with pytest.raises(NotFound):
        await client.get(core_v1.POD, "p", "default")


async def test_a_collection_is_deleted_by_selector(server: APIServer, client: Client) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": name, "labels": {"l": label}}}, "default")
    answer = await call(server, "DELETE", CONFIG_MAPS + "?labelSelector=l=x")
    assert [item["metadata"]["name"] for item in answer.json["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in (await client.list(core_v1.CONFIG_MAP)).items] == ["c"]


async def test_a_namespace_goes_once_it_is_finalized(client: Client) -> None:
    await client.create(core_v1.NAMESPACE, {"metadata": {"name": "team"}})
    marked = await client.delete(core_v1.NAMESPACE, "team")
    assert marked["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await client.create(core_v1.CONFIG_MAP, config_map("a"), "team")
    await client.update(core_v1.NAMESPACE, {**marked, "spec": {"finalizers": []}}, "finalize")
    with pytest.raises(NotFound):
        await client.get(core_v1.NAMESPACE, "team")


async def test_the_namespaces_of_the_system_cannot_be_deleted(client: Client) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await client.delete(core_v1.NAMESPACE, "kube-system")


async def test_events_are_one_store_in_two_views_and_expire(server: APIServer, clock: VirtualClock) -> None:
    event = {
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "Started", "message": "it runs", "type": "Normal", "count": 2,
    }  # fmt: skip
    assert (await call(server, "POST", "/api/v1/namespaces/default/events", event)).status == 201
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    seen = (await call(server, "GET", path + "?fieldSelector=regarding.name=p")).json["items"]
    assert [(item["note"], item["regarding"]["name"], item["deprecatedCount"]) for item in seen] == [
        ("it runs", "p", 2)
    ]
    assert seen[0]["apiVersion"] == "events.k8s.io/v1"
    clock.advance(1800)
    assert await expiry.expire(server.core, "events", 3600) == 0
    clock.advance(1900)
    assert await expiry.expire(server.core, "events", 3600) == 1
    assert (await call(server, "GET", path)).json["items"] == []


async def test_bad_requests_never_change_the_world(server: APIServer) -> None:
    before = server.core.store.revision
    for body in ({"metadata": {}}, {"metadata": {"name": "Bad Name"}}, {"metadata": {"name": "a"}, "data": {"k": 1}}):
        assert (await call(server, "POST", CONFIG_MAPS, body)).status in (400, 422)
    assert server.core.store.revision == before


async def test_a_bad_request_says_which_field(client: Client) -> None:
    with pytest.raises(BadRequest, match="cannot unmarshal number into Go struct field"):
        await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "a"}, "data": {"k": 1}}, "default")
