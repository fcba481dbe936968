"""Admission policies as the API server enforces them: what is refused, warned of, and written into the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.request import LOOPBACK, Request
from dabbawala.policy.enforcement import FAILURE_ANNOTATION
from tests.cluster.apiserver.admission_worlds import (
    BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    MAPS,
    NAMESPACE,
    POD,
    PODS,
    POLICY,
    binding,
    config_map,
    install,
    pod,
    policy,
    rule,
)
from tests.cluster.apiserver.guarded import guarded_server, kind, parsed, send, user

DENIED = "ValidatingAdmissionPolicy 'p.example.com' with binding 'b.example.com' denied request: "


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


def refusal(name: str, why: str, resource: str = "configmaps") -> str:
    return f'{resource} "{name}" is forbidden: {DENIED}{why}'


async def audited(server: APIServer, method: str, path: str, body: object) -> tuple[int, dict[str, str]]:
    request = Request(method, path, body=orjson.dumps(body), user=LOOPBACK)
    answer = await server.handle(request)
    return answer.status, request.annotations


# Refusals --------------------------------------------------------------------------------------------------------


async def test_a_refusal_has_upstreams_words_reason_and_cause(server: APIServer) -> None:
    await install(server, policy("object.data.size() < 2"))
    assert (await send(server, "POST", MAPS, config_map("ok", a="1"))).status == 201
    answer = await send(server, "POST", MAPS, config_map("big", a="1", b="2"))
    told = parsed(answer)
    why = "failed expression: object.data.size() < 2"
    assert (answer.status, told["reason"], told["message"]) == (422, "Invalid", refusal("big", why))
    assert told["details"] == {"name": "big", "kind": "configmaps", "causes": [{"message": DENIED + why}]}


@pytest.mark.parametrize(
    ("reason", "code"), [("Forbidden", 403), ("Invalid", 422), ("RequestEntityTooLarge", 413)]
)  # fmt: skip
async def test_the_reason_of_a_validation_is_the_reason_of_the_refusal(
    server: APIServer, reason: str, code: int
) -> None:
    await install(server, policy("false", validation={"reason": reason, "message": "no"}))
    answer = await send(server, "POST", MAPS, config_map())
    assert (answer.status, parsed(answer)["reason"], parsed(answer)["code"]) == (code, reason, code)


async def test_a_request_that_leaves_the_name_to_the_server_has_none(server: APIServer) -> None:
    """Such as every pod of a workload: a policy that reads `request.name` fails there, as on a real server."""
    await install(server, policy("has(request.name)", validation={"message": "no name"}))
    assert (await send(server, "POST", MAPS, config_map("a"))).status == 201
    answer = await send(server, "POST", MAPS, {"metadata": {"generateName": "a-"}})
    assert answer.status == 422
    assert parsed(answer)["message"].startswith('configmaps "a-')
    assert parsed(answer)["message"].endswith(f"{DENIED}no name")


async def test_a_request_for_a_namespace_is_in_it_from_its_creation_on(server: APIServer) -> None:
    said = "request.namespace == 'shop' && request.name == 'shop'"
    await install(server, policy(said, rule(["namespaces"], "*")))
    path = "/api/v1/namespaces"
    assert (await send(server, "POST", path, {"metadata": {"name": "shop"}})).status == 201
    assert (await send(server, "POST", path, {"metadata": {"name": "other"}})).status == 422
    assert (await send(server, "DELETE", f"{path}/shop")).status == 200


async def test_a_policy_without_a_binding_does_nothing_and_works_from_its_binding_on(server: APIServer) -> None:
    client = server.client()
    await client.create(POLICY, policy("false"))
    assert (await send(server, "POST", MAPS, config_map("a"))).status == 201
    await client.create(BINDING, binding())
    assert (await send(server, "POST", MAPS, config_map("b"))).status == 422
    await client.delete(BINDING, "b.example.com")
    assert (await send(server, "POST", MAPS, config_map("c"))).status == 201


async def test_a_changed_policy_is_the_one_that_is_enforced(server: APIServer) -> None:
    await install(server, policy("false"))
    assert (await send(server, "POST", MAPS, config_map())).status == 422
    await server.client().patch(POLICY, "p.example.com", "", {"spec": {"validations": [{"expression": "true"}]}})
    assert (await send(server, "POST", MAPS, config_map())).status == 201


async def test_updates_patches_and_applies_are_judged_with_the_old_object(server: APIServer) -> None:
    await server.client().create(CONFIG_MAP, config_map("m", a="1"), "default")
    await install(server, policy("oldObject == null || object.data.a == oldObject.data.a"))
    change = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("m", a="2")}
    attempts = [
        await send(server, "PUT", f"{MAPS}/m", change),
        await send(server, "PATCH", f"{MAPS}/m", {"data": {"a": "2"}},
                   headers={"content-type": "application/merge-patch+json"}),
        await send(server, "PATCH", f"{MAPS}/m?fieldManager=t&force=true", change,
                   headers={"content-type": "application/apply-patch+yaml"}),
    ]  # fmt: skip
    assert [answer.status for answer in attempts] == [422, 422, 422]
    assert (await server.client().get(CONFIG_MAP, "m", "default"))["data"] == {"a": "1"}


async def test_an_apply_that_creates_is_a_create(server: APIServer) -> None:
    await install(server, policy("request.operation != 'CREATE'", rule(["configmaps"], "*")))
    body = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("new")}
    headers = {"content-type": "application/apply-patch+yaml"}
    answer = await send(server, "PATCH", f"{MAPS}/new?fieldManager=t", body, headers=headers)
    assert answer.status == 422


async def test_deletions_and_collections_are_judged_object_by_object(server: APIServer) -> None:
    client = server.client()
    for name in ("keep", "go"):
        await client.create(
            CONFIG_MAP, {"metadata": {"name": name, "labels": {"keep": str(name == "keep")}}}, "default"
        )
    made = policy("oldObject.metadata.labels.keep != 'True' && object == null", rule(["configmaps"], "DELETE"))
    await install(server, made)
    assert (await send(server, "DELETE", f"{MAPS}/keep")).status == 422
    assert (await send(server, "DELETE", f"{MAPS}?labelSelector=keep=False")).status == 200
    assert (await send(server, "DELETE", MAPS)).status == 422
    assert [item["metadata"]["name"] for item in (await client.list(CONFIG_MAP, "default")).items] == ["keep"]


async def test_a_deletion_shows_its_options(server: APIServer) -> None:
    await server.client().create(CONFIG_MAP, config_map("m"), "default")
    await install(server, policy("request.options.?propagationPolicy.orValue('') == 'Foreground'",
                                 rule(["configmaps"], "DELETE")))  # fmt: skip
    assert (await send(server, "DELETE", f"{MAPS}/m")).status == 422
    assert (await send(server, "DELETE", f"{MAPS}/m?propagationPolicy=Foreground")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_dry_run_is_judged_too_and_says_that_it_is_one(server: APIServer, method: str) -> None:
    await server.client().create(CONFIG_MAP, config_map("m"), "default")
    await install(server, policy("!request.dryRun", rule(["configmaps"], "*")))
    path = f"{MAPS}?dryRun=All" if method == "POST" else f"{MAPS}/m?dryRun=All"
    body = None if method == "DELETE" else {"apiVersion": "v1", "kind": "ConfigMap", **config_map("m")}
    assert (await send(server, method, path, body)).status == 422


async def test_what_is_judged_has_been_defaulted_and_mutated(server: APIServer) -> None:
    made = policy(
        "object.spec.restartPolicy == 'Always' && object.spec.serviceAccountName == 'default'", rule(["pods"])
    )
    await install(server, made)
    await server.client().create(kind("v1", "ServiceAccount"), {"metadata": {"name": "default"}}, "default")
    assert (await send(server, "POST", PODS, pod())).status == 201


# Warnings and audit ------------------------------------------------------------------------------------------------


async def test_a_binding_that_warns_lets_it_pass_and_says_so(server: APIServer) -> None:
    await install(server, policy("false", validation={"message": "not like this"}), binding("Warn"))
    answer = await send(server, "POST", MAPS, config_map())
    expected = (
        "Validation failed for ValidatingAdmissionPolicy 'p.example.com' with binding 'b.example.com': not like this"
    )
    assert (answer.status, answer.headers["warning"]) == (201, f'299 - "{expected}"')


async def test_a_binding_that_audits_writes_one_annotation(server: APIServer) -> None:
    made = policy("false", validation={"message": "noted"})
    made["spec"]["validations"].append({"expression": "object.data.a.size() > 5", "message": "too small"})
    await install(server, made, binding("Audit", "Warn"))
    code, annotations = await audited(server, "POST", MAPS, config_map())
    assert code == 201
    assert orjson.loads(annotations[FAILURE_ANNOTATION]) == [
        {"message": message, "policy": "p.example.com", "binding": "b.example.com", "expressionIndex": index,
         "validationActions": ["Audit", "Warn"]}
        for index, message in enumerate(("noted", "expression 'object.data.a.size() > 5' resulted in error: "
                                                  "no such key: a"))
    ]  # fmt: skip


async def test_audit_annotations_carry_the_policys_name_and_are_written_though_it_passes(server: APIServer) -> None:
    values = [
        {"key": "who", "valueExpression": "'by ' + request.userInfo.username"},
        {"key": "nothing", "valueExpression": "null"},
        {"key": "blank", "valueExpression": "'  '"},
    ]
    await install(server, policy("true", auditAnnotations=values))
    _, annotations = await audited(server, "POST", MAPS, config_map())
    assert annotations["p.example.com/who"] == "by system:apiserver"
    assert not {"p.example.com/nothing", "p.example.com/blank"} & annotations.keys()


async def test_failures_of_a_collection_land_in_one_annotation_of_at_most_fifty(server: APIServer) -> None:
    for number in range(60):
        await server.client().create(CONFIG_MAP, config_map(f"m{number}"), "default")
    shown = {"messageExpression": "request.name"}
    await install(server, policy("false", rule(["configmaps"], "DELETE"), validation=shown), binding("Audit"))
    code, annotations = await audited(server, "DELETE", MAPS, {})
    assert code == 200
    assert len(orjson.loads(annotations[FAILURE_ANNOTATION])) == 50


# What is looked at ---------------------------------------------------------------------------------------------------


async def test_namespaces_select_and_are_seen(server: APIServer) -> None:
    client = server.client()
    await client.create(NAMESPACE, {"metadata": {"name": "shop", "labels": {"tier": "prod"}}})
    selector = {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}
    made = policy("namespaceObject.metadata.labels.tier != 'prod'", constraints=selector)
    await install(server, made)
    assert (await send(server, "POST", MAPS, config_map())).status == 201
    assert (await send(server, "POST", "/api/v1/namespaces/shop/configmaps", config_map())).status == 422


async def test_a_new_namespace_is_selected_by_its_own_labels(server: APIServer) -> None:
    selector = {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}
    await install(server, policy("namespaceObject != null", rule(["namespaces"]), constraints=selector))
    path = "/api/v1/namespaces"
    assert (await send(server, "POST", path, {"metadata": {"name": "a"}})).status == 201
    assert (await send(server, "POST", path, {"metadata": {"name": "b", "labels": {"tier": "prod"}}})).status == 422


async def test_expressions_see_who_asks(server: APIServer) -> None:
    await install(server, policy("request.userInfo.username == 'ann' && 'devs' in request.userInfo.groups"))
    role = {"metadata": {"name": "all"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "Group", "name": "system:authenticated"}]}  # fmt: skip
    await server.client().create(kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), role)
    assert (await send(server, "POST", MAPS, config_map("a"), who=user("ann", "devs"))).status == 201
    assert (await send(server, "POST", MAPS, config_map("b"), who=user("bob", "devs"))).status == 422


async def test_policies_do_not_judge_policies_but_webhook_configurations(server: APIServer) -> None:
    everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    await install(server, policy("false", everything))
    client = server.client()
    with pytest.raises(status.Invalid):
        await client.create(CONFIG_MAP, config_map(), "default")
    hooks = kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    with pytest.raises(status.Invalid):
        await client.create(hooks, {"metadata": {"name": "hooks"}})
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    answer = await send(server, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.status == 201
    await client.delete(BINDING, "b.example.com")
    await client.delete(POLICY, "p.example.com")


async def test_an_error_follows_the_failure_policy(server: APIServer) -> None:
    await install(server, policy("object.data.missing == 'x'"))
    answer = await send(server, "POST", MAPS, config_map(a="1"))
    why = "expression 'object.data.missing == 'x'' resulted in error: no such key: missing"
    assert (answer.status, parsed(answer)["message"]) == (422, refusal("m", why))
    await server.client().patch(POLICY, "p.example.com", "", {"spec": {"failurePolicy": "Ignore"}})
    assert (await send(server, "POST", MAPS, config_map(a="1"))).status == 201


async def test_another_version_of_a_kind_is_judged_in_the_form_that_the_rule_names(server: APIServer) -> None:
    events = rule(["events"], group="events.k8s.io")
    await install(server, policy("object.note != 'bad' && request.resource.group == 'events.k8s.io'", events))
    event = {
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"}, "message": "bad",
        "reason": "Because", "type": "Normal", "source": {"component": "me"},
    }  # fmt: skip
    path = "/api/v1/namespaces/default/events"
    assert (await send(server, "POST", path, event)).status == 422
    assert (await send(server, "POST", path, {**event, "message": "good"})).status == 201


async def test_exactly_matching_policies_leave_other_versions_alone(server: APIServer) -> None:
    events = rule(["events"], group="events.k8s.io")
    await install(server, policy("false", events, constraints={"matchPolicy": "Exact"}))
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"}, "type": "Normal"}
    assert (await send(server, "POST", "/api/v1/namespaces/default/events", event)).status == 201


async def test_a_broken_policy_of_many_does_not_hide_the_others(server: APIServer) -> None:
    await install(server, policy("true", name="a.example.com"), binding(name="a", to="a.example.com"))
    await install(server, policy("false", validation={"message": "second"}))
    answer = await send(server, "POST", MAPS, config_map())
    assert parsed(answer)["message"] == refusal("m", "second")


def deployment(replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


async def test_a_scale_is_judged_as_a_scale(server: APIServer) -> None:
    await server.client().create(DEPLOYMENT, deployment(1), "default")
    expression = (
        "object.kind == 'Scale' && request.kind.kind == 'Scale' && object.spec.replicas <= oldObject.spec.replicas + 1"
    )
    await install(server, policy(expression, rule(["deployments/scale"], group="apps")))
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    headers = {"content-type": "application/merge-patch+json"}
    assert (await send(server, "PATCH", f"{path}/scale", {"spec": {"replicas": 2}}, headers=headers)).status == 200
    assert (await send(server, "PATCH", f"{path}/scale", {"spec": {"replicas": 9}}, headers=headers)).status == 422
    assert (await send(server, "PATCH", path, {"spec": {"replicas": 9}}, headers=headers)).status == 200


async def test_status_is_judged_only_where_a_rule_names_it(server: APIServer) -> None:
    await server.client().create(DEPLOYMENT, deployment(1), "default")
    await install(server, policy("object.status.replicas < 5", rule(["deployments/status"], group="apps")))
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    headers = {"content-type": "application/merge-patch+json"}
    assert (await send(server, "PATCH", f"{path}/status", {"status": {"replicas": 1}}, headers=headers)).status == 200
    assert (await send(server, "PATCH", f"{path}/status", {"status": {"replicas": 5}}, headers=headers)).status == 422
    assert (await send(server, "PATCH", path, {"spec": {"paused": True}}, headers=headers)).status == 200


async def test_evictions_and_bindings_are_writes_of_their_own(server: APIServer) -> None:
    client = server.client()
    await client.create(kind("v1", "ServiceAccount"), {"metadata": {"name": "default"}}, "default")
    await client.create(POD, pod(), "default")
    rules = rule(["pods/eviction", "pods/binding"], "CREATE"), rule(["pods"], "DELETE")
    await install(server, policy("request.kind.kind == 'Binding' && object.target.name != 'bad'", *rules))
    target = {"metadata": {"name": "web"}, "target": {"name": "bad"}}
    assert (await send(server, "POST", f"{PODS}/web/binding", target)).status == 422
    target["target"] = {"name": "good"}
    assert (await send(server, "POST", f"{PODS}/web/binding", target)).status == 201
    assert (await send(server, "POST", f"{PODS}/web/eviction", {})).status == 422
    await client.delete(BINDING, "b.example.com")
    assert (await send(server, "POST", f"{PODS}/web/eviction", {})).status == 201


async def test_tokens_are_judged_before_they_are_made(server: APIServer) -> None:
    await server.client().create(kind("v1", "ServiceAccount"), {"metadata": {"name": "robot"}}, "default")
    made = policy("object.spec.expirationSeconds <= 3600", rule(["serviceaccounts/token"], "CREATE"))
    await install(server, made)
    path = "/api/v1/namespaces/default/serviceaccounts/robot/token"
    assert (await send(server, "POST", path, {"spec": {"expirationSeconds": 7200}})).status == 422
    assert (await send(server, "POST", path, {"spec": {"expirationSeconds": 3600}})).status == 201


# When ------------------------------------------------------------------------------------------------------------


async def test_a_policy_sees_when_an_object_was_made_and_when_it_was_last_changed(
    server: APIServer, clock: VirtualClock
) -> None:
    """Policies have no clock: what ends at an instant ends by these two times, as upstream sets them beforehand."""
    made = "timestamp(object.metadata.creationTimestamp)"
    changed = "object.metadata.managedFields.all(m, timestamp(m.time) < timestamp('2026-06-01T00:00:00Z'))"
    await install(server, policy(f"oldObject == null ? {made} < timestamp('2026-06-01T00:00:00Z') : {changed}"))
    before = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)
    clock.advance((before - clock.now()).total_seconds())
    forged = {"creationTimestamp": "2020-01-01T00:00:00Z", "managedFields": []}
    assert (await send(server, "POST", MAPS, config_map("early", a="1"))).status == 201
    assert (await send(server, "PUT", f"{MAPS}/early", config_map("early", a="2"))).status == 200
    clock.advance(1)
    assert (await send(server, "PUT", f"{MAPS}/early", config_map("early", a="3"))).status == 422
    late = config_map("late", a="1")
    late["metadata"] |= forged
    assert (await send(server, "POST", MAPS, late)).status == 422
