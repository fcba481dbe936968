"""The rights of the capability have one source, wherever it runs."""

from __future__ import annotations

from pathlib import Path

import yaml

from dabbawala.api import rollout_access
from dabbawala.cluster.apiserver.rbac_controllers import COMPONENTS

MANIFEST = Path(__file__).parents[2] / "manifests" / "rollout" / "access.yaml"


def test_the_manifests_give_the_rights_of_the_source_and_no_others() -> None:
    listed = [item for item in yaml.safe_load_all(MANIFEST.read_text()) if item["kind"] == "ClusterRole"]
    assert [role["rules"] for role in listed] == [list(rollout_access.RULES)]


def test_the_embedded_cluster_gives_the_same_rights() -> None:
    assert list(COMPONENTS["system:dabbawala:rollout"].rules) == list(rollout_access.RULES)
