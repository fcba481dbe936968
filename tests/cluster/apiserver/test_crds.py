"""CustomResourceDefinitions: names, versions, schemas, tables, and the end of a kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.crds import CRD
from tests.cluster.apiserver.guarded import TABLE, define, extensible_server, kind, parsed, send

DEADLINE = 5.0
ORDERS = "/apis/shop.example/v1/namespaces/default/orders"


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with extensible_server(clock) as server:
        yield server


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0)


def version(name: str = "v1", *, storage: bool = True, **extra: Any) -> dict[str, Any]:
    total = {"type": "integer", "minimum": 1, "default": 5}
    spec = {"type": "object", "properties": {"total": total, "note": {"type": "string"}}}
    root = {"type": "object", "properties": {"spec": spec}}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": root}, **extra}


def definition(*versions: dict[str, Any], plural: str = "orders", **names: Any) -> dict[str, Any]:
    given = {"plural": plural, "kind": plural[:-1].title(), **names}
    return {
        "metadata": {"name": f"{plural}.shop.example"},
        "spec": {
            "group": "shop.example", "scope": "Namespaced", "names": given, "versions": list(versions or [version()]),
        },
    }  # fmt: skip


def stored(server: APIServer, crd: dict[str, Any]) -> dict[str, Any]:
    return server.core.objects.get(CRD.resource, "", crd["metadata"]["name"]) or {}


def order(server: APIServer, version: str = "v1") -> Kind:
    found = server.core.kinds.of(f"shop.example/{version}", "Order")
    assert found is not None
    return found


async def test_a_kind_is_served_as_soon_as_it_is_established(server: APIServer) -> None:
    await define(server, definition(shortNames=["od"]))
    found = await server.client().create(order(server), {"metadata": {"name": "a"}, "spec": {"extra": 1}}, "default")
    assert found["spec"] == {"total": 5}
    resources = parsed(await send(server, "GET", "/apis/shop.example/v1"))["resources"]
    assert resources[0]["shortNames"] == ["od"]
    paths = parsed(await send(server, "GET", "/openapi/v3"))["paths"]
    assert "apis/shop.example/v1" in paths


async def test_values_outside_the_schema_are_refused(server: APIServer) -> None:
    await define(server, definition())
    with pytest.raises(status.Invalid, match=r"spec\.total in body should be greater than or equal to 1"):
        await server.client().create(order(server), {"metadata": {"name": "a"}, "spec": {"total": 0}}, "default")


async def test_every_version_shows_the_same_object(server: APIServer) -> None:
    await define(server, definition(version("v1beta1", storage=False), version("v1")))
    client = server.client()
    await client.create(order(server, "v1beta1"), {"metadata": {"name": "a"}, "spec": {"total": 7}}, "default")
    found = await client.get(order(server), "a", "default")
    assert (found["apiVersion"], found["spec"]["total"]) == ("shop.example/v1", 7)
    assert stored(server, definition())["status"]["storedVersions"] == ["v1"]
    group = parsed(await send(server, "GET", "/apis/shop.example"))
    assert group["preferredVersion"]["version"] == "v1"


async def test_status_is_apart_when_the_definition_says_so(server: APIServer) -> None:
    root = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    parts = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    crd = definition(version(schema={"openAPIV3Schema": root}, subresources=parts))
    await define(server, crd)
    client, item = server.client(), order(server)
    body = {"metadata": {"name": "a"}, "spec": {"replicas": 2}, "status": {"replicas": 1}}
    made = await client.create(item, body, "default")
    assert "status" not in made
    await client.update(item, {**made, "status": {"replicas": 2}}, "status")
    scale = await client.get(item, "a", "default", subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {"replicas": 2}, 2)


async def test_its_own_columns_are_printed(server: APIServer) -> None:
    columns = [{"name": "Total", "type": "integer", "jsonPath": ".spec.total"}]
    await define(server, definition(version(additionalPrinterColumns=columns)))
    await server.client().create(order(server), {"metadata": {"name": "a"}, "spec": {}}, "default")
    found = parsed(await send(server, "GET", ORDERS, headers={"accept": TABLE}))
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Total"]
    assert found["rows"][0]["cells"] == ["a", 5]


async def test_a_changed_schema_holds_from_then_on(server: APIServer) -> None:
    await define(server, definition())
    crd = await server.client().get(CRD, "orders.shop.example")
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["total"]["default"] = 9
    before = order(server)
    await server.client().update(CRD, crd)
    await until(lambda: order(server) is not before)
    found = await server.client().create(order(server), {"metadata": {"name": "b"}, "spec": {}}, "default")
    assert found["spec"]["total"] == 9


async def test_a_default_that_is_added_later_shows_on_what_was_there_before(server: APIServer) -> None:
    await define(server, definition(version(selectableFields=[{"jsonPath": ".spec.total"}])))
    client = server.client()
    await client.create(order(server), {"metadata": {"name": "a"}, "spec": {"total": 2}}, "default")
    crd = await client.get(CRD, "orders.shop.example")
    changed = crd["spec"]["versions"][0]
    changed["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["note"]["default"] = "none"
    changed["selectableFields"] += [{"jsonPath": ".spec.note"}]
    assert (await client.list(order(server), "default", field_selector="spec.total=2")).items
    before = order(server)
    await client.update(CRD, crd)
    await until(lambda: order(server) is not before)
    wanted = {"total": 2, "note": "none"}
    assert (await client.get(order(server), "a", "default"))["spec"] == wanted
    listed = await client.list(order(server), "default", field_selector="spec.note=none")
    assert [item["spec"] for item in listed.items] == [wanted]
    events = client.watch(order(server), "default", send_initial_events=True)
    assert (await anext(events)).object["spec"] == wanted
    patched = await client.patch(order(server), "a", "default", {"spec": {"total": 3}})
    assert patched["spec"] == {"total": 3, "note": "none"}


async def test_names_belong_to_whoever_came_first(server: APIServer) -> None:
    await define(server, definition(shortNames=["od"]))
    late = definition(plural="odds", kind="Odd", shortNames=["od"])
    await define(server, late)
    accepted = conditions.find(stored(server, late), "NamesAccepted")
    assert accepted is not None
    assert (accepted["status"], accepted["reason"]) == ("False", "ShortNameConflict")
    assert accepted["message"] == '"od" is already in use'
    assert not conditions.is_true(stored(server, late), "Established")
    assert server.core.kinds.of("shop.example/v1", "Odd") is None


async def test_a_kind_ends_with_its_objects(server: APIServer) -> None:
    await define(server, definition())
    client = server.client()
    await client.create(order(server), {"metadata": {"name": "a"}, "spec": {}}, "default")
    resource = order(server).store_resource
    await client.delete(CRD, "orders.shop.example")
    await until(lambda: not stored(server, definition()))
    assert server.core.objects.count(resource) == 0
    await until(lambda: server.core.kinds.of("shop.example/v1", "Order") is None)
    assert (await send(server, "GET", ORDERS)).status == 404


async def test_a_definition_of_a_built_in_kind_is_accepted_and_changes_nothing(server: APIServer) -> None:
    crd = definition(version("v1alpha1"), plural="rollouts", kind="Rollout")
    crd["metadata"]["name"] = "rollouts.argoproj.io"
    crd["spec"]["group"] = "argoproj.io"
    await define(server, crd)
    assert conditions.is_true(stored(server, crd), "Established")
    assert server.core.kinds.of("argoproj.io/v1alpha1", "Rollout") is kind("argoproj.io/v1alpha1", "Rollout")
    await server.client().delete(CRD, "rollouts.argoproj.io")
    await until(lambda: not stored(server, crd))
    assert server.core.kinds.of("argoproj.io/v1alpha1", "Rollout") is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": {"type": "object", "properties": {"a": {}}}}, "type: Required value: must not be empty for"),
        ({"spec": {"type": "array"}}, "items: Required value: must be specified"),
        ({"spec": {"type": "poem"}}, 'Unsupported value: "poem"'),
        ({"spec": {"type": "object", "$ref": "#/x"}}, "$ref is not supported"),
        ({"spec": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}},
         "must not be empty if x-kubernetes-list-type is map"),
        ({"spec": {"type": "object", "anyOf": [{"type": "object"}]}}, "must be empty to be structural"),
        (
            {"spec": {"type": "string", "pattern": "(?=a)"}},
            'properties[spec].pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: ',
        ),
        (
            {"spec": {"type": "string", "anyOf": [{"minLength": 1}, {"not": {"pattern": "("}}]}},
            'properties[spec].anyOf[1].not.pattern: Invalid value: "(": must be a valid regular expression',
        ),
    ],
)  # fmt: skip
async def test_a_schema_that_is_not_structural_is_refused(
    server: APIServer, change: dict[str, Any], message: str
) -> None:
    crd = definition(version(schema={"openAPIV3Schema": {"type": "object", "properties": change}}))
    with pytest.raises(status.Invalid) as caught:
        await server.client().create(CRD, crd)
    assert message in caught.value.message


async def test_a_definition_is_named_by_its_plural_and_group_and_has_one_storage_version(server: APIServer) -> None:
    crd = definition(version("v1"), version("v2"))
    crd["metadata"]["name"] = "wrong.shop.example"
    with pytest.raises(status.Invalid) as caught:
        await server.client().create(CRD, crd)
    assert 'must be spec.names.plural+"."+spec.group' in caught.value.message
    assert "must have exactly one version marked as storage version" in caught.value.message
