"""What the API server counts, as those who ask for it read it: a person with kubectl, and the item of readiness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import standard
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.audit import AuditLog
from dabbawala.cluster.apiserver.metrics import CONTENT_TYPE, Metrics
from dabbawala.timeseries import exposition
from tests.cluster.apiserver.admission_worlds import (
    BINDING,
    MAPS,
    NAMESPACE,
    PODS,
    binding,
    config_map,
    install,
    pod,
    policy,
)
from tests.cluster.apiserver.guarded import audited_server, guarded_server, send, user

CHECKS = "apiserver_validating_admission_policy_check_total"
SECONDS = "apiserver_validating_admission_policy_check_duration_seconds"
EVALUATIONS = "pod_security_evaluations_total"
NAMED = 'policy="p.example.com",policy_binding="b.example.com"'


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with guarded_server(clock) as server:
        yield server


async def page(server: APIServer) -> list[str]:
    answer = await send(server, "GET", "/metrics")
    assert isinstance(answer.body, bytes)
    assert (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    return answer.body.decode().splitlines()


async def counted(server: APIServer, name: str) -> list[str]:
    """The samples of a name, without it."""
    return [line.removeprefix(name) for line in await page(server) if line.startswith((f"{name}{{", f"{name} "))]


# Admission policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "more", "action", "said"),
    [
        ("false", {}, "Deny", 'enforcement_action="deny",error_type="invalid_error"'),
        ("false", {}, "Warn", 'enforcement_action="warn",error_type="invalid_error"'),
        ("false", {}, "Audit", 'enforcement_action="audit",error_type="invalid_error"'),
        ("object.nothing == 1", {}, "Deny", 'enforcement_action="deny",error_type="invalid_error"'),
        (
            "object.nothing == 1",
            {"failurePolicy": "Ignore"},
            "Deny",
            'enforcement_action="allow",error_type="invalid_error"',
        ),
    ],
)  # fmt: skip
async def test_what_a_policy_did_is_counted_as_upstream_does(
    server: APIServer, expression: str, more: dict[str, str], action: str, said: str
) -> None:
    await install(server, policy(expression, **more), binding(validationActions=[action]))
    for name in ("a", "b"):
        await send(server, "POST", MAPS, config_map(name))
    assert await counted(server, CHECKS) == [f"{{{said},{NAMED}}} 2"]


async def test_a_policy_that_holds_is_not_counted(server: APIServer) -> None:
    await install(server, policy("true"))
    assert (await send(server, "POST", MAPS, config_map())).status == 201
    assert await counted(server, CHECKS) == []


async def test_evaluations_are_timed_in_upstreams_buckets(server: APIServer) -> None:
    await install(server, policy("false"))
    await send(server, "POST", MAPS, config_map())
    said = f'{{enforcement_action="deny",error_type="invalid_error",{NAMED}'
    bounds = [line.partition('le="')[2].partition('"')[0] for line in await counted(server, f"{SECONDS}_bucket")]
    assert bounds == ["5e-07", "0.001", "0.01", "0.1", "1", "+Inf"]
    assert await counted(server, f"{SECONDS}_count") == [f"{said}}} 1"]


async def test_the_series_of_a_policy_end_with_its_binding(server: APIServer) -> None:
    await install(server, policy("false"))
    await send(server, "POST", MAPS, config_map())
    await server.client().delete(BINDING, "b.example.com")
    assert (await send(server, "POST", MAPS, config_map())).status == 201
    assert await counted(server, CHECKS) == []


# Pod Security ----------------------------------------------------------------------------------------------------


async def test_decisions_of_pod_security_are_counted_by_mode_level_and_version(server: APIServer) -> None:
    labels = {
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/enforce-version": "v1.30",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "v1.99",
        "pod-security.kubernetes.io/audit": "restricted",
    }
    await server.client().patch(NAMESPACE, "default", "", {"metadata": {"labels": labels}})
    assert (await send(server, "POST", PODS, pod())).status == 201
    written = 'request_operation="create",resource="pod",subresource=""'
    assert await counted(server, EVALUATIONS) == [
        f'{{decision="allow",mode="enforce",policy_level="baseline",policy_version="v1.30",{written}}} 1',
        f'{{decision="deny",mode="audit",policy_level="restricted",policy_version="latest",{written}}} 1',
        f'{{decision="deny",mode="warn",policy_level="restricted",policy_version="future",{written}}} 1',
    ]


async def test_a_namespace_that_asks_for_nothing_allows(server: APIServer) -> None:
    await send(server, "POST", PODS, pod())
    assert await counted(server, EVALUATIONS) == [
        '{decision="allow",mode="enforce",policy_level="privileged",policy_version="latest",'
        'request_operation="create",resource="pod",subresource=""} 1'
    ]


# The audit log ---------------------------------------------------------------------------------------------------


async def test_a_server_without_an_audit_log_counts_no_events(server: APIServer) -> None:
    assert [line for line in await page(server) if "apiserver_audit" in line] == []


@pytest.fixture
async def audited(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with audited_server(clock, tmp_path / "audit.log") as server:
        yield server


async def test_events_of_the_audit_log_are_counted(audited: APIServer) -> None:
    before = await counted(audited, "apiserver_audit_event_total")
    await send(audited, "GET", MAPS, who=user("ann", "system:masters"))
    after = await counted(audited, "apiserver_audit_event_total")
    assert float(after[0]) == float(before[0]) + 1
    assert await counted(audited, "apiserver_audit_requests_rejected_total") == [" 0"]
    assert await counted(audited, "apiserver_audit_error_total") == ['{plugin="buffered"} 0', '{plugin="log"} 0']


async def test_an_event_that_the_disk_does_not_take_is_counted_as_lost(tmp_path: Path, clock: VirtualClock) -> None:
    metrics = Metrics()
    (tmp_path / "audit.log").mkdir()
    with AuditLog(tmp_path / "audit.log", clock, lambda: "id", metrics=metrics) as log:
        async with guarded_server(clock, extras=standard.Extras(audit=log, metrics=metrics)) as server:
            await send(server, "GET", MAPS, who=user("ann", "system:masters"))
    assert metrics.audit_errors == {"buffered": 0, "log": metrics.audit_events}
    assert metrics.audit_events > 0


# Who reads it ----------------------------------------------------------------------------------------------------


async def test_the_page_is_what_prometheus_reads(audited: APIServer) -> None:
    await install(audited, policy('object.data.a != "x\\n\\"y"'))
    await send(audited, "POST", MAPS, config_map(a='x\n"y'))
    text = "\n".join(await page(audited)) + "\n"
    read = {dict(sample.labels)["__name__"] for sample in exposition.parse(text)}
    assert {CHECKS, f"{SECONDS}_bucket", "apiserver_audit_event_total"} <= read


async def test_only_who_may_monitor_reads_it(server: APIServer) -> None:
    assert (await send(server, "GET", "/metrics", who=user("eve"))).status == 403
    assert (await send(server, "GET", "/metrics", who=user("scraper", "system:monitoring"))).status == 200
