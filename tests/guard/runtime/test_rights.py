"""What the guide says of running on a node: the rights that are enough, and what our own checks say of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dabbawala.cli.main import dabba

GUIDE = Path(__file__).parents[3] / "docs" / "guard-runtime.md"
COVERAGE = (sys.executable, "-m", "dabbawala.cli.main", "guard", "runtime", "--coverage", "--output", "json")


def shown() -> list[dict[str, Any]]:
    """The guide's pod and exception."""
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return [yaml.safe_load(text) for text in blocks if "hostPID" in text or "kind: PolicyException" in text]


def covered(*before: str) -> list[str]:
    done = subprocess.run([*before, *COVERAGE], capture_output=True, text=True, check=True, timeout=60)
    return [row["covered"] for row in json.loads(done.stdout)]


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can give rights away")
def test_the_capabilities_of_the_guide_see_what_root_sees() -> None:
    kept = shown()[0]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"]
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in kept)])
    assert covered("setpriv", f"--bounding-set={bounds}", "--inh-caps=-all") == covered()


def test_the_exception_of_the_guide_accepts_what_the_pod_must_have_and_nothing_else(tmp_path: Path) -> None:
    pod, exception = shown()
    pod["spec"]["containers"][0]["image"] = "registry.example.com/dabbawala:1"
    template = {"metadata": {"labels": {"app": "detector"}}, "spec": pod["spec"]}
    spec = {"selector": {"matchLabels": {"app": "detector"}}, "template": template}
    about = {"name": "runtime-detector", "namespace": "guard"}
    made = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": about, "spec": spec}
    exception["spec"]["match"]["namespaces"] = [about["namespace"]]
    exception["spec"]["expires"] = "2999-01-01"
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(made))
    (tmp_path / "exception.yaml").write_text(yaml.safe_dump(exception))
    asked = ["guard", "scan", str(tmp_path / "pod.yaml"), "-e", str(tmp_path / "exception.yaml"), "-o", "json"]
    found = json.loads(CliRunner().invoke(dabba, asked).stdout)["findings"]
    accepted = {each["check"] for each in found if each["status"] == "excepted"}
    assert accepted == set(exception["spec"]["checks"]), "each is needed"
    rights = [each["check"] for each in found if each["status"] == "fail" and each["severity"] == "critical"]
    assert not rights
