"""A namespace's baseline: what it holds, that a scan has nothing to say of it, and what its policy refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dabbawala.guard.findings import Report
from dabbawala.guard.generate.baseline import VERSION
from dabbawala.guard.generate.profiles import DESCRIBED, PROFILES
from dabbawala.policy.access import Attributes, User
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request
from dabbawala.policy.pod_security import evaluation
from dabbawala.policy.pod_security.levels import Version
from dabbawala.policy.rbac import Policy
from dabbawala.policy.scope import Surroundings
from tests.guard.generate.running import compare, generated, objects, run, scanned

BANK = (
    "baseline", "hdfc-banking", "--profile", "banking", "--owner", "net-banking",
    "--operator-user", "banking-operator@hdfc.example.com", "--operator-group", "hdfc-banking-operators",
)  # fmt: skip
CASES = {
    "baseline-banking": BANK,
    "baseline-banking-least": (*BANK, "--operator", "least"),
    "baseline-payments": ("baseline", "cards", "--profile", "payments"),
    "baseline-default": ("baseline", "shop"),
}


def said(report: Report) -> list[tuple[str, str]]:
    return [(found.check.id, str(found.subject)) for found in report.findings] + [
        (problem.code, problem.message) for problem in report.problems
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_baseline_is_the_same_every_time(case: str) -> None:
    compare(case, generated(*CASES[case]))


@pytest.mark.parametrize("case", [case for case in CASES if case != "baseline-banking"])
def test_a_scan_has_nothing_to_say_of_a_baseline(case: str, tmp_path: Path) -> None:
    report = scanned(generated(*CASES[case]), tmp_path)
    assert report.objects >= 6
    assert said(report) == []


def test_of_the_rights_that_operators_are_described_to_have_a_scan_tells_two_and_so_does_the_file(
    tmp_path: Path,
) -> None:
    text = generated(*BANK)
    role = "Role hdfc-banking/banking-operator"
    assert said(scanned(text, tmp_path)) == [("RBAC-03", role), ("RBAC-04", role)]
    assert "(RBAC-03, RBAC-04)" in text


def test_operators_have_exactly_the_described_rights_and_no_exec() -> None:
    found = objects(generated(*BANK))
    role = next(obj for obj in found if obj["kind"] == "Role")
    assert role["rules"] == DESCRIBED
    policy, user = Policy.of(found), User("banking-operator@hdfc.example.com")
    group = User("somebody", ("hdfc-banking-operators",))

    def may(who: User, verb: str, resource: str, subresource: str = "", namespace: str = "hdfc-banking") -> bool:
        wanted = Attributes(who, verb, resource=resource, subresource=subresource, namespace=namespace, name="x")
        return policy.allows(wanted)

    for who in (user, group):
        assert may(who, "patch", "secrets")
        assert may(who, "get", "pods", "log")
        assert not may(who, "create", "pods", "exec")
        assert not may(who, "get", "pods", "exec")
        assert not may(who, "create", "pods", "attach")
        assert not may(who, "delete", "pods")
        assert not may(who, "get", "pods", namespace="default")
    assert not may(User("somebody"), "get", "pods")


def pod(**spec: Any) -> dict[str, Any]:
    container = {
        "name": "web", "image": "registry.example.com/web:1",
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
    }  # fmt: skip
    context = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001,
               "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    return {"securityContext": context, "containers": [container], **spec}


def host(path: str) -> list[dict[str, Any]]:
    return [{"name": "host", "hostPath": {"path": path}}]


def container(**context: Any) -> list[dict[str, Any]]:
    first = pod()["containers"][0]
    return [{**first, "securityContext": {**first["securityContext"], **context}}]


def refused(spec: dict[str, Any]) -> list[str]:
    """The messages of the generated policy about a pod."""
    found = next(obj for obj in objects(generated(*BANK)) if obj["kind"] == "ValidatingAdmissionPolicy")
    policy = CompiledPolicy.of(found)
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "hdfc-banking"}, "spec": spec}
    request = Request(
        "CREATE", "", "v1", "pods", kind="Pod", namespace="hdfc-banking", name="web", object=obj
    )  # fmt: skip
    seen = policy.match(request, None)
    assert seen is not None
    verdict = policy.evaluate(seen, Surroundings(None))
    assert all(outcome.result != "error" for outcome in verdict.outcomes), verdict
    return [outcome.message for outcome in verdict.denials]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (pod(), None),
        (pod(volumes=host("/var/log/audit")), None),
        (pod(volumes=host("/var/log/audit/bank")), None),
        (pod(volumes=host("/var/log")), "hostPath"),
        (pod(volumes=host("/var/log/audit-of-others")), "hostPath"),
        (pod(volumes=host("/var/log/audit/../../lib")), "hostPath"),
        (pod(volumes=host("/")), "hostPath"),
        (pod(securityContext={"runAsNonRoot": True}), "runAsGroup"),
        (pod(securityContext={"runAsGroup": 0}), "runAsGroup"),
        (pod(securityContext={"runAsGroup": 999}), "runAsGroup"),
        (pod(securityContext={"runAsGroup": 65536}), "runAsGroup"),
        (pod(securityContext={"runAsGroup": 65535}), None),
        (pod(securityContext={}, containers=container(runAsGroup=1000)), None),
        (pod(containers=container(runAsGroup=0)), "runAsGroup"),
        (pod(containers=container(readOnlyRootFilesystem=False)), "read-only"),
        (pod(initContainers=container(readOnlyRootFilesystem=False)), "read-only"),
    ],
)
def test_what_pod_security_has_no_words_for_the_policy_says(spec: dict[str, Any], message: str | None) -> None:
    found = refused(spec)
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        (pod(), True),
        (pod(containers=container(privileged=True)), False),
        (pod(containers=container(allowPrivilegeEscalation=True)), False),
        (pod(containers=container(capabilities={"drop": []})), False),
        (pod(containers=container(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})), False),
        (pod(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}), False),
        (pod(volumes=host("/etc")), False),
        (pod(volumes=[{"name": "a", "nfs": {"server": "x", "path": "/"}}]), False),
        *((pod(volumes=[{"name": "a", kind: {}}]), True)
          for kind in ("configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim")),
    ],
)  # fmt: skip
def test_the_rest_of_the_banks_pod_policy_is_pod_securitys_level(spec: dict[str, Any], allowed: bool) -> None:
    labels = objects(generated(*BANK))[0]["metadata"]["labels"]
    level, version = (labels[f"pod-security.kubernetes.io/{name}"] for name in ("enforce", "enforce-version"))
    assert (level, version) == ("restricted", VERSION)
    assert (not evaluation.evaluate(level, Version(30), {"name": "web"}, spec)) is allowed


def test_every_profile_says_what_is_kept_in_the_namespace() -> None:
    assert all({"data-class", "criticality", "environment"} <= set(profile.labels) for profile in PROFILES.values())


@pytest.mark.parametrize(
    "arguments", [("Shop",), ("-",), ("shop", "--owner", "two words"), ("shop", "--profile", "no")]
)
def test_a_name_that_kubernetes_would_refuse_is_refused_at_once(arguments: tuple[str, ...]) -> None:
    result = run("baseline", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
