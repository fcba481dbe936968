"""Merging into the user's kubeconfig touches nothing that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dabbawala.cluster.supervisor import kubeconfigs


def config(name: str, server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merged(tmp_path: Path, theirs: dict[str, Any] | None) -> dict[str, Any]:
    source, target = tmp_path / "ours", tmp_path / "kube" / "config"
    source.write_text(yaml.safe_dump(config("dabba-default", "https://127.0.0.1:1")))
    if theirs is not None:
        target.parent.mkdir()
        target.write_text(yaml.safe_dump(theirs))
    assert kubeconfigs.merge(source, target) == "dabba-default"
    assert target.stat().st_mode & 0o777 == 0o600
    found: dict[str, Any] = yaml.safe_load(target.read_text())
    return found


def test_a_user_without_a_kubeconfig_gets_one(tmp_path: Path) -> None:
    assert merged(tmp_path, None) == config("dabba-default", "https://127.0.0.1:1")


def test_the_entries_of_others_and_unknown_fields_stay(tmp_path: Path) -> None:
    found = merged(tmp_path, {**config("work", "https://work"), "preferences": {"colors": True}})
    assert [entry["name"] for entry in found["clusters"]] == ["work", "dabba-default"]
    assert found["preferences"] == {"colors": True}
    assert found["current-context"] == "dabba-default"


def test_our_entries_of_an_earlier_start_are_replaced(tmp_path: Path) -> None:
    found = merged(tmp_path, config("dabba-default", "https://127.0.0.1:9999"))
    assert found == config("dabba-default", "https://127.0.0.1:1")


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "kube").mkdir()
    (tmp_path / "kube" / "config").write_text("")
    source = tmp_path / "ours"
    source.write_text(yaml.safe_dump(config("dabba-default", "https://127.0.0.1:1")))
    kubeconfigs.merge(source, tmp_path / "kube" / "config")
    assert yaml.safe_load((tmp_path / "kube" / "config").read_text())["current-context"] == "dabba-default"


@pytest.mark.parametrize(("text", "words"), [("a: [", "is not YAML"), ("- a list", "is no kubeconfig")])
def test_a_file_that_is_no_kubeconfig_is_named_and_left_alone(tmp_path: Path, text: str, words: str) -> None:
    source, target = tmp_path / "ours", tmp_path / "config"
    source.write_text(yaml.safe_dump(config("dabba-default", "https://127.0.0.1:1")))
    target.write_text(text)
    with pytest.raises(kubeconfigs.Unreadable, match=f"{target} {words}"):
        kubeconfigs.merge(source, target)
    assert target.read_text() == text
