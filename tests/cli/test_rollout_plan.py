"""`dabba rollout plan` on the workloads' own manifests, with and without what they refer to."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dabbawala.cli.rollout import rollout
from dabbawala.demo import programs


@pytest.mark.parametrize("what", ["catalog/manifests", "catalog/manifests/30-rollout.yaml"])
def test_a_canary_is_foretold_with_its_duration_and_its_peak_of_pods(what: str) -> None:
    shown = CliRunner().invoke(rollout, ["plan", str(programs.folder() / what)])
    assert shown.exit_code == 0, shown.output
    told = " ".join(shown.output.split())
    assert "12/12 setWeight: 100" in told
    assert "at most 2000 pods at once, ends Healthy" in told
    assert ("assumed, as the files do not hold them" in told) == what.endswith(".yaml")
