"""Roles and bindings read the other way round: who may, and what in them points nowhere."""

from __future__ import annotations

import pytest

from dabbawala.policy.access import MASTERS, Attributes, User, service_account
from dabbawala.policy.permissions import Subject, conflicts, dangling, of_default_accounts, places, subjects, who_can
from dabbawala.policy.rbac import Policy
from tests.policy.test_takeover import binding, obj, role, rule
from tests.policy.world import key

OBJECTS = (
    role("view", rule("get list", "pods")), role("shop/deployer", rule("create update", "deployments", "apps")),
    role("guards", rule("delete", "validatingadmissionpolicies", "admissionregistration.k8s.io")),
    binding("shop/deployers", "shop/deployer", "ann", "User"), binding("guards", "guards", "ann", "User"),
    binding("watchers", "view", "ops", "Group"), binding("shop/web", "view", "shop/web"),
)  # fmt: skip


def test_a_policy_answers_for_whoever_asks() -> None:
    policy = Policy.of(OBJECTS)
    asked = Attributes(service_account("shop", "web"), "get", resource="pods", namespace="shop")
    assert policy.allows(asked)
    assert policy.authorize(asked).reason == (
        'RBAC: allowed by RoleBinding "web/shop" of ClusterRole "view" to ServiceAccount "web/shop"'
    )
    assert not policy.allows(Attributes(service_account("shop", "web"), "get", resource="pods", namespace="ops"))
    assert policy.allows(Attributes(User("root", (MASTERS,)), "delete", resource="anything"))


def test_everyone_whom_a_binding_names_is_listed() -> None:
    assert subjects(Policy.of(OBJECTS)) == [
        Subject("Group", "ops"), Subject("ServiceAccount", "shop/web"), Subject("User", "ann"),
    ]  # fmt: skip


def test_who_may_is_told_with_the_binding_that_says_so() -> None:
    policy = Policy.of(OBJECTS)
    assert [str(subject) for subject, _ in who_can(policy, "get", "pods", namespace="shop")] == [
        "Group ops", "ServiceAccount shop/web",
    ]  # fmt: skip
    assert [str(subject) for subject, _ in who_can(policy, "get", "pods")] == ["Group ops"]
    [(subject, reason)] = who_can(policy, "update", "deployments", "apps", namespace="shop")
    assert (str(subject), reason) == (
        "User ann", 'RBAC: allowed by RoleBinding "deployers/shop" of Role "deployer" to User "ann"',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "verbs", "resource", "found"),
    [
        (rule("create", "secrets", "", "one"), {"create"}, "secrets", False),
        (rule("create get", "secrets", "", "one"), {"create", "get"}, "secrets", True),
        (rule("*", "secrets", "", "one"), {"create"}, "secrets", False),
        (rule("create", "serviceaccounts/token", "", "one"), {"create"}, "serviceaccounts/token", True),
        (rule("create", "*"), {"create"}, "pods/exec", True),
        (rule("create", "pods"), {"create"}, "pods/exec", False),
        (rule("create", "*/exec"), {"create"}, "pods/exec", True),
    ],
)
def test_where_something_is_allowed(given: dict[str, object], verbs: set[str], resource: str, found: bool) -> None:
    grants = Policy.of([role("r", given), binding("r", "r", "ann", "User")]).granted_to("ann")
    assert bool(places(grants, verbs, "", resource)) is found


def test_what_default_accounts_may_is_told_apart_from_what_everybody_may() -> None:
    more = [
        binding("shop/d", "view", "shop/default"), binding("everybody", "view", "system:authenticated", "Group"),
        binding("own", "view", "system:serviceaccounts:ops", "Group"),
    ]  # fmt: skip
    found = of_default_accounts(Policy.of([*OBJECTS, *more]), ["shop", "ops", "pay"])
    assert [str(account) for account, _ in found] == ["ops/default", "shop/default"]


def test_a_binding_that_names_nothing_is_told() -> None:
    objects = [
        *OBJECTS, obj("ServiceAccount", "shop/web"), binding("shop/x", "shop/gone", "shop/web"),
        binding("shop/y", "view", "shop/nobody"), binding("z", "nothing", "ann", "User"),
        binding("shop/v", "view", "shop/default"),
    ]  # fmt: skip
    assert [(found.kind, found.binding, found.what) for found in dangling(objects)] == [
        ("RoleBinding", key("shop/x"), "Role shop/gone"),
        ("RoleBinding", key("shop/y"), "ServiceAccount shop/nobody"),
        ("ClusterRoleBinding", ("", "z"), "ClusterRole nothing"),
    ]


def test_two_duties_in_one_hand_are_told() -> None:
    policy = Policy.of(OBJECTS)
    [conflict] = conflicts(policy, ["shop"])
    assert str(conflict.subject) == "User ann"
    assert 'RoleBinding "deployers/shop"' in conflict.deploys
    assert 'ClusterRoleBinding "guards"' in conflict.guards
    assert list(conflicts(policy, ["pay"])) == []
