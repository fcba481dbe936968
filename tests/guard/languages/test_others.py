"""Dockerfiles, log configurations, pipelines, schedules and comments, each as plain data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.guard.languages import dockerfile, fluentd, pipelines, remarks, schedules, shapes


def test_instructions_know_their_line_and_stage() -> None:
    found = dockerfile.model(
        "# syntax=docker/dockerfile:1\nFROM golang:1.22 AS build\nRUN make && \\\n    # why\n    make test\n"
        'FROM build\nUSER 1000\nENTRYPOINT ["/a", "b"]\n'
    )
    assert [(i["name"], i["line"], i["stage"]) for i in found["instructions"]] == [
        ("FROM", 2, 0), ("RUN", 3, 0), ("FROM", 6, 1), ("USER", 7, 1), ("ENTRYPOINT", 8, 1),
    ]  # fmt: skip
    assert [command["name"] for command in found["instructions"][1]["commands"]] == ["make", "make"]
    assert (found["stages"][1]["on"], found["user"], found["instructions"][4]["words"]) == (0, "1000", ["/a", "b"])


def test_the_user_of_a_stage_that_is_built_upon_counts_and_that_of_another_does_not() -> None:
    assert dockerfile.model("FROM a AS x\nUSER 5\nFROM x\nRUN b\n")["user"] == "5"
    assert dockerfile.model("FROM a AS x\nUSER 5\nFROM b\nRUN b\n")["user"] == ""


def test_here_documents_of_a_build_are_one_instruction() -> None:
    found = dockerfile.model("FROM a:1\nRUN <<EOF\napt-get update\nUSER nobody\nEOF\nUSER 1\n")
    assert [i["name"] for i in found["instructions"]] == ["FROM", "RUN", "USER"]


def test_flags_and_pairs() -> None:
    found = dockerfile.model('FROM a:1\nCOPY --from=b --chown=1:1 /x /y\nENV A=1 B="2 3"\nENV C d e\nARG D=5\n')
    assert found["instructions"][1]["flags"] == {"from": "b", "chown": "1:1"}
    assert [pair["value"] for i in found["instructions"] for pair in i["pairs"]] == ["1", "2 3", "d e", "5"]


@given(st.text(alphabet="FROMRUNASCOPYENV abc\n\\#<<EOF=\"'[]$-:", max_size=200))
def test_no_dockerfile_breaks_the_reader(text: str) -> None:
    assert dockerfile.model(text)["last"] >= -1


def test_what_a_match_takes_is_lost_to_those_below() -> None:
    found = fluentd.model(
        "<match a.**>\n @type file\n</match>\n<filter a.b>\n @type x\n</filter>\n<filter c>\n</filter>\n"
    )
    assert [(lost["name"], lost["line"], lost["behind"]) for lost in found["lost"]] == [("filter", 4, 1)]


def test_sections_that_are_not_closed_are_faults() -> None:
    assert [fault["line"] for fault in fluentd.model("<match a>\n<buffer>\n</match>\n")["faults"]] == [3, 1, 2]
    assert fluentd.model("<match a>\n<buffer>\n</buffer>\n</match>\n")["faults"] == []


@given(st.text(alphabet="<>/match filter@type*.\n ab", max_size=200))
def test_no_log_configuration_breaks_the_reader(text: str) -> None:
    assert isinstance(fluentd.model(text)["lost"], list)


def test_a_job_has_what_it_extends_and_what_is_said_for_all() -> None:
    pipeline: dict[str, Any] = {
        "default": {"image": "a:1", "retry": 1},
        ".x": {"variables": {"A": "1", "B": "2"}, "script": ["x"], "image": "b:1"},
        "job": {"extends": ".x", "variables": {"B": "3"}, "stage": "deploy"},
    }
    (job,) = pipelines.jobs(pipeline)
    assert job["stage"] == "deploy"
    assert job["job"]["variables"] == {"A": "1", "B": "3"}
    assert (job["job"]["image"], job["job"]["retry"]) == ("b:1", 1)


def test_what_extends_itself_comes_to_an_end() -> None:
    assert pipelines.merged({"a": {"extends": "b", "x": 1}, "b": {"extends": "a"}}, "a")["x"] == 1


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, {"a": None}, [{"job": 1}], True])
@pytest.mark.parametrize("field", ["stages", "default", "variables", "job", "include", ".t"])
def test_no_pipeline_breaks_the_reader(field: str, value: object) -> None:
    for pipeline in ({field: value}, {"a": {field: value, "extends": value, "needs": value, "script": value}}):
        pipelines.jobs(pipeline)
        pipelines.stages(pipeline)
        pipelines.missing(pipeline)
        shapes.of_document("x.yaml", pipeline)


@pytest.mark.parametrize(
    ("expression", "seconds", "right"),
    [
        ("0 2 * * *", False, True),
        ("*/15 9-15 * * MON-FRI", False, True),
        ("CRON_TZ=Asia/Kolkata 0 2 * * *", False, True),
        ("@every 1h30m", False, True),
        ("0 0 2 * * *", True, True),
        ("0 0 2 * * *", False, False),
        ("0 24 * * *", False, False),
        ("0 2 * * 8", False, False),
        ("5-1 * * * *", False, False),
        ("*/0 * * * *", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_schedules(expression: object, seconds: bool, right: bool) -> None:
    assert (schedules.parse(expression, seconds=seconds)["error"] == "") is right


@pytest.mark.parametrize(
    ("expression", "zone", "comment", "said"),
    [
        ("0 2 * * *", "", "2 AM IST daily", "2 AM IST"),
        ("30 20 * * *", "", "2 AM IST daily", ""),
        ("0 2 * * *", "Asia/Kolkata", "2 AM IST daily", ""),
        ("CRON_TZ=Asia/Kolkata 0 2 * * *", "", "Daily at 02:00 IST", ""),
        ("0 2 * * *", "", "every day at 2 AM", ""),
        ("0 14 * * *", "", "2:00 pm", ""),
        ("0 3 * * *", "", "2 AM", "2 AM"),
        ("0 2 * * *", "Europe/Paris", "02:00", ""),
        ("0 2 1 * *", "", "on the 1st of each month", ""),
        ("*/5 * * * *", "", "2 AM", ""),
        ("0 2 * * *", "", "keep for 30 days", ""),
    ],
)
def test_hours_in_comments(expression: str, zone: str, comment: str, said: str) -> None:
    assert schedules.contradiction(expression, zone, comment) == said


@pytest.mark.parametrize(
    ("field", "value", "comment", "said"),
    [
        ("weight", 5, "10% of traffic", "10 %"),
        ("weight", 5, "5% of traffic", ""),
        ("value", 0.1, "0.1%", ""),
        ("maxSurge", "25%", "25 percent", ""),
        ("maxSurge", "25%", "50%", "50 %"),
        ("interval", "300s", "5 minutes", ""),
        ("interval", "300s", "every minute", ""),
        ("interval", "300s", "10 minutes", "10 minutes"),
        ("ttl", "720h0m0s", "30 days", ""),
        ("ttl", "720h", "90 days retention", "90 days"),
        ("terminationGracePeriodSeconds", 60, "30 seconds", "30 seconds"),
        ("duration", 300, "5 minutes", ""),
        ("memory", "2Gi", "2GB", ""),
        ("memory", "512Mi", "1Gi limit", "1 Gi"),
        ("replicas", 3, "5 replicas", "5 replicas"),
        ("replicas", 3, "was 5 replicas", ""),
        ("replicas", 3, "at least 5 replicas", ""),
        ("replicas", 200, "2 zones", ""),
        ("port", 8080, "80", ""),
        ("cpu", "500m", "5 minutes", ""),
        ("startingStep", 2, "the 10% step", ""),
        ("image", "web:1.2", "5 minutes", ""),
        ("weight", 50, "50% from 25% before", ""),
    ],
)
def test_comments_that_say_another_number(field: str, value: object, comment: str, said: str) -> None:
    assert remarks.contradiction(field, value, comment) == said


@given(st.text(max_size=60), st.one_of(st.integers(), st.floats(), st.text(max_size=10), st.none(), st.booleans()))
def test_no_comment_breaks_the_reader(comment: str, value: object) -> None:
    for field in ("weight", "replicas", "ttl", "memory", "timeoutSeconds"):
        remarks.contradiction(field, value, comment)
    schedules.contradiction(value, "", comment)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Dockerfile", "Dockerfile"),
        ("a/Dockerfile.prod", "Dockerfile"),
        ("api.dockerfile", "Dockerfile"),
        ("Dockerfile.md", ""),
        (".dockerignore", ""),
        ("Dockerfile.dockerignore", ""),
        ("run.sh", "ShellScript"),
        ("run.yaml", ""),
    ],
)
def test_files_are_known_by_their_names(name: str, kind: str) -> None:
    assert shapes.of_text(name) == kind


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        ({"stages": ["a"], "job": {"stage": "a", "script": []}}, "GitLabPipeline"),
        ({"groups": [{"name": "a", "rules": []}]}, "PrometheusRules"),
        ({"scrape_configs": []}, "PrometheusConfig"),
        ({"title": "a", "panels": []}, "GrafanaDashboard"),
        ({"dashboard": {"title": "a", "panels": []}}, "GrafanaDashboard"),
        ({"groups": ["a"]}, ""),
        ({"replicaCount": 2, "image": {"tag": "1"}}, ""),
        ({"stages": ["a"]}, ""),
    ],
)
def test_documents_are_known_by_their_fields(obj: dict[str, Any], kind: str) -> None:
    assert shapes.of_document("x.yaml", obj) == kind
