"""What came from a Secret is told to nobody, and hiding it breaks nothing."""

from __future__ import annotations

from dabbawala.rollout.analysis import arguments


def test_hides_a_secret_wherever_the_answer_repeats_it() -> None:
    said = {
        "value": "[hunter2]",
        "message": "401 for hunter2",
        "metadata": {"ResolvedPrometheusQuery": "up{k='hunter2'}"},
    }
    assert arguments.hidden(said, ["hunter2"]) == {
        "value": "[*****]",
        "message": "401 for *****",
        "metadata": {"ResolvedPrometheusQuery": "up{k='*****'}"},
    }


def test_a_short_secret_leaves_times_phases_and_names_of_objects_as_they_are() -> None:
    metadata = {"job-name": "0b4c.check.1", "job-namespace": "default"}
    measurement = {"phase": "Running", "startedAt": "2026-01-01T00:00:00Z", "metadata": metadata}
    assert arguments.hidden(measurement, ["0", "n"], known=("job-name", "job-namespace")) == measurement
