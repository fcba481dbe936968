"""Tables and partial objects, as negotiated by the Accept header."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import orjson
import pytest

from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import table
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.request import Query, Request
from tests.cluster.apiserver.guarded import TABLE, guarded_server, kind, parsed, send

CONFIG_MAP = kind("v1", "ConfigMap")
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        client = server.client()
        await client.create(CONFIG_MAP, {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}, "default")
        clock.advance(90)
        yield server


async def test_a_list_becomes_rows_with_ages(server: APIServer) -> None:
    found = parsed(await send(server, "GET", "/api/v1/namespaces/default/configmaps", headers={"accept": TABLE}))
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Data", "Age"]
    [row] = found["rows"]
    assert row["cells"] == ["a", 2, "90s"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    assert int(found["metadata"]["resourceVersion"]) > 0


@pytest.mark.parametrize(("include", "shown"), [("None", None), ("Metadata", "PartialObjectMetadata"),
                                                ("Object", "ConfigMap")])  # fmt: skip
async def test_rows_carry_as_much_of_the_object_as_asked(server: APIServer, include: str, shown: str | None) -> None:
    url = f"/api/v1/namespaces/default/configmaps/a?includeObject={include}"
    [row] = parsed(await send(server, "GET", url, headers={"accept": TABLE}))["rows"]
    assert (row["object"] or {}).get("kind") == shown


async def test_a_list_can_be_reduced_to_metadata(server: APIServer) -> None:
    url = "/api/v1/namespaces/default/configmaps"
    found = parsed(await send(server, "GET", url, headers={"accept": PARTIAL}))
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False), ("*/*", False), ("application/json", False), (TABLE, True),
        ("application/vnd.kubernetes.protobuf,application/json", False),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io," + TABLE, True),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", False),
    ],
)  # fmt: skip
def test_the_first_clause_that_can_be_met_wins(accept: str, expected: bool) -> None:
    chosen = table.negotiator(VirtualClock())(Request("GET", "/", headers={"accept": accept}), CONFIG_MAP)
    assert isinstance(chosen, table.Table) is expected


async def test_an_unknown_form_is_not_acceptable(server: APIServer) -> None:
    url = "/api/v1/namespaces/default/configmaps"
    answer = await send(server, "GET", url, headers={"accept": "application/json;as=Poem;g=meta.k8s.io;v=v1"})
    assert answer.status == 406
    assert parsed(answer)["reason"] == "NotAcceptable"


def test_only_the_first_event_of_a_watch_describes_the_columns() -> None:
    form = table.Table(CONFIG_MAP, "meta.k8s.io/v1", "None", VirtualClock())
    body = orjson.dumps({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}})
    first, second = orjson.loads(form.event(body)), orjson.loads(form.event(body))
    assert len(first["columnDefinitions"]) == 3
    assert second["columnDefinitions"] is None
    assert second["rows"] == [{"cells": ["a", 0, "0s"], "object": None}]


def test_an_object_that_is_hardly_there_still_makes_a_row() -> None:
    deployment = kind("apps/v1", "Deployment")
    form = table.Table(deployment, "meta.k8s.io/v1", "None", VirtualClock())
    [row] = orjson.loads(form.event(b'{"metadata":{"resourceVersion":"7"}}'))["rows"]
    assert len(row["cells"]) == len(deployment.columns)


def test_columns_found_by_path_keep_their_type() -> None:
    columns = (
        Column("N", path=".spec.n", type="integer"),
        Column("S", path=".spec.s"),
        Column("L", path=".spec.l"),
        Column("B", path=".spec.b", type="boolean"),
        Column("D", path=".spec.d", type="date"),
        Column("Gone", path=".spec.gone"),
        Column("Wrong", path=".spec.s", type="integer"),
    )
    made = Kind(group="x.io", version="v1", kind="X", plural="xs", columns=columns)
    clock = VirtualClock(datetime(2026, 1, 1, 1, tzinfo=UTC))
    chosen = table.negotiator(clock)(Request("GET", "/", Query(), {"accept": TABLE}), made)
    assert chosen is not None
    spec = {"n": 3, "s": "text", "l": ["a"], "b": True, "d": "2026-01-01T00:00:00Z"}
    [row] = orjson.loads(chosen.one(orjson.dumps({"metadata": {}, "spec": spec})))["rows"]
    assert row["cells"] == [3, "text", '["a"]', True, "60m", None, None]
