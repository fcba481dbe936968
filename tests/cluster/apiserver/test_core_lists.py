"""Lists: selectors, pages over one moment, and the rules of resourceVersion."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import core_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.status import BadRequest
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, call, config_map, pod


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


async def _seven(client: Client) -> None:
    for name in "gfedcba":
        await client.create(core_v1.CONFIG_MAP, config_map(name), "default")


async def test_a_list_is_sorted_and_carries_the_newest_version(server: APIServer, client: Client) -> None:
    await _seven(client)
    answer = (await call(server, "GET", CONFIG_MAPS)).json
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert names(answer) == list("abcdefg")
    assert answer["metadata"] == {"resourceVersion": str(server.core.store.revision)}


async def test_pages_show_one_moment_and_count_what_is_left(server: APIServer, client: Client) -> None:
    await _seven(client)
    first = (await call(server, "GET", CONFIG_MAPS + "?limit=3")).json
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b", "c"], 4)
    await client.delete(core_v1.CONFIG_MAP, "e", "default")
    await client.create(core_v1.CONFIG_MAP, config_map("dd"), "default")
    second = (await call(server, "GET", f"{CONFIG_MAPS}?limit=3&continue={first['metadata']['continue']}")).json
    assert (names(second), second["metadata"]["remainingItemCount"]) == (["d", "e", "f"], 1)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = (await call(server, "GET", f"{CONFIG_MAPS}?limit=3&continue={second['metadata']['continue']}")).json
    assert names(third) == ["g"]
    assert "continue" not in third["metadata"]


async def test_a_page_with_a_selector_does_not_count_what_is_left(server: APIServer, client: Client) -> None:
    for index in range(6):
        labels = {"even": str(index % 2 == 0).lower()}
        await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": f"n{index}", "labels": labels}}, "default")
    first = (await call(server, "GET", CONFIG_MAPS + "?limit=2&labelSelector=even=true")).json
    assert names(first) == ["n0", "n2"]
    assert "remainingItemCount" not in first["metadata"]
    url = f"{CONFIG_MAPS}?limit=2&labelSelector=even=true&continue={first['metadata']['continue']}"
    last = (await call(server, "GET", url)).json
    assert names(last) == ["n4"]
    assert "continue" not in last["metadata"]


async def test_a_compacted_page_answers_410_with_a_token_to_go_on(server: APIServer, client: Client) -> None:
    await _seven(client)
    first = (await call(server, "GET", CONFIG_MAPS + "?limit=3")).json
    await client.create(core_v1.CONFIG_MAP, config_map("dd"), "default")
    server.core.store.compact(everything=True)
    gone = await call(server, "GET", f"{CONFIG_MAPS}?limit=3&continue={first['metadata']['continue']}")
    assert gone.status == 410
    assert gone.json["reason"] == "Expired"
    rest = (await call(server, "GET", f"{CONFIG_MAPS}?limit=9&continue={gone.json['metadata']['continue']}")).json
    assert names(rest) == ["d", "dd", "e", "f", "g"]


async def test_labels_and_fields_select(server: APIServer, client: Client) -> None:
    await client.create(
        core_v1.POD, {**pod("a", nodeName="n1"), "metadata": {"name": "a", "labels": {"app": "x"}}}, "default"
    )
    await client.create(
        core_v1.POD, {**pod("b", nodeName="n2"), "metadata": {"name": "b", "labels": {"app": "y"}}}, "default"
    )

    async def found(**selectors: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await client.list(core_v1.POD, **selectors)).items]

    assert await found(label_selector="app in (x,z)") == ["a"]
    assert await found(label_selector="app!=x") == ["b"]
    assert await found(field_selector="spec.nodeName=n2") == ["b"]
    assert await found(field_selector="metadata.name=a,metadata.name=a") == ["a"]
    assert await found(field_selector="status.phase!=Pending") == []
    assert await found(field_selector="metadata.namespace=default", label_selector="app") == ["a", "b"]
    with pytest.raises(BadRequest, match=r'"spec\.colour" is not a known field selector'):
        await found(field_selector="spec.colour=red")
    with pytest.raises(BadRequest):
        await found(label_selector="a==b==c")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422),
        ("resourceVersionMatch=Sometimes&resourceVersion=1", 422),
        ("resourceVersionMatch=NotOlderThan&continue=x&resourceVersion=1", 422),
        ("sendInitialEvents=true", 422),
        ("resourceVersion=abc", 422),
        ("continue=garbage", 400),
        ("limit=many", 400),
        ("resourceVersion=99999", 504),
        ("resourceVersion=99999&resourceVersionMatch=NotOlderThan", 504),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersion=5&resourceVersionMatch=Exact", 200),
        ("resourceVersion=5", 200),
    ],
)
async def test_the_mixes_of_versions_that_upstream_refuses(
    server: APIServer, client: Client, query: str, code: int
) -> None:
    await _seven(client)
    assert (await call(server, "GET", f"{CONFIG_MAPS}?{query}")).status == code


async def test_exact_shows_the_past_and_the_rest_the_present(server: APIServer, client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    then = made["metadata"]["resourceVersion"]
    await client.create(core_v1.CONFIG_MAP, config_map("b"), "default")

    async def seen(query: str) -> list[str]:
        return names((await call(server, "GET", f"{CONFIG_MAPS}?{query}")).json)

    assert await seen(f"resourceVersion={then}&resourceVersionMatch=Exact") == ["a"]
    assert await seen(f"resourceVersion={then}&limit=5") == ["a"]
    assert await seen(f"resourceVersion={then}&resourceVersionMatch=NotOlderThan") == ["a", "b"]
    assert await seen(f"resourceVersion={then}") == ["a", "b"]
    server.core.store.compact(everything=True)
    gone = await call(server, "GET", f"{CONFIG_MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
    assert gone.status == 410


async def test_a_long_list_is_streamed_whole(server: APIServer, client: Client, clock: VirtualClock) -> None:
    for index in range(1203):
        await client.create(core_v1.CONFIG_MAP, config_map(f"n{index:05}"), "default")
    answer = (await call(server, "GET", CONFIG_MAPS)).json
    assert names(answer) == [f"n{index:05}" for index in range(1203)]
    assert len((await client.list(core_v1.CONFIG_MAP)).items) == 1203
