"""The real Helm 4 releases a chart: server-side apply, waiting, release secrets in protobuf, rollback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.session import WEB, WEB_V2, Session, deployment


def chart(folder: Path) -> str:
    web = json.dumps(deployment("web")).replace(WEB, "{{ .Values.image }}")
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text(f"image: {WEB}\n")
    (folder / "templates" / "web.yaml").write_text(web)
    return str(folder)


@pytest.fixture
def helm(k: Session, binaries: dict[str, Path]) -> Session:
    """helm in the test's namespace, run as kubectl is."""
    made = Session(k.kubectl, k.namespace, k.folder)
    made.kubectl = type(k.kubectl)(binaries["helm"], k.kubectl.kubeconfig, k.kubectl.home)
    return made


def test_helm_installs_upgrades_rolls_back_and_uninstalls(k: Session, helm: Session, tmp_path: Path) -> None:
    folder = chart(tmp_path / "shop")
    wait = ("--wait", "--timeout=40s")
    assert "STATUS: deployed" in helm("install", "shop", folder, *wait)
    assert k.read("deployment", "web")["status"]["availableReplicas"] == 1
    helm("upgrade", "shop", folder, "--set", f"image={WEB_V2}", *wait)
    assert k("exec", "deployment/web", "--", "printenv", "VERSION") == "v2\n"
    helm("rollback", "shop", "1", *wait)
    assert k.read("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == WEB
    history = json.loads(helm("history", "shop", "-o", "json"))
    assert [one["status"] for one in history] == ["superseded", "superseded", "deployed"]
    assert len(k.names("secrets", "-l", "owner=helm,name=shop")) == 3
    helm("uninstall", "shop", *wait)
    assert k.gone("deployments,secrets")


def test_helm_says_which_resource_is_not_ready_in_time(k: Session, helm: Session, tmp_path: Path) -> None:
    folder = chart(tmp_path / "shop")
    late = helm.refused("install", "shop", folder, "--set", "image=session/absent:v1", "--wait", "--timeout=2s")
    assert f"Deployment/{k.namespace}/web not ready" in late
