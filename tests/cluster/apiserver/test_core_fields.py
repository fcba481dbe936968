"""fieldValidation: what becomes of unknown, duplicate and mistyped fields."""

from __future__ import annotations

import pytest

from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import MERGE, call

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts"
TEMPLATE = b'"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i","colour":1}]}}'
BODY = (
    b'{"metadata":{"name":"web"},"spec":{"replicas":1,"replicas":2,"selector":{"matchLabels":{"a":"b"}},'
    + TEMPLATE
    + b"}}"
)


async def test_strict_refuses_and_names_every_problem(server: APIServer) -> None:
    answer = await call(server, "POST", DEPLOYMENTS + "?fieldValidation=Strict", BODY)
    assert answer.status == 400
    message = answer.json["message"]
    assert "strict decoding error" in message
    assert 'duplicate field "spec.replicas"' in message
    assert 'unknown field "spec.template.spec.containers[0].colour"' in message


@pytest.mark.parametrize("query", ["", "?fieldValidation=Warn"])
async def test_warn_drops_and_says_so(server: APIServer, query: str) -> None:
    answer = await call(server, "POST", DEPLOYMENTS + query, BODY)
    assert answer.status == 201
    assert "colour" not in answer.json["spec"]["template"]["spec"]["containers"][0]
    assert answer.headers["warning"].count("299 - ") == 2


async def test_ignore_drops_in_silence(server: APIServer) -> None:
    answer = await call(server, "POST", DEPLOYMENTS + "?fieldValidation=Ignore", BODY)
    assert answer.status == 201
    assert "warning" not in answer.headers


async def test_an_unknown_mode_is_invalid(server: APIServer) -> None:
    assert (await call(server, "POST", DEPLOYMENTS + "?fieldValidation=Loose", BODY)).status == 422


async def test_duplicates_in_yaml_are_noticed(server: APIServer) -> None:
    body = b"metadata: {name: web}\ndata:\n  a: x\n  a: y\n"
    url = "/api/v1/namespaces/default/configmaps?fieldValidation=Strict"
    answer = await call(server, "POST", url, body, content_type="application/yaml")
    assert (answer.status, "already set in map" in answer.json["message"]) == (400, True)


async def test_patches_are_checked_too(server: APIServer) -> None:
    await call(server, "POST", DEPLOYMENTS, BODY)
    url = DEPLOYMENTS + "/web?fieldValidation=Strict"
    answer = await call(server, "PATCH", url, {"spec": {"paused": True, "pasued": True}}, content_type=MERGE)
    assert (answer.status, 'unknown field "spec.pasued"' in answer.json["message"]) == (400, True)
    mistyped = await call(server, "PATCH", url, {"spec": {"replicas": "three"}}, content_type=MERGE)
    assert (mistyped.status, "cannot unmarshal string" in mistyped.json["message"]) == (400, True)


async def test_custom_kinds_are_pruned_defaulted_and_checked_by_their_schema(server: APIServer) -> None:
    strategy = {"canary": {"steps": [{"setWeight": "x"}], "colour": "red"}}
    body = {"metadata": {"name": "r"}, "spec": {"strategy": strategy, "selector": {}}}
    answer = await call(server, "POST", ROLLOUTS, body)
    assert answer.status == 422
    assert {cause["field"] for cause in answer.json["details"]["causes"]} == {"spec.strategy.canary.steps[0].setWeight"}
