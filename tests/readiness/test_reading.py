"""Looking and appending through a real API server: what is not served or not allowed makes items unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from dabbawala.api import apps_v1, core_v1, kinds, rbac_v1, readiness_v1alpha1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Invalid
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.readiness import appending, assessment, guide, proposals, reading, signing
from dabbawala.readiness.judgement import Result
from dabbawala.readiness.signing import Signer, Trust
from tests.cluster.apiserver.guarded import audited_server, guarded_server, user

LAB = Signer.make("lab")
LABELS = {"app": "web"}


async def furnish(server: APIServer) -> None:
    client = server.client()
    for name in ("shop", signing.NAMESPACE):
        await client.create(core_v1.NAMESPACE, {"metadata": {"name": name}})
    container = {"name": "web", "image": "web:1", "ports": [{"containerPort": 8080}]}
    container["env"] = [{"name": "PASSWORD", "value": "hush"}]  # type: ignore[list-item]
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": LABELS}, "template": template}}
    await client.create(apps_v1.DEPLOYMENT, body, "shop")
    service = {"metadata": {"name": "front"}, "spec": {"selector": LABELS, "ports": [{"port": 80}]}}
    await client.create(core_v1.SERVICE, service, "shop")
    keys = {"metadata": {"name": signing.CONFIG_MAP}, "data": {"lab.pub": LAB.public_pem().decode()}}
    await client.create(core_v1.CONFIG_MAP, keys, signing.NAMESPACE)


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with guarded_server(VirtualClock()) as server:
        await furnish(server)
        yield server


@pytest.fixture
def client(server: APIServer) -> Client:
    return server.client()


NOW = VirtualClock().now()


async def look(client: Client, service: str = "web") -> assessment.Assessment:
    return assessment.assess(await reading.look(client, service, "shop", now=NOW))


def imported(item: str, **fields: object) -> Object:
    spec = {
        "service": "web", "item": item, "type": "imported", "result": "pass", "observedAt": clock.format_time(NOW),
        "expires": clock.format_time(NOW + timedelta(days=9)), "source": {"tool": "k6", "version": "0.49"}, **fields,
    }  # fmt: skip
    return appending.signed(spec, "shop", LAB)


async def test_a_bare_service_is_rejected_with_a_reason_for_every_item(client: Client) -> None:
    found = await look(client)
    assert found.verdict.word == "rejected"
    assert len(found.verdict.blockers) == 6
    assert all(said.message for said in found.results.values())
    assert found.results["rbac_configured"].result is Result.FAIL
    assert "the cluster does not serve" not in found.results["network_policies_applied"].message
    assert "no evidence" in found.results["automated_backup_configured"].message


async def test_a_service_is_found_by_its_own_name_and_by_its_workloads(client: Client) -> None:
    by_service = await reading.look(client, "front", "shop", now=NOW)
    assert meta.name(by_service.workload or {}) == "web"
    with pytest.raises(reading.NoSuchService, match="there are: Deployment web"):
        await reading.look(client, "gone", "shop", now=NOW)
    with pytest.raises(reading.NoSuchService, match="no namespace"):
        await reading.look(client, "web", "gone", now=NOW)


async def test_no_value_of_an_environment_is_taken_along(client: Client) -> None:
    found = await reading.look(client, "web", "shop", now=NOW)
    assert found.containers[0]["env"] == [{"name": "PASSWORD"}]


async def test_what_one_may_not_see_is_unknown_and_said(server: APIServer) -> None:
    found = await look_as(server)
    assert found.results["network_policies_applied"].message == "you may not list the networkpolicies of namespace shop"
    assert found.results["network_policies_applied"].result is Result.UNKNOWN


async def look_as(server: APIServer) -> assessment.Assessment:
    """Somebody who may see Deployments, and nothing else."""
    role = {"metadata": {"name": "few"}, "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["list"]}]}
    await server.client().create(rbac_v1.ROLE, role, "shop")
    who = [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}]
    to = {"kind": "Role", "name": "few", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "few"}, "subjects": who, "roleRef": to}
    await server.client().create(rbac_v1.ROLE_BINDING, binding, "shop")
    return await look(server.client(user("ann")))


async def test_evidence_is_appended_in_a_chain_and_counts(client: Client, tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("call Asha")
    said = {"owner": "Asha", "expires": "2026-12-31", "backing": plan, "statement": "reviewed"}
    word = appending.attestation("web", "incident_response_plan", NOW, **said)
    first = await appending.append(client, "shop", word)
    second = await appending.append(client, "shop", imported("disaster_recovery_tested"))
    assert (meta.name(first), meta.name(second)) == ("web-000001", "web-000002")
    assert second["spec"]["previous"] == first["spec"]["hash"]
    found = await look(client)
    assert found.results["incident_response_plan"].result is Result.PASS
    assert "Asha answers for it" in found.results["incident_response_plan"].message
    assert found.results["disaster_recovery_tested"].result is Result.PASS
    assert "imported of 2026-01-01 by k6 0.49, signed by lab" in found.results["disaster_recovery_tested"].message


async def test_a_record_cannot_be_changed_and_its_deletion_shows(client: Client) -> None:
    made = await appending.append(client, "shop", imported("stress_testing_passed"))
    await appending.append(client, "shop", imported("data_integrity_verified", details={"mismatches": "0"}))
    with pytest.raises(Invalid, match="evidence never changes"):
        await client.update(readiness_v1alpha1.EVIDENCE, {**made, "spec": {**made["spec"], "result": "fail"}})
    await client.delete(readiness_v1alpha1.EVIDENCE, "web-000001", "shop")
    found = await look(client)
    assert str(found.problems[0]).startswith("Evidence shop/web-000001: missing")
    assert found.results["data_integrity_verified"].result is Result.UNKNOWN
    with pytest.raises(appending.Refused, match="not whole"):
        await appending.append(client, "shop", imported("stress_testing_passed"))


async def test_two_who_append_at_once_both_find_a_place(client: Client) -> None:
    await asyncio.gather(*(appending.append(client, "shop", imported("stress_testing_passed")) for _ in range(5)))
    chain = await reading.chain_of(client, "web", "shop")
    assert (len(chain.records), chain.problems) == (5, ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"type": "measurement"}, "what comes from outside is of type imported"),
        ({"result": "fail", "statement": "altered"}, "forged or was altered"),
        ({"signature": None}, "spec.signature"),
        ({"item": "nothing"}, "there is no item"),
        ({"item": "incident_response_plan", "colour": "red"}, "unknown field spec.colour"),
        ({"details": {"a": {"b": "c"}}}, "spec.details"),
        ({"service": ""}, "spec.service"),
    ],
)
def test_what_is_not_as_it_was_signed_is_not_imported(change: Object, reason: str) -> None:
    spec = {name: value for name, value in (imported("stress_testing_passed") | change).items() if value is not None}
    trust = Trust.of({"lab": LAB.public_pem().decode()})
    found = appending.refusals(spec, "shop", trust, NOW)
    assert reason in "".join(found)
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"item": "disaster_recovery_tested"}, "nobody's word is enough"),
        ({"item": "gone"}, "there is no item"),
        ({"expires": "soon"}, "write a date"),
        ({"expires": "2020-01-01"}, "already have expired"),
    ],
)
def test_a_word_that_would_not_count_is_refused(said: dict[str, str], reason: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("x")
    item, expires = said.get("item", "incident_response_plan"), said.get("expires", "2026-12-31")
    with pytest.raises(appending.Refused, match=reason):
        appending.attestation("web", item, NOW, owner="Asha", expires=expires, backing=plan)


@pytest.mark.parametrize("text", ["[1, 2]", "a: &a [1]\nb: *a", "a: [", "\x00", "- just text"])
def test_a_file_that_holds_no_evidence_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "evidence.yaml"
    file.write_text(text)
    with pytest.raises(appending.Refused):
        appending.read(file)


def test_times_of_a_file_stay_the_text_that_was_signed(tmp_path: Path) -> None:
    file = tmp_path / "evidence.yaml"
    file.write_text(yaml.safe_dump({"kind": "Evidence", "spec": imported("stress_testing_passed")}).replace("'", ""))
    trust = Trust.of({"lab": LAB.public_pem().decode()})
    assert appending.refusals(appending.read(file)[0], "shop", trust, NOW) == []


@pytest.mark.parametrize(
    "item", ["auto_scaling_configured", "network_policies_applied", "rbac_configured", "grafana_dashboards_created"]
)
async def test_the_server_takes_what_is_proposed(client: Client, item: str) -> None:
    for obj in proposals.propose(await reading.look(client, "web", "shop", now=NOW), item):
        kind = kinds.of(obj["apiVersion"], obj["kind"])
        assert kind is not None
        await client.writing_as("dabba-readiness").apply(kind, obj)
    found = (await look(client)).results[item]
    assert found.result is not Result.FAIL or "scales on cpu" in found.message, found


async def test_what_no_object_puts_right_is_not_proposed(client: Client) -> None:
    with pytest.raises(proposals.NothingToPropose, match="no object puts"):
        proposals.propose(await reading.look(client, "web", "shop", now=NOW), "disaster_recovery_tested")


async def test_the_guide_has_all_its_parts_and_names_only_what_is_there(client: Client) -> None:
    observed = await reading.look(client, "web", "shop", now=NOW)
    text = guide.render(observed, assessment.assess(observed))
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert [title[:2] for title in titles[:7]] == ["1.", "2.", "3.", "4.", "5.", "6.", "7."]
    assert titles[7:] == ["Rollback", "Contacts", "Success criteria"]
    assert "Service `front`" in text
    assert "kubectl set image deployment/web" in text
    assert "On-call engineer: **missing**" in text


async def test_an_audit_log_is_seen_by_what_the_server_has_counted(client: Client, tmp_path: Path) -> None:
    assert (await look(client)).results["audit_logging_enabled"].result is Result.UNKNOWN
    async with audited_server(VirtualClock(), tmp_path / "audit.log") as audited:
        await furnish(audited)
        found = (await look(audited.client(user("ann", "system:masters")))).results["audit_logging_enabled"]
    assert (found.result, found.message.startswith("the API server has recorded")) == (Result.PASS, True)
