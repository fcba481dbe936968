"""A cluster is scanned as files are: all of it, in little memory, and what may not be seen is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from dabbawala.api import core_v1, guard_v1alpha1, rbac_v1
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.client.transport import Response, Transport
from dabbawala.cluster.apiserver.crds import CustomResources
from dabbawala.guard import checks, scanning
from dabbawala.guard.enforcement import drift
from dabbawala.guard.enforcement.bundle import BINDING, POLICY
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.guard.findings import Report, Status
from dabbawala.guard.live import against, discovery, publishing, reading, scan
from dabbawala.guard.live.reading import Reader
from dabbawala.policy.access import AUTHENTICATED, User
from tests.cluster.apiserver.test_crds import define
from tests.guard.enforcement.test_expiry import PRIVILEGED
from tests.guard.enforcement.worlds import Guarded, container, deployment, guarded, pod, some

MINE = User("reader", (AUTHENTICATED,))


@pytest.fixture
async def world() -> AsyncIterator[Guarded]:
    async with guarded("shop", "bank") as made:
        yield made


async def scanned(world: Guarded, *ids: str, namespace: str = "", client: Client | None = None) -> Report:
    asked = some(*ids) if ids else list(checks.shipped().values())
    return await scan.of_cluster(client or world.client, asked, [], namespace=namespace, now=world.clock.now())


def failing(report: Report) -> list[tuple[str, str]]:
    return [(finding.check.id, str(finding.subject)) for finding in report.failures]


def secret(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "data": data}


def config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}}


def cluster_role(name: str) -> Object:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}


def definition(kind: str, group: str, *, scope: str = "Namespaced") -> Object:
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower(), "listKind": f"{kind}List"}
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "names": names, "scope": scope, "versions": [version]},
    }


# What is seen -----------------------------------------------------------------------------------------------------


async def test_a_live_scan_finds_what_a_scan_of_the_same_files_finds(world: Guarded, tmp_path: Path) -> None:
    objects = [deployment(containers=[PRIVILEGED]), pod("alone", "bank", hostPID=True), deployment("good", "bank")]
    await world.create(*objects)
    (tmp_path / "all.yaml").write_bytes(b"\n---\n".join(orjson.dumps(obj) for obj in objects))
    native = [check for check in checks.shipped().values() if check.native and check.area == "workload"]
    live = await scan.of_cluster(world.client, native, [], now=world.clock.now())
    files = scanning.of_paths([str(tmp_path)], native, now=world.clock.now())
    assert sorted(failing(live)) == sorted(failing(files))
    assert {finding.place.field for finding in live.findings} == {finding.place.field for finding in files.findings}
    assert not any(finding.place.file for finding in live.findings)
    assert not live.problems


async def test_what_a_workload_made_is_judged_at_its_root(world: Guarded) -> None:
    await world.create(deployment(containers=[PRIVILEGED]))
    made = pod("web-1", containers=[PRIVILEGED])
    made["metadata"]["ownerReferences"] = [meta.owner_reference(await world.current(deployment()))]
    await world.create(made, pod("alone", containers=[PRIVILEGED]))
    assert failing(await scanned(world, "WL-01")) == [("WL-01", "Deployment shop/web"), ("WL-01", "Pod shop/alone")]


async def test_kinds_that_only_the_cluster_knows_are_read_too(world: Guarded) -> None:
    resources = CustomResources(world.server.core, world.client)
    resources.load()
    task = asyncio.create_task(resources.run())
    await define(world.server, definition("Widget", "example.com"))
    await world.client.raw(
        "POST", "/apis/example.com/v1/namespaces/shop/widgets",
        body=orjson.dumps({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one"}}),
        headers={"accept": "application/json", "content-type": "application/json"},
    )  # fmt: skip
    found = await Reader(world.client).read()
    item = found.inventory.get("Widget", "shop", "one")
    assert item is not None
    assert (item.resource.plural, item.resource.namespaced, item.resource.guessed) == ("widgets", True, False)
    assert found.whole
    task.cancel()


async def test_each_kind_is_read_once_in_the_version_that_we_know(world: Guarded) -> None:
    served = (await discovery.look(world.client)).kinds
    assert len({(kind.group, kind.plural) for kind in served}) == len(served)
    versions = {kind.plural: kind.api_version for kind in served}
    assert versions["horizontalpodautoscalers"] == "autoscaling/v2"
    assert "events" not in versions
    assert not any(kind.group == "metrics.k8s.io" for kind in served)


async def test_one_namespace_is_read_without_the_others_and_proves_no_absence(world: Guarded) -> None:
    await world.create(pod(containers=[PRIVILEGED]), pod(namespace="bank", containers=[PRIVILEGED]))
    assert failing(await scanned(world, "WL-01", namespace="bank")) == [("WL-01", "Pod bank/web")]
    found = await Reader(world.client, "bank").read()
    assert not found.whole
    assert {item.namespace for item in found.inventory} == {"", "bank"}


async def test_a_namespace_that_is_not_there_is_a_problem_with_what_to_do(world: Guarded) -> None:
    found = await scanned(world, "WL-01", namespace="bnak")
    assert [problem.text for problem in found.problems] == ["there is no namespace bnak. Check the name."]


async def test_many_pages_are_one_list(world: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dabbawala.client.client.PAGE_SIZE", 7)
    for number in range(30):
        await world.create(config_map(f"c{number}"))
    found = await Reader(world.client).read()
    assert len(found.inventory.select("ConfigMap", "shop")) == 30


class Forgetful:
    """A transport whose server forgets a list after its first page, some times."""

    def __init__(self, inner: Transport, times: int) -> None:
        self.inner, self.times = inner, times

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        if "continue" in dict(query) and self.times:
            self.times -= 1
            return Response(410, {}, _one(orjson.dumps(status.Expired("the list is forgotten").to_status())))
        return await self.inner.request(method, path, query=query, headers=headers, body=body)

    async def close(self) -> None:
        await self.inner.close()


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize(("times", "whole"), [(1, True), (9, False)])
async def test_a_list_that_the_server_forgets_is_begun_anew_some_times(
    world: Guarded, monkeypatch: pytest.MonkeyPatch, times: int, whole: bool
) -> None:
    for number in range(9):
        await world.create(config_map(f"c{number}"))
    monkeypatch.setattr("dabbawala.client.client.PAGE_SIZE", 4)
    reader = Reader(Client(Forgetful(world.client.transport, times)), kinds=frozenset({"ConfigMap"}))
    found = await reader.read()
    names = [item.name for item in found.inventory if item.namespace == "shop"]
    assert len(names) == len(set(names))
    assert (not found.problems) is whole
    assert (len(names) == 9) is whole


async def test_what_may_not_be_listed_is_said_with_the_permission_that_lacks(world: Guarded) -> None:
    rules = [{"apiGroups": ["", "apps"], "resources": ["pods", "deployments", "namespaces"], "verbs": ["list"]}]
    metadata = {"name": "reader"}
    await world.client.create(rbac_v1.CLUSTER_ROLE, {"metadata": metadata, "rules": rules})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    subjects = [{"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}]
    await world.client.create(
        rbac_v1.CLUSTER_ROLE_BINDING, {"metadata": metadata, "roleRef": ref, "subjects": subjects}
    )
    await world.create(pod(containers=[PRIVILEGED]))
    report = await scanned(world, "WL-01", client=world.server.client(MINE))
    assert ("WL-01", "Pod shop/web") in failing(report)
    about = [problem for problem in report.problems if problem.message.startswith("secrets ")]
    assert [problem.code for problem in about] == ["not-permitted"]
    assert 'Grant the verb list on secrets in the API group "" by a ClusterRole' in about[0].remedy
    assert not any(problem.message.startswith("pods ") for problem in report.problems)
    assert not (await Reader(world.server.client(MINE)).read()).whole


async def test_exceptions_in_the_cluster_count_and_wrong_ones_are_problems(world: Guarded) -> None:
    def excepting(name: str, *ids: str) -> Object:
        spec = {"checks": list(ids), "match": {"namespaces": ["shop"]}, "reason": "r", "owner": "o", "ticket": "t",
                "expires": "2026-02-28"}  # fmt: skip
        kind = guard_v1alpha1.POLICY_EXCEPTION
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}

    await world.create(pod(containers=[PRIVILEGED]), excepting("good", "WL-01"), excepting("odd", "WL-999"))
    report = await scanned(world, "WL-01")
    assert [finding.status for finding in report.findings] == [Status.EXCEPTED]
    assert [problem.code for problem in report.problems] == ["bad-exception"]
    assert "PolicyException odd: spec.checks[0]" in report.problems[0].message


# Secrets ----------------------------------------------------------------------------------------------------------


async def test_what_is_in_secrets_is_judged_and_not_kept(world: Guarded) -> None:
    public = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="
    private = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg=="
    weak = secret("weak", password="cGFzc3dvcmQ=", **{"tls.crt": public, "tls.key": private})
    weak["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":"cGFzc3dvcmQ="}'}
    await world.create(weak)
    found = await Reader(world.client).read()
    item = found.inventory.get("Secret", "shop", "weak")
    assert item is not None
    assert item.object["data"] == {"password": "", "tls.crt": public, "tls.key": ""}
    assert "cGFzc3dvcmQ" not in str(item.object)
    report = await scanned(world)
    assert ("SEC-15", "Secret shop/weak") in failing(report)
    assert "cGFzc3dvcmQ" not in repr([(finding.message, finding.subject, finding.place) for finding in report.findings])
    counted = [finding for finding in report.findings if finding.subject.kind == "Secret"]
    assert len({(finding.check.id, finding.subject) for finding in counted}) == len(counted)


async def test_who_manages_which_field_is_not_kept(world: Guarded) -> None:
    await world.create(pod())
    found = await Reader(world.client).read()
    item = found.inventory.get("Pod", "shop", "web")
    assert item is not None
    (entry,) = item.object["metadata"]["managedFields"]
    assert "time" in entry
    assert "fieldsV1" not in entry
    assert reading.STARTS_MAX > 1


# Publishing -------------------------------------------------------------------------------------------------------


async def reports(world: Guarded) -> dict[tuple[str, str], Object]:
    found = [obj for kind in publishing._kinds("") for obj in (await world.client.list(kind)).items]
    return {(meta.namespace(obj), meta.name(obj)): obj for obj in found}


async def test_results_are_published_dated_counted_and_replaced(world: Guarded) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "few"},
        "rules": [],
    }
    await world.create(pod(containers=[PRIVILEGED]), pod(namespace="bank"), role)
    report = await scanned(world, "WL-01", "RBAC-02")
    await publishing.publish(world.client, report, now=world.clock.now())
    found = await reports(world)
    assert found.keys() == {("", "dabbawala-guard"), ("bank", "dabbawala-guard"), ("shop", "dabbawala-guard")}
    summary = found["shop", "dabbawala-guard"]["summary"]
    assert (summary["fail"], summary["pass"]) == (1, 0)
    assert found["bank", "dabbawala-guard"]["summary"]["pass"] == 1
    assert meta.annotations(found["bank", "dabbawala-guard"]) == {
        "guard.dabbawala.dev/checks": "WL-01,RBAC-02",
        "guard.dabbawala.dev/scanned-at": "2026-01-01T00:00:00Z",
    }
    await world.client.delete(core_v1.POD, "web", "bank", grace_period_seconds=0)
    told = await publishing.publish(world.client, await scanned(world, "WL-01"), now=world.clock.now())
    assert told.removed == 2
    assert (await reports(world)).keys() == {("shop", "dabbawala-guard")}


async def test_a_report_of_one_namespace_leaves_the_others_reports(world: Guarded) -> None:
    await world.create(pod(), pod(namespace="bank"))
    await publishing.publish(world.client, await scanned(world, "WL-01"), now=world.clock.now())
    one = await scanned(world, "WL-02", namespace="bank")
    await publishing.publish(world.client, one, namespace="bank", now=world.clock.now())
    found = await reports(world)
    asked = {place: meta.annotations(obj)["guard.dabbawala.dev/checks"] for (place, _), obj in found.items()}
    assert asked == {"shop": "WL-01", "bank": "WL-02"}


# The cluster's own policies ---------------------------------------------------------------------------------------


def foreign(name: str, expression: str, *actions: str, **more: Any) -> list[Object]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": "not here"}],
        **more.pop("policy", {}),
    }
    binding = {"policyName": name, "validationActions": list(actions), **more}
    return [
        {"apiVersion": POLICY.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in ((POLICY, policy), (BINDING, binding))
    ]


async def test_files_are_asked_of_the_policies_that_the_cluster_enforces(world: Guarded, tmp_path: Path) -> None:
    only_shop = {"matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}}
    ref = {"paramRef": {"name": "allowed", "namespace": "bank", "parameterNotFoundAction": "Deny"}}
    with_params = {"policy": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}, **ref}
    named = "object.metadata.name in params.data.names.split(',')"
    allowed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "allowed", "namespace": "bank"}}
    await world.create(
        {**allowed, "data": {"names": "web,other"}},
        *foreign("named.example.com", named, "Deny", **with_params),
        *foreign("shop.example.com", "object.spec.?hostPID.orValue(false) == false", "Warn", **only_shop),
    )
    objects = [pod(hostPID=True), pod("web", "bank", hostPID=True), pod("foreign", "bank")]
    (tmp_path / "all.yaml").write_bytes(b"\n---\n".join(orjson.dumps(obj) for obj in objects))
    report = await against.files(world.client, [str(tmp_path)], [])
    said = [(item.check.id, item.check.severity, str(item.subject), item.reason) for item in report.findings]
    assert sorted(said) == [
        ("named.example.com", "high", "Pod bank/foreign", "binding named.example.com: Deny"),
        ("shop.example.com", "medium", "Pod shop/web", "binding shop.example.com: Warn"),
    ]
    assert all(finding.place.line for finding in report.findings)
    assert report.passed == {"named.example.com": 2}


async def test_what_the_clusters_policies_say_of_files_is_what_admission_does(world: Guarded, tmp_path: Path) -> None:
    await world.enforce(some("WL-01", "WL-27", "IMG-01"))
    objects = [pod(f"p{number}", containers=[one]) for number, one in enumerate(
        [container(), PRIVILEGED, container(image="registry.example.com/a:latest"),
         container(securityContext={"readOnlyRootFilesystem": True})])]  # fmt: skip
    (tmp_path / "all.yaml").write_bytes(b"\n---\n".join(orjson.dumps(obj) for obj in objects))
    report = await against.files(world.client, [str(tmp_path)], some("WL-01", "WL-27", "IMG-01"))
    refused = {meta.name(obj) for obj in objects if await world.refusal(obj)}
    assert {finding.subject.name for finding in report.findings} == refused
    assert {finding.check.id for finding in report.findings} <= {"WL-01", "WL-27", "IMG-01"}


async def test_drift_is_among_the_findings(world: Guarded) -> None:
    await world.enforce(some("WL-01"), Stage.WARN)
    report = await against.cluster(world.client, some("WL-01", "WL-02"))
    assert [(finding.check.id, finding.subject.name) for finding in report.findings] == [
        (drift.ID, some("WL-02")[0].name)
    ]


async def test_a_cluster_without_reports_says_what_to_install(world: Guarded) -> None:
    async def missing(*_: object, **__: object) -> Any:
        raise status.NotFound("the server could not find the requested resource")

    client = world.client
    client.list = missing  # type: ignore[method-assign]
    with pytest.raises(publishing.CannotPublish, match="manifests/guard/crds"):
        await publishing.publish(client, Report(), now=world.clock.now())
