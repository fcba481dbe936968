"""RBAC: what roles allow, that nobody hands out more than they have, and how one asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import rbac_defaults
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.policy import rbac
from dabbawala.policy.access import Attributes
from dabbawala.policy.rbac import Rule
from tests.cluster.apiserver.guarded import guarded_server, kind, parsed, send, user

ROLE, BINDING = kind("rbac.authorization.k8s.io/v1", "Role"), kind("rbac.authorization.k8s.io/v1", "RoleBinding")
CLUSTER_ROLE = kind("rbac.authorization.k8s.io/v1", "ClusterRole")
CLUSTER_BINDING = kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
CONFIG_MAP = kind("v1", "ConfigMap")
PODS = "/api/v1/namespaces/default/pods"
MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


def binding(role: str, *users: str, kind: str = "ClusterRole") -> dict[str, Any]:
    subjects = [{"kind": "User", "name": name} for name in users]
    return {"metadata": {"name": f"{role}-{users[0]}"}, "roleRef": {"kind": kind, "name": role}, "subjects": subjects}


async def grant(server: APIServer, role: str, name: str) -> None:
    await server.client().create(BINDING, binding(role, name), "default")


async def test_without_a_role_nothing_is_allowed_and_the_answer_says_what(server: APIServer) -> None:
    answer = await send(server, "GET", PODS, who=user("eve"))
    assert answer.status == 403
    expected = 'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"'
    assert parsed(answer)["message"] == expected


async def test_a_binding_works_at_once_and_in_its_namespace_only(server: APIServer) -> None:
    await grant(server, "view", "ann")
    assert (await send(server, "GET", PODS, who=user("ann"))).status == 200
    assert (await send(server, "GET", "/api/v1/namespaces/kube-system/pods", who=user("ann"))).status == 403
    assert (await send(server, "GET", "/api/v1/namespaces/default/secrets", who=user("ann"))).status == 403
    await server.client().delete(BINDING, "view-ann", "default")
    assert (await send(server, "GET", PODS, who=user("ann"))).status == 403


@pytest.mark.parametrize(
    ("role", "verb", "group", "resource", "allowed"),
    [
        ("view", "list", "apps", "deployments", True),
        ("view", "create", "apps", "deployments", False),
        ("view", "get", "", "secrets", False),
        ("edit", "get", "", "secrets", True),
        ("edit", "create", "apps", "deployments", True),
        ("edit", "patch", "argoproj.io", "rollouts", True),
        ("edit", "create", "rbac.authorization.k8s.io", "roles", False),
        ("admin", "create", "rbac.authorization.k8s.io", "roles", True),
        ("admin", "update", "", "namespaces", False),
        ("cluster-admin", "delete", "anything.example", "whatevers", True),
    ],
)
async def test_the_default_roles_are_those_of_kubernetes(
    server: APIServer, role: str, verb: str, group: str, resource: str, allowed: bool
) -> None:
    await grant(server, role, "ann")
    asked = {"verb": verb, "group": group, "resource": resource, "namespace": "default"}
    review = {"spec": {"resourceAttributes": asked}}
    assert parsed(await send(server, "POST", MAY_I, review, who=user("ann")))["status"]["allowed"] is allowed


async def test_an_answer_says_why(server: APIServer) -> None:
    await grant(server, "view", "ann")
    asked = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}, "user": "ann"}
    url = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    found = parsed(await send(server, "POST", url, {"spec": asked}))["status"]
    assert found == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "view-ann/default" of ClusterRole "view" to User "ann"',
    }


async def test_a_local_review_stays_in_its_namespace(server: APIServer) -> None:
    url = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    asked = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "elsewhere"}, "user": "ann"}
    assert (await send(server, "POST", url, {"spec": asked})).status == 422


async def test_a_review_asks_one_thing(server: APIServer) -> None:
    assert (await send(server, "POST", MAY_I, {"spec": {}})).status == 422


async def test_one_can_ask_for_all_one_may_do(server: APIServer) -> None:
    await grant(server, "view", "ann")
    url = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    found = parsed(await send(server, "POST", url, {"spec": {"namespace": "default"}}, who=user("ann")))["status"]
    assert any("pods" in rule["resources"] and "get" in rule["verbs"] for rule in found["resourceRules"])
    assert any("/healthz" in rule["nonResourceURLs"] for rule in found["nonResourceRules"])


async def test_roles_gather_into_the_roles_that_select_them(server: APIServer) -> None:
    await grant(server, "view", "ann")
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rules = [{"apiGroups": ["shop.example"], "resources": ["orders"], "verbs": ["get"]}]
    await server.client().create(CLUSTER_ROLE, {"metadata": {"name": "orders", "labels": labels}, "rules": rules})
    asked = {"verb": "get", "group": "shop.example", "resource": "orders", "namespace": "default"}
    review = {"spec": {"resourceAttributes": asked}}
    assert parsed(await send(server, "POST", MAY_I, review, who=user("ann")))["status"]["allowed"] is True


async def test_nobody_writes_a_role_with_more_than_they_have(server: APIServer) -> None:
    await grant(server, "admin", "ann")
    client = server.client(user("ann"))
    small = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    await client.create(ROLE, {"metadata": {"name": "small"}, "rules": [small]}, "default")
    large = {"apiGroups": ["shop.example"], "resources": ["orders"], "verbs": ["*"]}
    with pytest.raises(status.Forbidden, match="attempting to grant RBAC permissions not currently held"):
        await client.create(ROLE, {"metadata": {"name": "large"}, "rules": [large]}, "default")


async def test_nobody_binds_a_role_with_more_than_they_have(server: APIServer) -> None:
    await grant(server, "admin", "ann")
    client = server.client(user("ann"))
    await client.create(BINDING, binding("edit", "bob"), "default")
    with pytest.raises(status.Forbidden, match="not currently held"):
        await client.create(BINDING, binding("cluster-admin", "bob"), "default")


async def grant_the_writing_of_roles(server: APIServer, name: str, *verbs: str) -> None:
    """To write roles and bindings, `verbs` on them besides, and to get pods."""
    resources, writing = ["clusterroles", "clusterrolebindings"], ["get", "create", "update", "patch", *verbs]
    rules = [
        {"apiGroups": [ROLE.group], "resources": resources, "verbs": writing},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]
    await server.client().create(CLUSTER_ROLE, {"metadata": {"name": "writer"}, "rules": rules})
    await server.client().create(CLUSTER_BINDING, binding("writer", name))


LABELLED = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}


async def test_nobody_labels_a_role_with_more_than_they_have(server: APIServer) -> None:
    """The label would give its rules to everybody who is bound to the role that gathers by it."""
    await grant_the_writing_of_roles(server, "ann")
    client = server.client(user("ann"))
    with pytest.raises(status.Forbidden, match="attempting to grant RBAC permissions not currently held"):
        await client.patch(CLUSTER_ROLE, "cluster-admin", "", LABELLED)
    small = {"metadata": {"name": "small"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    await client.create(CLUSTER_ROLE, small)
    await client.patch(CLUSTER_ROLE, "small", "", LABELLED)


async def test_only_who_may_do_everything_writes_a_role_that_gathers_others(server: APIServer) -> None:
    """It is empty when it is bound, and has what others have once they are labelled."""
    await grant_the_writing_of_roles(server, "ann")
    rule = {"clusterRoleSelectors": [{"matchLabels": {"mine": "true"}}]}
    ann, role = server.client(user("ann")), {"metadata": {"name": "mine"}, "aggregationRule": rule}
    said = "must have cluster-admin privileges to use the aggregationRule"
    with pytest.raises(status.Forbidden, match=said):
        await ann.create(CLUSTER_ROLE, role)
    await ann.create(CLUSTER_ROLE, {"metadata": {"name": "mine"}})
    with pytest.raises(status.Forbidden, match=said):
        await ann.patch(CLUSTER_ROLE, "mine", "", {"aggregationRule": rule})
    await server.client().patch(CLUSTER_ROLE, "mine", "", {"aggregationRule": rule})
    with pytest.raises(status.Forbidden, match=said):
        await ann.patch(CLUSTER_ROLE, "mine", "", {"aggregationRule": None})
    await server.client().create(CLUSTER_BINDING, binding("cluster-admin", "ben"))
    await server.client(user("ben")).create(CLUSTER_ROLE, {**role, "metadata": {"name": "bens"}})


async def test_the_verb_escalate_allows_to_write_any_role(server: APIServer) -> None:
    await grant_the_writing_of_roles(server, "ann", "escalate")
    client = server.client(user("ann"))
    await client.patch(CLUSTER_ROLE, "cluster-admin", "", LABELLED)
    rule = {"clusterRoleSelectors": [{"matchLabels": {"mine": "true"}}]}
    await client.create(CLUSTER_ROLE, {"metadata": {"name": "mine"}, "aggregationRule": rule})


async def test_a_garbage_collector_lets_go_of_roles_it_could_not_write(server: APIServer) -> None:
    await grant_the_writing_of_roles(server, "ann")
    await server.client().create(CLUSTER_BINDING, binding("admin", "ben"))
    client, held = server.client(user("ann")), {"metadata": {"finalizers": ["example.com/held"]}}
    for kind_, name in ((CLUSTER_ROLE, "cluster-admin"), (CLUSTER_ROLE, "view"), (CLUSTER_BINDING, "admin-ben")):
        await client.patch(kind_, name, "", held)
        with pytest.raises(status.Forbidden, match="not currently held"):
            await client.patch(kind_, name, "", LABELLED)


async def test_who_binds_a_role_that_gathers_others_must_have_what_it_has_gathered(server: APIServer) -> None:
    await grant_the_writing_of_roles(server, "ann")
    with pytest.raises(status.Forbidden, match="not currently held"):
        await server.client(user("ann")).create(CLUSTER_BINDING, binding("view", "ann"))


async def test_the_verb_bind_allows_to_bind_what_one_does_not_have(server: APIServer) -> None:
    master = server.client()
    rules = [
        {"apiGroups": [ROLE.group], "resources": ["rolebindings"], "verbs": ["create"]},
        {"apiGroups": [ROLE.group], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["edit"]},
    ]
    await master.create(CLUSTER_ROLE, {"metadata": {"name": "binder"}, "rules": rules})
    await master.create(CLUSTER_BINDING, binding("binder", "ann"))
    client = server.client(user("ann"))
    await client.create(BINDING, binding("edit", "bob"), "default")
    with pytest.raises(status.Forbidden):
        await client.create(BINDING, binding("admin", "bob"), "default")


@pytest.mark.parametrize("dry_run", ["", "dryRun=All&"])
async def test_a_write_that_creates_what_is_missing_needs_the_verb_create(server: APIServer, dry_run: str) -> None:
    changing = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update", "patch"]}
    role = await server.client().create(CLUSTER_ROLE, {"metadata": {"name": "changer"}, "rules": [changing]})
    await server.client().create(CLUSTER_BINDING, binding("changer", "ann"))
    url = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/new?{dry_run}fieldManager=ann"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "new"}}
    apply = {"content-type": "application/apply-patch+yaml"}
    for method, headers in (("PUT", {}), ("PATCH", apply)):
        refused = await send(server, method, url, lease, who=user("ann"), headers=headers)
        assert refused.status == 403
        said = 'leases.coordination.k8s.io "new" is forbidden: User "ann" cannot create resource "leases"'
        assert parsed(refused)["message"].startswith(said)
    changing["verbs"].append("create")
    await server.client().update(CLUSTER_ROLE, {**role, "rules": [changing]})
    for method, headers, name in (("PUT", {}, "put"), ("PATCH", apply, "applied")):
        body = {**lease, "metadata": {"name": name}}
        made = await send(server, method, url.replace("/new", f"/{name}"), body, who=user("ann"), headers=headers)
        assert made.status == 201


async def test_a_default_role_that_lost_a_rule_gets_it_back_at_start(server: APIServer) -> None:
    client = server.client()
    role = await client.get(CLUSTER_ROLE, "system:discovery")
    await client.update(CLUSTER_ROLE, {**role, "rules": []})
    opted = await client.get(CLUSTER_ROLE, "system:basic-user")
    opted["metadata"]["annotations"][rbac_defaults.AUTOUPDATE] = "false"
    await client.update(CLUSTER_ROLE, {**opted, "rules": []})
    await rbac_defaults.ensure(server.core, client.create, client.update)
    assert (await client.get(CLUSTER_ROLE, "system:discovery"))["rules"] == role["rules"]
    assert (await client.get(CLUSTER_ROLE, "system:basic-user"))["rules"] == []


def rule(verbs: str, groups: str = "", resources: str = "", names: str = "", paths: str = "") -> Rule:
    listed = {"verbs": verbs, "resources": resources, "resourceNames": names, "nonResourceURLs": paths}
    return Rule.of({**{field: value.split() for field, value in listed.items()}, "apiGroups": groups.split(",")})


ANYBODY = user("x")


@pytest.mark.parametrize(
    ("given", "wanted", "allowed"),
    [
        (rule("get", "", "pods"), Attributes(ANYBODY, "get", resource="pods"), True),
        (rule("get", "", "pods"), Attributes(ANYBODY, "get", resource="pods", subresource="log"), False),
        (rule("get", "", "pods/log"), Attributes(ANYBODY, "get", resource="pods", subresource="log"), True),
        (rule("get", "", "*/scale"), Attributes(ANYBODY, "get", resource="x", subresource="scale"), True),
        (rule("get", "", "*"), Attributes(ANYBODY, "get", resource="x", subresource="y"), True),
        (rule("*", "*", "pods", "a"), Attributes(ANYBODY, "get", resource="pods", name="a"), True),
        (rule("*", "*", "pods", "a"), Attributes(ANYBODY, "get", resource="pods", name="b"), False),
        (rule("*", "*", "pods", "a"), Attributes(ANYBODY, "list", resource="pods"), False),
        (rule("get", paths="/healthz/*"), Attributes(ANYBODY, "get", path="/healthz/ping"), True),
        (rule("get", paths="/healthz"), Attributes(ANYBODY, "get", path="/healthz/ping"), False),
        (rule("get", "apps", "pods"), Attributes(ANYBODY, "get", resource="pods"), False),
    ],
)
def test_a_rule_allows_what_it_says(given: Rule, wanted: Attributes, allowed: bool) -> None:
    assert given.allows(wanted) is allowed


@pytest.mark.parametrize(
    ("owned", "wanted", "beyond"),
    [
        (rule("get list", "", "pods"), rule("get", "", "pods"), 0),
        (rule("get", "", "pods"), rule("get list", "", "pods"), 1),
        (rule("*", "*", "*"), rule("get", "a,b", "x y"), 0),
        (rule("get", "", "pods"), rule("*", "", "pods"), 1),
        (rule("get", "", "pods", "a"), rule("get", "", "pods"), 1),
        (rule("get", "", "pods"), rule("get", "", "pods", "a"), 0),
        (rule("get", "", "pods", "a"), rule("get", "", "pods", "a b"), 1),
        (rule("get", paths="/a/*"), rule("get", paths="/a/b"), 0),
        (rule("get", paths="/a"), rule("get", paths="/a/b"), 1),
    ],
)
def test_what_one_rule_adds_to_another(owned: Rule, wanted: Rule, beyond: int) -> None:
    assert len(rbac.missing([owned], [wanted])) == beyond
