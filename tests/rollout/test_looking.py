"""Looking at rollouts: the reason for a wait, the tree, the numbers, and the commands that need no cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cli import rollout_view
from dabbawala.cli.rollout import rollout as command
from dabbawala.reconcile.plan import Plan, Record
from dabbawala.rollout import explain, tree
from dabbawala.rollout.metrics import Metrics
from dabbawala.rollout.rehearsal import Rehearsal
from tests.rollout.given import analysis_template, blue_green, canary, healthy, rollout, update

WORKLOADS = Path(__file__).parents[2] / "workloads"


def why(show: Rehearsal) -> list[str]:
    return [item.reason for item in explain.explain(show.rollout, show.observe(), show.stage.now).waits]


def test_every_wait_of_a_canary_has_its_reason() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, routed=True)))
    update(show)
    seen: list[str] = []
    while show.rollout["status"].get("phase") != "Paused":
        if not show.turn():
            found = why(show)
            assert found, "it waits, and nobody could say for what"
            seen += found
            show.stage.now = show.stage.next_change() or show.stage.now
    assert {"CanaryNotReady", "NotProgrammed"} <= set(seen)
    show.turn()
    assert why(show) == ["CanaryPauseStep"]


def test_a_healthy_rollout_waits_for_nothing() -> None:
    show = healthy(rollout(blue_green()))
    told = explain.explain(show.rollout, show.observe(), show.stage.now)
    assert told.is_settled
    assert told.waits == ()


def test_an_analysis_that_is_awaited_is_named() -> None:
    strategy = blue_green(prePromotionAnalysis={"templates": [{"templateName": "rate"}]})
    show = healthy(rollout(strategy), analysis_template("rate"))
    update(show)
    for _ in range(40):
        if not show.turn():
            show.stage.now = min(filter(None, (show.stage.next_change(),)))
        if "AnalysisRunning" in why(show):
            return
    raise AssertionError(why(show))


def summary(show: Rehearsal) -> tree.Summary:
    sets, runs = show.stage.all(apps_v1.REPLICA_SET), show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN)
    return tree.summarize(show.rollout, sets, runs, pods_of=lambda item: [], now=show.stage.now)


def text_of(drawn: object) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(drawn)
    return console.export_text()


def test_the_view_shows_step_weights_verdicts_and_revisions() -> None:
    steps = ({"setWeight": 20}, {"analysis": {"templates": [{"templateName": "rate"}]}}, {"pause": {}})
    show = healthy(rollout(canary(*steps, routed=True)), analysis_template("rate"))
    update(show)
    show.play()
    told = summary(show)
    assert (told.progress.done, told.progress.total, told.progress.actual) == (2, 3, 20)
    assert [row.name for row in told.tree.children] == ["revision 2", "revision 1"]
    assert [row.kind for row in told.tree.children[0].children] == ["ReplicaSet", "AnalysisRun"]
    shown = text_of(rollout_view.panel(told))
    for part in ("Paused", "CanaryPauseStep", "2/3 pause", "20 %", "revision 2", "shop/web:2", "Successful", "canary"):
        assert part in shown, part
    assert "web" in text_of(rollout_view.table([show.rollout], with_namespace=True))


def test_numbers_keep_argos_names_and_go_with_their_objects() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}})))
    metrics, key = Metrics(), ObjectKey("shop", "web")
    metrics.planned(key, Plan((Record(show.rollout, "RolloutPaused", "x"), Record(show.rollout, "RolloutPaused", "y"))))
    metrics.failed(key)
    metrics.took(key, 0.2)
    text = metrics.render([show.rollout], [], version="1")
    for line in (
        'rollout_info{namespace="shop",name="web",strategy="canary",traffic_router="",phase="Healthy"} 1',
        'rollout_info_replicas_available{namespace="shop",name="web"} 10',
        'rollout_phase{namespace="shop",name="web",strategy="canary",phase="Paused"} 0',
        'rollout_events_total{namespace="shop",name="web",type="Normal",reason="RolloutPaused"} 2',
        'rollout_reconcile_error{namespace="shop",name="web"} 1',
        'rollout_reconcile_bucket{namespace="shop",name="web",le="0.15"} 0',
        'rollout_reconcile_bucket{namespace="shop",name="web",le="0.25"} 1',
        'rollout_reconcile_count{namespace="shop",name="web"} 1',
        "# TYPE rollout_reconcile histogram",
    ):
        assert line in text.splitlines(), text
    metrics.forget(key)
    assert "rollout_events_total" not in metrics.render([], [], version="1")


# Commands without a cluster.


def written(tmp_path: Path, *objects: Object) -> str:
    file = tmp_path / "rollout.yaml"
    file.write_text(yaml.safe_dump_all(list(objects)))
    return str(file)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(arguments))
    return done.exit_code, done.output


def test_lint_says_yes_to_the_manifests_that_ship() -> None:
    code, text = run("lint", str(WORKLOADS / "tatkal" / "manifests"), str(WORKLOADS / "catalog" / "manifests"))
    assert (code, text.count(": valid")) == (0, 2)


def test_lint_says_no_with_the_field_and_the_reason(tmp_path: Path) -> None:
    code, text = run("lint", written(tmp_path, rollout(canary({"setWeight": 101}))))
    assert code == 1
    assert "spec.strategy.steps[0].setWeight: Invalid value: 101: SetWeight needs to be between 0 and 100" in text


@pytest.mark.parametrize(("content", "message"), [("a: [", "rollout.yaml"), ("kind: Service\n", "no Rollout")])
def test_lint_could_not_tell_of_a_file_without_rollouts(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text(content)
    code, text = run("lint", str(file))
    assert code == 2
    assert message in text


def test_plan_prints_every_step_with_counts_peak_and_duration(tmp_path: Path) -> None:
    steps = ({"setWeight": 20}, {"pause": {"duration": "1m"}}, {"setWeight": 60}, {"pause": {}})
    file = written(tmp_path, rollout(canary(*steps, routed=True)))
    code, text = run("plan", file, "--pod-seconds", "10")
    assert code == 0, text
    for part in ("1/4 setWeight: 20", "2/4 pause: 1m", "3/4 setWeight: 60", "at most 20 pods at once", "ends Healthy"):
        assert part in " ".join(text.split()), (part, text)
    assert "waits for a person at" in text
    assert "assumed, as the files do not hold them" in text


def test_plan_of_an_invalid_rollout_says_no(tmp_path: Path) -> None:
    code, text = run("plan", written(tmp_path, rollout({})))
    assert code == 1
    assert "is invalid" in text


def analysed(tmp_path: Path, given: list[Object], *declared: Object, **metric: Any) -> str:
    """A canary with one step, an analysis whose template declares these arguments."""
    template = analysis_template("rate", **{"count": "{{args.count}}", "interval": "{{args.every}}", **metric})[1]
    template |= {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate"}
    template["spec"]["args"] = list(declared)
    step = {"analysis": {"templates": [{"templateName": "rate"}], "args": given}}
    return written(tmp_path, rollout(canary(step)), template)


EVERY = {"name": "every", "value": "10m"}


def test_plan_waits_as_long_as_the_arguments_of_an_analysis_say(tmp_path: Path) -> None:
    file = analysed(tmp_path, [{"name": "count", "value": "4"}], {"name": "count", "value": "2"}, EVERY)
    code, text = run("plan", file, "--pod-seconds", "10")
    assert code == 0, text
    assert "0:30:" in text  # three intervals of ten minutes, and not one


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "args.count was not resolved"),
        ([{"name": "count", "value": "many"}], "metric 'success-rate' is not valid: count 'many' is no whole number"),
        ([{"name": "count", "value": "0"}], "metric success-rate which runs indefinitely. Invalid value for count: 0"),
    ],
)
def test_lint_says_no_to_an_argument_that_nothing_can_be_counted_by(
    tmp_path: Path, given: list[Object], message: str
) -> None:
    code, text = run("lint", analysed(tmp_path, given, {"name": "count"}, EVERY))
    assert (code, message in text) == (1, True), text


def test_a_provider_that_is_not_carried_is_refused_before_a_release_begins(tmp_path: Path) -> None:
    given = [{"name": "count", "value": "1"}]
    file = analysed(tmp_path, given, {"name": "count"}, EVERY, provider={"datadog": {"query": "x"}})
    code, text = run("lint", file)
    assert (code, "names provider 'datadog', which is not supported" in text) == (1, True), text


def test_every_command_has_its_help() -> None:
    for name, item in command.commands.items():
        assert item.help, name
    wanted = [
        "get",
        "watch",
        "list",
        "promote",
        "pause",
        "abort",
        "retry",
        "undo",
        "restart",
        "set-image",
        "lint",
        "plan",
        "explain",
    ]
    assert set(wanted) == set(command.commands)
