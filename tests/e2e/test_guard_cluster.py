"""Guard on a running cluster, as somebody at a terminal has it: a scan, a warning, a refusal, an exception, the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.conftest import Dabba
from tests.e2e.session import Session, eventually
from tests.kubectl import Kubectl

SIMULATED = ("--nodes", "0", "--simulated-nodes", "1")
WL_01 = "wl-01-privileged.guard.dabbawala.dev"
BAD = {"name": "web", "image": "registry.example.com/web:1", "securityContext": {"privileged": True}}
EXCEPTION = {
    "apiVersion": "guard.dabbawala.dev/v1alpha1",
    "kind": "PolicyException",
    "metadata": {"name": "driver"},
    "spec": {
        "checks": ["WL-01"],
        "match": {"namespaces": ["shop"], "names": ["driver*"]},
        "reason": "loads a kernel module",
        "owner": "platform@example.com",
        "ticket": "OPS-7",
        "expires": "2099-12-31",
    },
}


@pytest.fixture(scope="module")
def dabba() -> Iterator[Dabba]:
    with clusters.private() as made:
        made("up", *SIMULATED)
        yield made


@pytest.fixture
def k(dabba: Dabba, binaries: dict[str, Path], tmp_path: Path) -> Session:
    return Session(Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home), "shop", tmp_path)


def guard(dabba: Dabba, *arguments: str) -> subprocess.CompletedProcess[str]:
    return dabba.run("guard", *arguments, "--kubeconfig", str(dabba.kubeconfig()))


def deployment(name: str) -> dict[str, object]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [BAD]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pods(k: Session) -> int:
    return len(k.names("pods", "--field-selector=status.phase=Running"))


def test_from_a_scan_to_a_refusal_and_back(dabba: Dabba, k: Session, tmp_path: Path) -> None:
    k.kubectl("create", "namespace", "shop")
    k("apply", "-f", k.file("old.json", deployment("old")))
    eventually(lambda: pods(k) == 1)

    seen = guard(dabba, "scan", "--live", "-n", "shop", "-c", "WL-01", "-o", "json")
    found = json.loads(seen.stdout)["findings"]
    assert (seen.returncode, [item["subject"]["kind"] for item in found]) == (1, ["Deployment"]), seen.stderr
    assert found[0]["place"]["field"] == "spec.template.spec.containers[web].securityContext.privileged"

    audit = guard(dabba, "enforce", "-c", "WL-01")
    assert audit.returncode == 0, audit.stderr
    assert "1 of " in audit.stdout
    assert "WL-01  1  shop  Deployment old" in audit.stdout
    assert f"created ValidatingAdmissionPolicyBinding {WL_01} (audit)" in audit.stdout
    quiet = k.run("apply", "-f", k.file("quiet.json", deployment("quiet")))
    assert (quiet.status, quiet.err) == (0, "")

    assert "(warn)" in guard(dabba, "enforce", "-c", "WL-01").stdout
    warned = k.run("apply", "-f", k.file("warned.json", deployment("warned")))
    assert warned.status == 0
    assert f"Warning: Validation failed for ValidatingAdmissionPolicy '{WL_01}'" in warned.err
    assert "container web is privileged" in warned.err

    stopped = guard(dabba, "enforce", "-c", "WL-01")
    assert (stopped.returncode, stopped.stdout.count("shop")) == (1, 1)
    assert "not installed: 3 live objects would be refused" in stopped.stderr
    assert k.run("apply", "-f", k.file("late.json", deployment("late"))).status == 0

    forced = guard(dabba, "enforce", "-c", "WL-01", "--force")
    assert "(deny)" in forced.stdout, forced.stderr
    told = k.refused("apply", "-f", k.file("new.json", deployment("new")))
    refusal = f"ValidatingAdmissionPolicy '{WL_01}' with binding '{WL_01}' denied request"
    assert f"{refusal}: container web is privileged" in told
    assert "nothing to do" not in guard(dabba, "enforce", "-c", "WL-01", "--dry-run").stdout
    assert "2 unchanged" in guard(dabba, "enforce", "-c", "WL-01").stdout

    k("scale", "deployment/old", "--replicas=3")
    eventually(lambda: len(k.names("pods", "--selector=app=old")) == 3)
    k("annotate", "deployment/old", "note=still-here")
    assert "is privileged" in k.refused("set", "image", "deployment/old", "web=registry.example.com/web:2")
    k("delete", "deployment", "old", "quiet", "warned", "late")

    k.kubectl("apply", "-f", k.file("exception.json", EXCEPTION))
    assert "updated ValidatingAdmissionPolicy" in guard(dabba, "enforce", "-c", "WL-01").stdout
    k("apply", "-f", k.file("driver.json", deployment("driver-a")))
    assert "is privileged" in k.refused("apply", "-f", k.file("new.json", deployment("new")))
    excepted = guard(dabba, "scan", "--live", "-c", "WL-01", "--publish", "-o", "json")
    assert [item["status"] for item in json.loads(excepted.stdout)["findings"]] == ["excepted"], excepted.stderr
    assert excepted.returncode == 0
    report = k.read("policyreport", "dabbawala-guard")
    assert report["summary"]["skip"] == 1

    new = k.file("new.json", deployment("new"))
    ours = guard(dabba, "scan", new, "--with-cluster-policies", "-c", "WL-01", "-o", "json")
    assert ours.returncode == 1, ours.stderr
    (finding,) = json.loads(ours.stdout)["findings"]
    assert (finding["check"], finding["reason"]) == ("WL-01", f"binding {WL_01}: Deny, Audit")

    taken = guard(dabba, "enforce", "--remove")
    assert "2 removed" in taken.stdout, taken.stderr
    assert k.kubectl("get", "validatingadmissionpolicies", "--output=name") == ""
    k("apply", "-f", k.file("new.json", deployment("new")))


def test_a_recording_of_the_server_agrees_with_the_scan(dabba: Dabba, tmp_path: Path) -> None:
    manifest, kept = tmp_path / "pods.json", tmp_path / "answers.jsonl"
    manifest.write_text(json.dumps({**deployment("one"), "metadata": {"name": "one", "namespace": "default"}}))
    only = ("-c", "WL-01", "-c", "WL-27")
    done = guard(dabba, "parity", "record", str(manifest), *only, "--settle", "0", "-f", str(kept))
    assert done.returncode == 0, done.stderr
    compared = dabba.run("guard", "parity", "compare", str(kept), str(manifest), *only)
    assert (compared.returncode, compared.stdout.split(";")[0]) == (0, "4 answers compared, 0 disagreements")
    kept.write_text(kept.read_text().replace('"allowed":false', '"allowed":true'))
    assert dabba.run("guard", "parity", "compare", str(kept), str(manifest)).returncode == 1


def test_who_may_not_list_is_told_what_lacks(dabba: Dabba, k: Session, tmp_path: Path) -> None:
    k.kubectl("create", "namespace", "seen")
    k.kubectl("--namespace", "seen", "create", "serviceaccount", "viewer")
    k.kubectl("create", "rolebinding", "viewer", "-n=seen", "--clusterrole=view", "--serviceaccount=seen:viewer")
    token = k.kubectl("--namespace", "seen", "create", "token", "viewer").strip()
    config = json.loads(k.kubectl("config", "view", "--raw", "--output=json"))
    for user in config["users"]:
        user["user"] = {"token": token}
    (tmp_path / "viewer").write_text(json.dumps(config))
    seen = dabba.run("guard", "scan", "--live", "-n", "seen", "--kubeconfig", str(tmp_path / "viewer"))
    assert seen.returncode == 2
    assert "secrets may not be listed in namespace seen" in " ".join(seen.stdout.split())
    assert "Grant the verb list on secrets" in " ".join(seen.stdout.split())
