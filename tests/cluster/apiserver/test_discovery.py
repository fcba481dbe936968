"""What clients discover: groups, versions, resources, in both forms; version and health."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import discovery, health
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.health import Check
from dabbawala.cluster.apiserver.request import Query, Request
from tests.cluster.apiserver.guarded import guarded_server, parsed, send

KUBECTL = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


async def test_the_aggregated_form_lists_every_group_with_its_resources(server: APIServer) -> None:
    answer = await send(server, "GET", "/apis", headers={"accept": KUBECTL})
    assert answer.headers["content-type"] == discovery.AGGREGATED
    groups = {item["metadata"]["name"]: item for item in parsed(answer)["items"]}
    apps = groups["apps"]["versions"][0]
    deployments = next(item for item in apps["resources"] if item["resource"] == "deployments")
    assert deployments["shortNames"] == ["deploy"]
    assert deployments["scope"] == "Namespaced"
    scale = next(part for part in deployments["subresources"] if part["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    versions = [item["version"] for item in groups["networking.istio.io"]["versions"]]
    assert versions == ["v1", "v1beta1", "v1alpha3"]


async def test_an_unchanged_document_is_not_sent_again(server: APIServer) -> None:
    first = await send(server, "GET", "/api", headers={"accept": KUBECTL})
    again = await send(server, "GET", "/api", headers={"accept": KUBECTL, "if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_drain_finds_eviction_in_the_legacy_list(server: APIServer) -> None:
    listed = parsed(await send(server, "GET", "/api/v1"))["resources"]
    eviction = next(item for item in listed if item["name"] == "pods/eviction")
    assert (eviction["group"], eviction["version"], eviction["kind"]) == ("policy", "v1", "Eviction")


@pytest.mark.parametrize("path", ["/api", "/api/", "/apis/", "/apis/apps", "/apis/apps/v1", "/apis/apps/v1/"])
async def test_legacy_documents_are_found_with_and_without_a_trailing_slash(server: APIServer, path: str) -> None:
    answer = await send(server, "GET", path)
    assert answer.status == 200
    assert parsed(answer)["kind"] in ("APIVersions", "APIGroupList", "APIGroup", "APIResourceList")


async def test_an_unknown_group_is_not_found(server: APIServer) -> None:
    assert (await send(server, "GET", "/apis/nobody.example")).status == 404


async def test_the_version_is_made_of_integers(server: APIServer) -> None:
    version = parsed(await send(server, "GET", "/version/"))
    assert int(version["major"]) == 1
    assert int(version["minor"]) >= 37
    assert version["gitVersion"].endswith("+dabbawala.test")


async def test_anybody_may_ask_for_health_and_version_and_nobody_for_more(server: APIServer) -> None:
    for path, expected in (("/livez", 200), ("/readyz", 200), ("/version", 200), ("/api", 403), ("/api/v1/pods", 403)):
        assert (await send(server, "GET", path, who=None)).status == expected, path


async def test_readiness_names_the_check_that_fails() -> None:
    served = health.endpoints([Check("informers", lambda: False, live=False)])
    ready = await served["/readyz"](Request("GET", "/readyz"))
    assert ready.status == 500
    assert ready.body == b"[+]ping ok\n[-]informers failed: reason withheld\nreadyz check failed\n"
    assert (await served["/livez"](Request("GET", "/livez"))).body == b"ok"
    assert (await served["/readyz/"](Request("GET", "/readyz/informers"))).status == 500
    assert (await served["/readyz"](Request("GET", "/readyz", Query.parse("exclude=informers")))).status == 200


@pytest.mark.parametrize(
    "versions", [["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo1"], ["v10", "v2", "v11beta1", "v3alpha1"]]
)
def test_stable_versions_come_first(versions: list[str]) -> None:
    assert sorted(sorted(versions), key=discovery.version_rank) == versions
