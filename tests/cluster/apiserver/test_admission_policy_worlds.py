"""What admission policies look at beyond the object: parameters, permissions, connections; and who may write them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from dabbawala.api import KINDS
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import SystemClock, VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.admission_policies import PolicyAdmission
from dabbawala.cluster.apiserver.admission_policy_writes import NOT_CALLED
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.compiled_policies import CompiledPolicies
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.crds import CRD, CustomResources
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from tests.cluster.apiserver.admission_worlds import (
    BINDING,
    CONFIG_MAP,
    MAPS,
    NAMESPACE,
    POD,
    POLICY,
    binding,
    config_map,
    install,
    pod,
    policy,
    rule,
)
from tests.cluster.apiserver.guarded import guarded_server, kind, parsed, send, user

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
LIMIT = {"apiVersion": "v1", "kind": "ConfigMap"}
CLUSTER_ROLE = kind("rbac.authorization.k8s.io/v1", "ClusterRole")
CLUSTER_BINDING = kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
DEADLINE = 5.0


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


async def grant(server: APIServer, name: str, *rules: Object) -> None:
    client = server.client()
    await client.create(CLUSTER_ROLE, {"metadata": {"name": name}, "rules": list(rules)})
    subjects = [{"kind": "User", "name": name}]
    ref = {"kind": "ClusterRole", "name": name}
    await client.create(CLUSTER_BINDING, {"metadata": {"name": name}, "roleRef": ref, "subjects": subjects})


def may(verbs: str, resources: str, group: str = "") -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


# Parameters ----------------------------------------------------------------------------------------------------------


async def test_a_parameter_is_read_from_the_namespace_of_the_request(server: APIServer) -> None:
    client = server.client()
    await client.create(NAMESPACE, {"metadata": {"name": "shop"}})
    await client.create(CONFIG_MAP, config_map("limit", max="1"), "default")
    await client.create(CONFIG_MAP, config_map("limit", max="2"), "shop")
    ref = {"name": "limit", "parameterNotFoundAction": "Allow"}
    made = policy("object.data.size() <= int(params.data.max)", paramKind=LIMIT)
    await install(server, made, binding(paramRef=ref))
    two = config_map("m", a="1", b="2")
    assert (await send(server, "POST", MAPS, two)).status == 422
    assert (await send(server, "POST", "/api/v1/namespaces/shop/configmaps", two)).status == 201
    assert (await send(server, "POST", "/api/v1/namespaces/kube-public/configmaps", two)).status == 201


async def test_a_changed_parameter_counts_from_the_next_write(server: APIServer) -> None:
    client = server.client()
    await client.create(CONFIG_MAP, config_map("limit", max="1"), "kube-system")
    ref = {"name": "limit", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
    await install(server, policy("object.data.size() <= int(params.data.max)", paramKind=LIMIT), binding(paramRef=ref))
    two = config_map("m", a="1", b="2")
    assert (await send(server, "POST", MAPS, two)).status == 422
    await client.patch(CONFIG_MAP, "limit", "kube-system", {"data": {"max": "2"}})
    assert (await send(server, "POST", MAPS, two)).status == 201
    await client.delete(CONFIG_MAP, "limit", "kube-system")
    answer = await send(server, "POST", MAPS, config_map("n"))
    assert parsed(answer)["message"].endswith(
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )


async def test_all_parameters_that_a_label_selects_must_agree(server: APIServer) -> None:
    client = server.client()
    for name, value in (("one", "5"), ("two", "1")):
        made = {"metadata": {"name": name, "labels": {"use": "limit"}}, "data": {"max": value}}
        await client.create(CONFIG_MAP, made, "default")
    ref = {"selector": {"matchLabels": {"use": "limit"}}, "parameterNotFoundAction": "Deny"}
    await install(server, policy("object.data.size() <= int(params.data.max)", paramKind=LIMIT), binding(paramRef=ref))
    assert (await send(server, "POST", MAPS, config_map("a", x="1"))).status == 201
    assert (await send(server, "POST", MAPS, config_map("b", x="1", y="2"))).status == 422


async def until_served(server: APIServer) -> None:
    async with asyncio.timeout(DEADLINE):
        while server.core.kinds.find("rules.example.com", "v1", "limits") is None:
            await asyncio.sleep(0)


async def test_a_scale_is_a_scale_under_every_version_of_its_kind(server: APIServer) -> None:
    resources = CustomResources(server.core, server.client())
    task = asyncio.create_task(resources.run())
    spec = {
        "type": "object",
        "properties": {"replicas": {"type": "integer"}, "size": {"type": "integer", "default": 1}},
    }
    root = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    scale = {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": root, "subresources": scale}
        for name in ("v1", "v2")
    ]
    names = {"plural": "limits", "kind": "Limit"}
    definition = {"group": "rules.example.com", "scope": "Namespaced", "names": names, "versions": versions}
    await server.client().create(CRD, {"metadata": {"name": "limits.rules.example.com"}, "spec": definition})
    await until_served(server)
    path = "/apis/rules.example.com/v2/namespaces/default/limits"
    assert (await send(server, "POST", path, {"metadata": {"name": "a"}, "spec": {"replicas": 1}})).status == 201
    told = "object.apiVersion + object.kind + string(object.spec.size()) + request.resource.version"
    await install(server, policy("false", rule(["limits/scale"], group="rules.example.com"),
                                 validation={"messageExpression": told}))  # fmt: skip
    headers = {"content-type": "application/merge-patch+json"}
    answer = await send(server, "PATCH", f"{path}/a/scale", {"spec": {"replicas": 2}}, headers=headers)
    assert parsed(answer)["message"].endswith("denied request: autoscaling/v1Scale1v1")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_custom_kind_may_be_a_parameter_and_until_there_is_one_writes_are_refused(server: APIServer) -> None:
    resources = CustomResources(server.core, server.client())
    task = asyncio.create_task(resources.run())
    made = policy("object.data.size() <= params.spec.max",
                  paramKind={"apiVersion": "rules.example.com/v1", "kind": "Limit"})  # fmt: skip
    await install(server, made, binding(paramRef={"name": "small", "parameterNotFoundAction": "Deny"}))
    answer = await send(server, "POST", MAPS, config_map("m"))
    assert parsed(answer)["message"] == (
        "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p.example.com' denied request: failed to configure "
        "policy: failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=Limit'"
    )
    spec = {"type": "object", "properties": {"max": {"type": "integer"}}}
    root = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": root}
    names = {"plural": "limits", "kind": "Limit"}
    definition = {"group": "rules.example.com", "scope": "Cluster", "names": names, "versions": [version]}
    await server.client().create(CRD, {"metadata": {"name": "limits.rules.example.com"}, "spec": definition})
    await until_served(server)
    small = {"metadata": {"name": "small"}, "spec": {"max": 1}}
    assert (await send(server, "POST", "/apis/rules.example.com/v1/limits", small)).status == 201
    assert (await send(server, "POST", MAPS, config_map("m", a="1"))).status == 201
    assert (await send(server, "POST", MAPS, config_map("n", a="1", b="2"))).status == 422
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# Permissions ---------------------------------------------------------------------------------------------------------


async def test_the_authorizer_of_expressions_is_the_servers(server: APIServer) -> None:
    expression = (
        "!has(object.metadata.labels) || authorizer.group('').resource('configmaps').namespace('default')"
        ".check('label').allowed()"
    )
    await install(server, policy(expression))
    await grant(server, "ann", may("create label", "configmaps"))
    await grant(server, "bob", may("create", "configmaps"))
    labelled = {"metadata": {"name": "m", "labels": {"a": "b"}}}
    assert (await send(server, "POST", MAPS, labelled, who=user("bob"))).status == 422
    assert (await send(server, "POST", MAPS, labelled, who=user("ann"))).status == 201
    assert (await send(server, "POST", MAPS, {"metadata": {"name": "n"}}, who=user("bob"))).status == 201


async def test_what_a_service_account_may_do_can_be_asked(server: APIServer) -> None:
    expression = (
        "authorizer.serviceAccount('default', object.data.account).group('').resource('pods').check('get').allowed()"
    )
    await install(server, policy(expression))
    await grant(server, "system:serviceaccount:default:robot", may("get", "pods"))
    assert (await send(server, "POST", MAPS, config_map("a", account="robot"))).status == 201
    assert (await send(server, "POST", MAPS, config_map("b", account="other"))).status == 422


# Connections ---------------------------------------------------------------------------------------------------------


async def _connected(request: Request, target: Target) -> Response:
    return response.json({"connected": target.name})


@pytest.fixture
async def streaming(clock: VirtualClock) -> AsyncIterator[APIServer]:
    def plugins(core: Core) -> Plugins:
        pods = [("pods", part) for part in ("exec", "attach", "portforward", "proxy", "log")]
        parts = [*pods, ("services", "proxy")]
        return Plugins(validators=(PolicyAdmission(core),), subresources=dict.fromkeys(parts, _connected))

    async with APIServer.in_memory(KINDS, clock=clock, plugins=plugins) as server:
        await server.client().create(POD, pod(), "default")
        yield server


@pytest.mark.parametrize(
    ("expression", "query", "expected"),
    [
        ("!('rm' in object.command)", "command=ls&command=-l", 200),
        ("!('rm' in object.command)", "command=rm&command=-rf", 422),
        ("object.?tty.orValue(false) == false", "command=sh&tty=true", 422),
        ("object.?stdin.orValue(false) && object.container == 'web'", "command=sh&stdin=1&container=web", 200),
        ("request.operation == 'CONNECT' && request.subResource == 'exec' && request.name == 'web'", "command=ls", 200),
        ("request.kind.kind == 'PodExecOptions' && oldObject == null", "command=ls", 200),
    ],
)
async def test_an_exec_is_judged_by_its_options(
    streaming: APIServer, expression: str, query: str, expected: int
) -> None:
    await install(streaming, policy(expression, rule(["pods/exec"], "CONNECT")))
    for method in ("GET", "POST"):
        answer = await send(streaming, method, f"/api/v1/namespaces/default/pods/web/exec?{query}")
        assert answer.status == expected


@pytest.mark.parametrize(
    ("part", "expression", "url", "expected"),
    [
        ("pods/portforward", "object.ports.all(p, p != 22)", "pods/web/portforward?ports=22&ports=80", 422),
        ("pods/portforward", "object.ports.all(p, p != 22)", "pods/web/portforward?ports=443,80", 200),
        ("pods/portforward", "object.ports.all(p, p != 22)", "pods/web/portforward", 422),
        ("pods/attach", "false", "pods/web/attach", 422),
        ("pods/exec", "false", "pods/web/attach", 200),
        ("pods/proxy", "!object.path.startsWith('/admin')", "pods/web/proxy/admin/x", 422),
        ("services/proxy", "!object.path.startsWith('/admin')", "services/web:80/proxy/shop", 200),
        ("*/*", "false", "pods/web/log", 200),
    ],
)
async def test_other_connections_are_judged_by_theirs(
    streaming: APIServer, part: str, expression: str, url: str, expected: int
) -> None:
    await install(streaming, policy(expression, rule([part], "CONNECT")))
    assert (await send(streaming, "GET", f"/api/v1/namespaces/default/{url}")).status == expected


# Writing policies ----------------------------------------------------------------------------------------------------


async def test_an_expression_that_does_not_compile_is_refused_with_its_field_and_place(server: APIServer) -> None:
    answer = await send(server, "POST", POLICIES, policy("object.data.size( < 2"))
    told = parsed(answer)
    assert (answer.status, told["details"]["causes"][0]["field"]) == (422, "spec.validations[0].expression")
    assert told["message"].startswith(
        'ValidatingAdmissionPolicy.admissionregistration.k8s.io "p.example.com" is invalid: '
        'spec.validations[0].expression: Invalid value: "object.data.size( < 2": compilation failed: ERROR: <input>:1:'
    )


async def test_all_that_does_not_compile_is_told_at_once(server: APIServer) -> None:
    made = policy("1", matchConditions=[{"name": "c", "expression": "nothing"}],
                  variables=[{"name": "v", "expression": "also.nothing"}])  # fmt: skip
    told = parsed(await send(server, "POST", POLICIES, made))
    assert {cause["field"] for cause in told["details"]["causes"]} == {
        "spec.matchConditions[0].expression", "spec.variables[0].expression", "spec.validations[0].expression",
    }  # fmt: skip


async def test_a_policy_that_is_stored_may_change_only_to_what_compiles(server: APIServer) -> None:
    client = server.client()
    await client.create(POLICY, policy("true"))
    with pytest.raises(status.Invalid):
        await client.patch(POLICY, "p.example.com", "", {"spec": {"validations": [{"expression": "nothing"}]}})
    await client.patch(POLICY, "p.example.com", "", {"metadata": {"labels": {"a": "b"}}})
    stored = await client.get(POLICY, "p.example.com")
    assert stored["spec"]["validations"] == [{"expression": "true"}]


async def test_a_policys_parameters_must_be_readable_by_whoever_writes_it(server: APIServer) -> None:
    writes = may("create update patch get", "validatingadmissionpolicies", "admissionregistration.k8s.io")
    await grant(server, "ann", writes)
    await grant(server, "bob", writes, may("get", "configmaps"))
    made = policy("params == null", paramKind=LIMIT)
    answer = await send(server, "POST", POLICIES, made, who=user("ann"))
    assert (answer.status, parsed(answer)["details"]["causes"][0]["message"]) == (
        422,
        'Forbidden: user ann must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, '
        "apiVersion=v1)",
    )
    assert (await send(server, "POST", POLICIES, made, who=user("bob"))).status == 201
    change: dict[str, Any] = {"spec": {"failurePolicy": "Ignore"}}
    headers = {"content-type": "application/merge-patch+json"}
    answer = await send(server, "PATCH", f"{POLICIES}/p.example.com", change, who=user("ann"), headers=headers)
    assert answer.status == 200


async def test_a_bindings_parameter_must_be_readable_too(server: APIServer) -> None:
    writes = may("create", "validatingadmissionpolicybindings", "admissionregistration.k8s.io")
    await grant(server, "ann", writes)
    await server.client().create(POLICY, policy("params == null", paramKind=LIMIT))
    ref = {"name": "limit", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
    answer = await send(server, "POST", BINDINGS, binding(paramRef=ref), who=user("ann"))
    assert parsed(answer)["details"]["causes"][0]["message"] == (
        'Forbidden: user ann does not have "get" permission on the object referenced by paramRef'
    )
    assert (await send(server, "POST", BINDINGS, binding(), who=user("ann"))).status == 201
    client = server.client()
    await client.create(BINDING, binding(name="c", paramRef=ref))


async def test_whoever_configures_webhooks_learns_that_none_are_called(server: APIServer) -> None:
    hook = {
        "name": "check.hooks.example.com", "clientConfig": {"url": "https://hook.example.com/check"},
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [rule()],
    }  # fmt: skip
    for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        path = f"/apis/admissionregistration.k8s.io/v1/{plural}"
        answer = await send(server, "POST", path, {"metadata": {"name": "hooks"}, "webhooks": [hook]})
        assert (answer.status, answer.headers["warning"]) == (201, f'299 - "{NOT_CALLED}"')
    assert (await send(server, "POST", MAPS, config_map())).status == 201


async def test_a_stored_policy_has_a_generation_that_its_spec_moves(server: APIServer) -> None:
    client = server.client()
    await client.create(POLICY, policy("true"))
    await client.patch(POLICY, "p.example.com", "", {"metadata": {"labels": {"a": "b"}}})
    assert (await client.get(POLICY, "p.example.com"))["metadata"]["generation"] == 1
    await client.patch(POLICY, "p.example.com", "", {"spec": {"failurePolicy": "Ignore"}})
    assert (await client.get(POLICY, "p.example.com"))["metadata"]["generation"] == 2


async def test_refusals_are_in_the_audit_records_annotations_as_json(server: APIServer) -> None:
    await install(server, policy("false", validation={"message": 'say "no"'}), binding("Audit"))
    request = Request("POST", MAPS, body=orjson.dumps(config_map()), user=user("root", "system:masters"))
    assert (await server.handle(request)).status == 201
    (failures,) = [
        orjson.loads(text) for key, text in request.annotations.items() if key.endswith("validation_failure")
    ]
    assert failures[0]["message"] == 'say "no"'


async def test_equal_policies_are_compiled_once_and_others_each() -> None:
    compiled = CompiledPolicies()
    one, same, other = policy("true"), {**policy("true"), "status": {}}, policy("false")
    first, second = await compiled.of([one, other])
    third, fourth = await asyncio.gather(compiled.of([same]), compiled.of([other, policy("1 == 1")]))
    assert third == [first]
    assert fourth[0] is second
    assert len({id(item) for item in (first, second, fourth[1])}) == 3


async def test_writes_that_come_with_a_new_policy_wait_for_it(server: APIServer) -> None:
    await install(server, policy("!object.metadata.name.startsWith('bad')"))
    names = [f"{'bad' if number % 2 else 'good'}-{number}" for number in range(20)]
    answers = await asyncio.gather(*(send(server, "POST", MAPS, config_map(name)) for name in names))
    assert [answer.status for answer in answers] == [201, 422] * 10


async def test_a_policy_that_takes_long_lets_others_be_served_meanwhile() -> None:
    def plugins(core: Core) -> Plugins:
        return Plugins(validators=(PolicyAdmission(core),))

    keys = {f"k{number}": "" for number in range(250)}
    slow = "object.data.all(a, object.data.all(b, a + b != ''))"
    async with APIServer.in_memory(KINDS, clock=SystemClock(), plugins=plugins) as server:
        await install(server, policy(validations=[{"expression": slow}] * 8))
        assert (await send(server, "POST", MAPS, config_map("first", **keys))).status == 201
        writing = asyncio.create_task(send(server, "POST", MAPS, config_map("second", **keys)))
        served = 0
        while not writing.done():
            served += (await send(server, "GET", f"{MAPS}/first")).status == 200
            await asyncio.sleep(0)
        assert (await writing).status == 201
    assert served > 10
