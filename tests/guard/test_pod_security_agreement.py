"""Checks that map a Pod Security check directly say of every pod what the newest version of that check says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks
from dabbawala.policy.matching import Request
from dabbawala.policy.pod_security.catalogue import CHECKS, NEWEST
from dabbawala.policy.pod_security.levels import BASELINE, RESTRICTED
from tests.guard.test_policies import forms, judge
from tests.policy.pod_security_fixtures import APPARMOR, Fixture, changed, fixtures, least_pod

COUNTERPARTS = {
    "appArmorProfile": ["WL-21"],
    "capabilities_baseline": ["WL-11"],
    "hostNamespaces": ["WL-02", "WL-03", "WL-04"],
    "hostPathVolumes": ["WL-14"],
    "hostPorts": ["WL-17"],
    "hostProbesAndHostLifecycle": ["WL-26"],
    "privileged": ["WL-01"],
    "procMount": ["WL-23"],
    "seLinuxOptions": ["WL-22"],
    "seccompProfile_baseline": ["WL-19"],
    "sysctls": ["WL-24"],
    "windowsHostProcess": ["WL-18"],
    "allowPrivilegeEscalation": ["WL-05"],
    "capabilities_restricted": ["WL-10"],
    "restrictedVolumes": ["WL-25"],
    "runAsNonRoot": ["WL-06"],
    "runAsUser": ["WL-07"],
    "seccompProfile_restricted": ["WL-20"],
}
PARTIAL = {"hostNamespaces"}
"""Several checks share it, so each maps a part."""
PROC_MOUNT_RESTRICTED = "procMount_restricted"
"""Asks more than any check of ours: no exemption for user namespaces."""


def defaulted(pod: Object) -> Request:
    *_, request = forms({"apiVersion": "v1", "kind": "Pod", **pod})
    return request


def ours(check_id: str, pod: Object) -> bool:
    return any(judge(name, defaulted(pod)).findings for name in COUNTERPARTS[check_id])


def theirs(check_id: str, pod: Object) -> bool:
    obj = defaulted(pod).object
    assert obj is not None
    (check,) = (check for check in CHECKS if check.id == check_id)
    form = check.at(NEWEST)
    assert form is not None
    return form(obj["metadata"], obj["spec"]) is not None


def test_every_pod_security_check_has_its_counterpart() -> None:
    assert COUNTERPARTS.keys() | {PROC_MOUNT_RESTRICTED} == {check.id for check in CHECKS}


def test_direct_mappings_are_exactly_those_that_are_compared_here() -> None:
    claimed = {
        (control.clause, check.id)
        for check in checks.shipped().values()
        for control in check.controls
        if control.framework.startswith("pss-") and control.strength == "direct"
    }
    compared = {(name.split("_")[0], check) for name, ids in COUNTERPARTS.items() for check in ids}
    assert claimed == {(clause, check) for clause, check in compared if clause not in PARTIAL}


@pytest.mark.parametrize("level", [BASELINE, RESTRICTED])
def test_upstreams_fixtures_get_the_same_verdict(level: str) -> None:
    different = [
        f"{name}: {fixture}"
        for fixture in fixtures(level, NEWEST.minor)
        for name in _asked_by(fixture)
        if ours(name, fixture.pod) != theirs(name, fixture.pod)
    ]
    assert different == []


def _asked_by(fixture: Fixture) -> list[str]:
    """The checks that the fixture was made for; of the least pods all."""
    return [name for name in COUNTERPARTS if fixture.name.startswith("base") or fixture.name.startswith(name)]


def _fields(*places: str, **values: list[Any]) -> dict[str, list[Any]]:
    return {f"{place}.{name.replace('__', '.')}": found for place in places for name, found in values.items()}


FIELDS = {
    **_fields(
        "pod", "container", "init",
        runAsNonRoot=[True, False], runAsUser=[0, 1000], seccompProfile__type=["Unconfined", "RuntimeDefault"],
        appArmorProfile__type=["Unconfined", "Localhost"], windowsOptions__hostProcess=[True, False],
        seLinuxOptions__type=["spc_t", "container_t"], seLinuxOptions__user=["system_u"],
    ),
    **_fields(
        "container", "init",
        privileged=[True, False], allowPrivilegeEscalation=[True, False], procMount=["Unmasked", "Default"],
        capabilities__add=[["NET_BIND_SERVICE"], ["SYS_ADMIN"], []], capabilities__drop=[["ALL"], ["NET_RAW"]],
    ),
    **_fields(
        "spec",
        hostPID=[True, False], hostIPC=[True], hostNetwork=[True, False], hostUsers=[True, False],
        os__name=["linux", "windows"],
        volumes=[[{"name": "a", "hostPath": {"path": "/a"}}], [{"name": "a"}], [{"name": "a", "image": {}}],
                 [{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {"server": "s", "path": "/"}}]],
    ),
    **_fields(
        "containers", "inits",
        ports=[[{"containerPort": 1}], [{"containerPort": 1, "hostPort": 2}], [{"containerPort": 1, "hostPort": 0}]],
        livenessProbe__httpGet=[{"port": 1}, {"port": 1, "host": "h"}], lifecycle__preStop__tcpSocket=[{"host": "h"}],
    ),
    **_fields("pod", sysctls=[[{"name": name, "value": "1"}] for name in ("kernel.msgmax", "net.ipv4.tcp_rmem")]),
    f"{APPARMOR}container1": ["unconfined", "runtime/default", "localhost/x", ""],
}  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()}))
def test_any_mixture_of_settings_gets_the_same_verdicts(change: dict[str, Any]) -> None:
    pod = changed(least_pod(BASELINE, NEWEST.minor), change)
    assert {name for name in COUNTERPARTS if ours(name, pod)} == {name for name in COUNTERPARTS if theirs(name, pod)}
