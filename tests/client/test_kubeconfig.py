"""Reading kubeconfigs, good and bad."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dabbawala.client import kubeconfig
from dabbawala.client.kubeconfig import BadKubeconfig

GOOD = f"""
current-context: dev
contexts:
- {{name: dev, context: {{cluster: c, user: u, namespace: team}}}}
- {{name: other, context: {{cluster: c, user: t}}}}
clusters:
- {{name: c, cluster: {{server: "https://127.0.0.1:6443/", certificate-authority: ca.crt}}}}
users:
- {{name: u, user: {{client-certificate-data: {base64.b64encode(b"CERT").decode()}, client-key: u.key}}}}
- {{name: t, user: {{token: secret}}}}
- {{name: x, user: {{exec: {{command: aws}}}}}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / "ca.crt").write_bytes(b"CA")
    (tmp_path / "u.key").write_bytes(b"KEY")
    path = tmp_path / "config"
    path.write_text(GOOD)
    return path


def test_files_count_from_the_kubeconfigs_own_folder(config: Path) -> None:
    found = kubeconfig.load(config)
    assert (found.server, found.namespace) == ("https://127.0.0.1:6443", "team")
    assert (found.ca, found.certificate, found.key) == (b"CA", b"CERT", b"KEY")


def test_another_context_is_another_user(config: Path) -> None:
    found = kubeconfig.load(config, "other")
    assert (found.token, found.certificate, found.namespace) == ("secret", None, "default")


def test_the_first_file_that_names_a_thing_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = config.with_name("first")
    first.write_text("users:\n- {name: u, user: {token: mine}}\n")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{config}")
    assert kubeconfig.load().token == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("server:", "address:"), "cluster.server is missing"),
        (("current-context: dev", "current-context: none"), "contexts has no 'none'"),
        (("user: u,", "user: x,"), "exec and auth-provider are not supported"),
        (("u.key", "lost.key"), "client-key"),
        ((GOOD, "- a\n- b\n"), "is no kubeconfig"),
        ((GOOD, "a: [\n"), "config"),
    ],
)
def test_what_cannot_be_used_is_named(config: Path, change: tuple[str, str], message: str) -> None:
    config.write_text(GOOD.replace(*change))
    with pytest.raises(BadKubeconfig, match=message):
        kubeconfig.load(config)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadKubeconfig, match="dabba up"):
        kubeconfig.load(tmp_path / "none")
