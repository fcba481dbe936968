"""What is installed, in which order, what it refuses, and what it leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dabbawala.api import apps_v1, core_v1, rbac_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.request import LOOPBACK
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle, conditions, drift, installing, plan
from dabbawala.guard.enforcement.bundle import BINDING, POLICY, Terms
from dabbawala.guard.enforcement.plan import Act
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.policy.access import AUTHENTICATED, User
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request
from tests.guard.enforcement.test_expiry import excepting
from tests.guard.enforcement.worlds import Guarded, container, deployment, guarded, native, pod, some

PRIVILEGED = container(securityContext={"privileged": True})


@pytest.fixture
async def world() -> AsyncIterator[Guarded]:
    async with guarded("shop") as made:
        yield made


def acts(planned: plan.Plan) -> set[Act]:
    return {step.act for step in planned.steps}


# Installing -------------------------------------------------------------------------------------------------------


SOME = ("WL-01", "WL-21", "IMG-03", "SEC-02", "RBAC-02", "NET-11", "REL-12", "GOV-06")


@pytest.mark.parametrize("asked", [pytest.param(native(), marks=pytest.mark.soak, id="all"), some(*SOME)])
async def test_a_second_time_changes_nothing(world: Guarded, asked: list[Check]) -> None:
    terms = Terms((excepting("WL-01"),), {"registries": "registry.example.com"})
    assert acts(await world.enforce(asked, terms=terms, everything=True)) == {Act.CREATE}
    before = (await installing.observe(world.client)).objects
    assert acts(await world.enforce(asked, terms=terms, everything=True)) == {Act.UNCHANGED}
    assert (await installing.observe(world.client)).objects == before


async def test_a_check_goes_from_audit_over_warn_to_deny_and_stays(world: Guarded) -> None:
    (check,) = some("WL-01")
    told = []
    for _ in range(4):
        await world.enforce([check], None)
        (binding,) = (await world.client.list(BINDING)).items
        told.append((binding["spec"]["validationActions"], bool(await world.refusal(pod(containers=[PRIVILEGED])))))
    assert told == [
        (["Audit"], False),
        (["Warn", "Audit"], False),
        (["Deny", "Audit"], True),
        (["Deny", "Audit"], True),
    ]


async def test_each_check_takes_its_own_next_step(world: Guarded) -> None:
    one, other = some("WL-01", "WL-02")
    await world.enforce([one], Stage.WARN)
    await world.enforce([one, other], None)
    installed = await installing.observe(world.client)
    assert (installed.stage(one), installed.stage(other)) == (Stage.DENY, Stage.AUDIT)


async def test_what_an_older_release_has_left_is_brought_up_to_date(world: Guarded) -> None:
    check, gone = some("WL-01", "WL-02")
    await world.enforce([older(check), older(gone)])
    planned = await world.enforce([check], everything=True)
    assert [step.act for step in planned.steps] == [Act.UPDATE, Act.UNCHANGED, Act.REMOVE, Act.REMOVE]
    assert [meta.name(obj) for obj in (await world.client.list(POLICY)).items] == [check.name]
    assert await world.refusal(pod(containers=[PRIVILEGED]))


def older(check: Check) -> Check:
    """As it might have been: its policy lets everything in."""
    spec = {**check.spec, "validations": [{"expression": "true"}], "auditAnnotations": []}
    return replace(check, document={**check.document, "spec": spec})


async def test_an_exception_that_is_taken_back_is_gone_from_the_policy(world: Guarded) -> None:
    (check,) = some("WL-01")
    await world.enforce([check], terms=Terms((excepting("WL-01"),)))
    assert not await world.refusal(pod(containers=[PRIVILEGED]))
    await world.enforce([check])
    assert await world.refusal(pod(containers=[PRIVILEGED]))


async def test_somebody_elses_policy_of_that_name_is_a_conflict(world: Guarded) -> None:
    (check,) = some("WL-01")
    foreign = {"metadata": {"name": check.name}, "spec": check.spec}
    await world.client.create(POLICY, {**foreign, "apiVersion": POLICY.api_version, "kind": POLICY.kind})
    installed = await installing.observe(world.client)
    wanted = bundle.documents([bundle.Staged(check, Stage.AUDIT)], Terms())
    assert [meta.name(obj) for obj in plan.install(wanted, installed, all_checks=True).conflicts] == [check.name]
    assert plan.remove([check], installed, all_checks=True).steps == ()


async def test_nothing_is_written_when_the_server_does_not_take_all_of_it(world: Guarded) -> None:
    (check,) = some("WL-01")
    wrong = replace(
        check, document={**check.document, "metadata": {**check.document["metadata"], "name": "Not a name"}}
    )
    with pytest.raises(status.Invalid):
        await world.enforce([check, wrong])
    assert not (await world.client.list(POLICY)).items
    assert not (await world.client.list(BINDING)).items


async def test_removal_takes_back_what_we_installed_and_nothing_else(world: Guarded) -> None:
    one, other = some("WL-01", "WL-02")
    foreign = {
        "metadata": {"name": "theirs.example.com"},
        "spec": {"policyName": one.name, "validationActions": ["Deny"]},
    }
    await world.enforce([one, other], terms=Terms(parameters={"registries": "registry.example.com"}))
    await world.client.create(BINDING, {**foreign, "apiVersion": BINDING.api_version, "kind": BINDING.kind})
    await world.carry_out(plan.remove([one], await installing.observe(world.client), all_checks=False))
    assert names(await installing.observe(world.client)) == {other.name, "theirs.example.com"}
    await world.carry_out(plan.remove([], await installing.observe(world.client), all_checks=True))
    assert names(await installing.observe(world.client)) == {"theirs.example.com"}


def names(installed: plan.Installed) -> set[str]:
    return {meta.name(obj) for obj in installed.objects.values()}


async def test_parameters_are_one_object_that_the_policies_read(world: Guarded) -> None:
    await world.namespaces("kube-system") if not await has(world, "kube-system") else None
    (check,) = some("IMG-03")
    await world.enforce([check])
    assert not await world.refusal(pod())
    await world.enforce([check], terms=Terms(parameters={"registries": "mirror.example.com"}))
    assert "comes from a registry" in await world.refusal(pod())
    await world.enforce([check], everything=True)
    assert not await world.refusal(pod()), "without parameters again"
    with pytest.raises(status.NotFound):
        await world.client.get(core_v1.CONFIG_MAP, bundle.PARAMETERS_NAME, bundle.PARAMETERS_HOME)


async def has(world: Guarded, namespace: str) -> bool:
    return namespace in {meta.name(obj) for obj in (await world.client.list(core_v1.NAMESPACE)).items}


def test_static_manifests_stand_alone() -> None:
    terms = Terms(parameters={"registries": "mirror.example.com"})
    files = bundle.static([bundle.Staged(check, Stage.DENY) for check in native()], terms)
    assert len(files) == len(native())
    for policy, binding in files.values():
        assert meta.name(policy).endswith(".static.k8s.io")
        assert binding["spec"]["policyName"] == meta.name(policy)
        assert "paramKind" not in policy["spec"]
        assert "paramRef" not in binding["spec"]
        for obj, kind in ((policy, POLICY), (binding, BINDING)):
            kind.default(obj)
            assert not kind.validate(obj, None)
    assert "mirror.example.com" in str(files["img-03.yaml"])


def test_kinds_that_nobody_can_name_are_judged_by_all_that_the_policy_looks_at() -> None:
    rule = {
        "apiGroups": ["", "example.com"],
        "apiVersions": ["*"],
        "operations": ["*"],
        "resources": ["widgets", "pods"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.kind == 'Pod' ? !has(object.spec.a) : !has(object.spec.b)"}],
    }
    compiled = CompiledPolicy.of({"metadata": {"name": "p"}, "spec": spec})
    with_conditions = {**spec, "matchConditions": conditions.beyond(compiled, ())}
    policy = CompiledPolicy.of({"metadata": {"name": "p"}, "spec": with_conditions})

    def excluded(kind: str, before: Object, after: Object) -> str:
        old, new = ({"kind": kind, "metadata": {}, "spec": spec} for spec in (before, after))
        return policy.evaluate(Request("UPDATE", "", "v1", "x", kind, object=new, old=old)).excluded

    assert excluded("Pod", {"a": 1}, {"a": 1, "b": 2}) == "changes-something"
    assert excluded("Pod", {"a": 1}, {"a": 2}) == ""
    assert excluded("Widget", {"b": 1}, {"b": 2}) == ""
    assert excluded("Widget", {"b": 1}, {"b": 1, "c": 2}) == "changes-something"


# What is left alone -----------------------------------------------------------------------------------------------


@pytest.fixture
async def old(world: Guarded) -> Object:
    """A Deployment that was there before the policy that it violates."""
    made = deployment(containers=[PRIVILEGED])
    made["metadata"]["finalizers"] = ["example.com/hold"]
    await world.create(made)
    await world.enforce(some("WL-01"))
    return await world.current(made)


def changed(obj: Object, **template: Any) -> Object:
    spec = obj["spec"]["template"]["spec"]
    return {**obj, "spec": {**obj["spec"], "template": {**obj["spec"]["template"], "spec": {**spec, **template}}}}


async def test_what_was_there_before_can_be_scaled_labelled_and_changed_elsewhere(world: Guarded, old: Object) -> None:
    assert not await world.update_refusal({**old, "spec": {**old["spec"], "replicas": 5}})
    assert not await world.update_refusal({**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}})
    assert not await world.update_refusal(changed(old, terminationGracePeriodSeconds=5))
    worse = changed(old, containers=[PRIVILEGED, container("more", securityContext={"privileged": True})])
    assert "is privileged" in await world.update_refusal(worse)
    await world.client.patch(apps_v1.DEPLOYMENT, "web", "shop", {"spec": {"replicas": 3}}, subresource="scale")


async def test_what_was_there_before_can_be_deleted_and_lets_go_of_its_finalizers(world: Guarded, old: Object) -> None:
    await world.client.delete(apps_v1.DEPLOYMENT, "web", "shop")
    going = await world.current(old)
    assert meta.is_deleting(going)
    assert not await world.update_refusal(
        changed(going, containers=[{**PRIVILEGED, "image": "registry.example.com/b:2"}])
    )
    await world.client.update(apps_v1.DEPLOYMENT, {**going, "metadata": {**going["metadata"], "finalizers": []}})
    with pytest.raises(status.NotFound):
        await world.current(old)


async def test_a_role_that_is_being_deleted_gets_no_more_rights(world: Guarded) -> None:
    """A role counts as long as it is there, and a finalizer keeps it for as long as somebody likes."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [],
            "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}  # fmt: skip
    await world.create(role)
    await world.enforce(some("RBAC-02"))
    await world.client.delete(rbac_v1.CLUSTER_ROLE, "held")
    going = await world.current(role)
    assert "wildcard" in await world.update_refusal(
        {**going, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    )


@pytest.mark.parametrize(
    ("user", "refused"),
    [
        (User("alice", (AUTHENTICATED, "system:masters")), True),
        (User("system:serviceaccount:shop:deployer", (AUTHENTICATED, "system:masters")), True),
        (User("system:serviceaccount:kube-system:helm", (AUTHENTICATED, "system:masters")), True),
        (User("system:serviceaccount:kube-system:replicaset-controller", (AUTHENTICATED, "system:masters")), False),
        (User("system:kube-controller-manager", (AUTHENTICATED, "system:masters")), False),
        (User("system:node:one", (AUTHENTICATED, "system:nodes", "system:masters")), False),
        (LOOPBACK, False),
    ],
)
async def test_controllers_carry_out_what_was_judged_before(world: Guarded, user: User, refused: bool) -> None:
    await world.enforce(some("WL-01"))
    client = world.server.client(user)
    made = pod(containers=[PRIVILEGED])
    if refused:
        with pytest.raises(status.Invalid, match="is privileged"):
            await client.create(core_v1.POD, made)
    else:
        await client.create(core_v1.POD, made)


async def test_namespaces_that_came_with_kubernetes_and_unselected_ones_are_left_alone(world: Guarded) -> None:
    await world.client.create(
        core_v1.NAMESPACE,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bank", "labels": {"zone": "card"}}},
    )
    await world.enforce(some("WL-01"))
    assert not await world.refusal(pod(namespace="kube-system", containers=[PRIVILEGED]))
    assert await world.refusal(pod(namespace="shop", containers=[PRIVILEGED]))
    await world.enforce(some("WL-01"), terms=Terms(namespaces={"matchLabels": {"zone": "card"}}))
    assert not await world.refusal(pod(namespace="shop", containers=[PRIVILEGED]))
    assert await world.refusal(pod(namespace="bank", containers=[PRIVILEGED]))
    assert not await world.refusal(pod(namespace="kube-system", containers=[PRIVILEGED]))


# Drift ------------------------------------------------------------------------------------------------------------


async def drifted(world: Guarded, *checks: Check) -> list[str]:
    return [finding.message for finding in drift.findings(checks, await installing.observe(world.client))]


async def test_drift_is_found_and_put_right(world: Guarded) -> None:
    one, other = some("WL-01", "WL-02")
    assert await drifted(world, one, other) == [
        "none of the 2 policies is installed: admission refuses nothing that the scan finds"
    ]
    await world.enforce([one])
    assert await drifted(world, one, other) == ["WL-02 Host PID namespace: its policy is not installed"]
    await world.enforce([one, other])
    assert await drifted(world, one, other) == []
    weaker = {"spec": {"validationActions": ["Audit"]}}
    await world.client.patch(BINDING, one.name, "", weaker)
    await world.client.patch(POLICY, other.name, "", {"spec": {"failurePolicy": "Ignore"}})
    assert await drifted(world, one, other) == [
        "WL-01 Privileged container: its binding is weaker than it was installed: audit instead of deny",
        "WL-02 Host PID namespace: somebody has changed its policy since it was installed",
    ]
    assert acts(await world.enforce([one, other])) == {Act.UPDATE, Act.UNCHANGED}
    assert await drifted(world, one, other) == []
    await world.enforce([older(one)])
    await world.client.delete(BINDING, other.name)
    assert await drifted(world, one, other) == [
        "WL-01 Privileged container: its policy is that of another release",
        "WL-02 Host PID namespace: nothing binds its policy, which does nothing without a binding",
    ]


async def test_what_a_binding_excludes_afterwards_is_drift(world: Guarded) -> None:
    (check,) = some("WL-01")
    await world.enforce([check])
    excluded = {"matchResources": {"excludeResourceRules": [
        {"apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["pods"]}]}}  # fmt: skip
    await world.client.patch(BINDING, check.name, "", {"spec": excluded})
    assert await drifted(world, check) == [
        "WL-01 Privileged container: somebody has changed its binding since it was installed"
    ]
