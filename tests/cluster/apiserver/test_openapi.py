"""OpenAPI as kubectl and helm read it."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.guarded import guarded_server, parsed, send


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


async def document(server: APIServer, path: str) -> Any:
    return parsed(await send(server, "GET", f"/openapi/v3/{path}"))


async def test_the_index_names_every_group_and_version_with_a_hash(server: APIServer) -> None:
    paths = parsed(await send(server, "GET", "/openapi/v3"))["paths"]
    url = paths["apis/apps/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/apps/v1?hash=")
    answer = await send(server, "GET", url)
    assert "immutable" in answer.headers["cache-control"]


async def test_an_old_hash_leads_to_the_new_one(server: APIServer) -> None:
    answer = await send(server, "GET", "/openapi/v3/api/v1?hash=OLD")
    assert answer.status == 301
    assert (await send(server, "GET", answer.headers["location"])).status == 200


async def test_operations_say_that_field_validation_is_understood(server: APIServer) -> None:
    paths = (await document(server, "apis/apps/v1"))["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


async def test_custom_kinds_take_no_strategic_merge(server: APIServer) -> None:
    paths = (await document(server, "apis/argoproj.io/v1alpha1"))["paths"]
    patch = paths["/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert "application/merge-patch+json" in patch["requestBody"]["content"]


@pytest.mark.parametrize("path", ["api/v1", "apis/apps/v1", "apis/argoproj.io/v1alpha1", "apis/events.k8s.io/v1"])
async def test_every_reference_leads_somewhere(server: APIServer, path: str) -> None:
    found = await document(server, path)
    schemas = found["components"]["schemas"]
    text = orjson.dumps(found).decode()
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas


async def test_fields_are_explained(server: APIServer) -> None:
    schemas = (await document(server, "apis/apps/v1"))["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert "desired pods" in spec["properties"]["replicas"]["description"]
    assert spec["properties"]["template"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}
    ]


async def test_documents_are_sent_compressed_to_whom_that_suits(server: APIServer) -> None:
    plain = await send(server, "GET", "/openapi/v3/api/v1")
    packed = await send(server, "GET", "/openapi/v3/api/v1", headers={"accept-encoding": "gzip"})
    assert isinstance(packed.body, bytes)
    assert gzip.decompress(packed.body) == plain.body


async def test_version_2_is_one_document_of_definitions_in_json_only(server: APIServer) -> None:
    definitions = parsed(await send(server, "GET", "/openapi/v2"))["definitions"]
    assert "io.argoproj.v1alpha1.Rollout" in definitions
    protobuf = {"accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    assert (await send(server, "GET", "/openapi/v2", headers=protobuf)).body == b"\x0a\x032.0"
    assert (await send(server, "GET", "/openapi/v2", headers={"accept": "text/html"})).status == 404
