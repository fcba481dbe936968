"""What stands in a file beside objects is found, under the right name, and its lines are those of the file."""

from __future__ import annotations

import textwrap

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.guard import embedding
from dabbawala.guard.documents import Document


def documents(file: str, text: str) -> list[Document]:
    reading = embedding.read(file, textwrap.dedent(text).lstrip("\n").encode())
    assert not reading.problems
    return [found for document in reading.documents for found in embedding.documents_of(document)]


def kinds(file: str, text: str) -> list[tuple[str, str]]:
    return [(found.object["kind"], found.object["metadata"]["name"]) for found in documents(file, text)]


CONFIG = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: scripts, namespace: prod, labels: {team: a}}
    data:
      run.sh: |
        #!/bin/sh
        first
        second
      short: one line
      rules.yml: |
        groups:
          - name: g
            rules:
              - alert: A
                expr: up == 0
    """


def test_a_config_map_holds_scripts_and_rules_that_are_where_it_is() -> None:
    host, script, rules = documents("a.yaml", CONFIG)
    assert host.object["kind"] == "ConfigMap"
    assert script.object["metadata"] == {"name": "scripts/run.sh", "namespace": "prod", "labels": {"team": "a"}}
    assert [command["name"] for command in script.object["spec"]["commands"]] == ["first", "second"]
    assert script.place("lines[3]").line == 8
    assert rules.object["kind"] == "PrometheusRules"
    assert rules.place("spec.groups[0].rules[0].expr").line == 15


def test_a_text_that_is_no_block_is_where_it_begins() -> None:
    (_, script) = documents(
        "a.yaml", 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a.sh: "x\\ny\\n"\n'
    )
    assert {script.place(f"lines[{line}]").line for line in (1, 2)} == {5}


POD = """
    apiVersion: v1
    kind: Pod
    metadata: {name: a}
    spec:
      initContainers:
        - name: wait
          image: a:1
          command: [sh, -c, "until nc -z db 5432; do sleep 1; done"]
      containers:
        - name: main
          image: a:1
          command: ["/bin/bash", "-euo", "pipefail", "-c"]
          args:
            - |
              first
              second
            - named
          lifecycle:
            preStop:
              exec: {command: [/bin/sh, -c, sleep 5]}
        - name: plain
          image: a:1
          command: [run, --flag]
    """


def test_what_containers_and_their_hooks_run_is_found() -> None:
    assert kinds("a.yaml", POD)[1:] == [
        ("ShellScript", "a/wait"), ("ShellScript", "a/main"), ("ShellScript", "a/main/preStop"),
    ]  # fmt: skip
    script = documents("a.yaml", POD)[2]
    assert script.object["spec"]["options"] == ["errexit", "nounset", "pipefail"]
    assert script.place("lines[2]").line == 16


def test_the_lines_of_a_job_are_those_of_its_list() -> None:
    text = """
        stages: [a]
        job:
          stage: a
          script:
            - first
            - |
              second
              third
            - fourth
        """
    pipeline, script = documents("x.yaml", text)
    assert pipeline.object["kind"] == "GitLabPipeline"
    assert pipeline.place("spec['job'].stage").line == 3
    assert [script.place(f"lines[{line}]").line for line in (1, 2, 3, 4)] == [5, 7, 8, 9]


def test_files_of_plain_text_are_read_too() -> None:
    assert kinds("b/Dockerfile", "FROM a:1\n") == [("Dockerfile", "b/Dockerfile")]
    assert kinds("run.sh", "a\n") == [("ShellScript", "run.sh")]
    assert documents("run.sh", "a\nb\n")[0].place("lines[2]").line == 2


def test_a_script_that_is_no_text_is_a_problem() -> None:
    (problem,) = (
        embedding.read("run.sh", b"\xff\xfe\x00a\x80\x00").problems or embedding.read("run.sh", b"a\0").problems
    )
    assert problem.place.file == "run.sh"


def test_other_yaml_is_nothing_that_checks_can_be_asked_about() -> None:
    assert documents("values.yaml", "replicaCount: 2\nimage: {tag: '1'}\n") == []


NAMES = [
    "spec", "template", "containers", "command", "args", "data", "script", "stages", "groups", "rules", "job",
    "panels", "title", "a.sh", "exec", "lifecycle", "preStop", "dashboard", "metadata", "name",
]  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["ConfigMap", "Pod", "Deployment", ""]))
def test_no_value_anywhere_breaks_the_search(value: object, kind: str) -> None:
    whole = value if isinstance(value, dict) else {"spec": value, "data": value}
    written = {**whole, "apiVersion": "v1", "kind": kind} if kind else whole
    for document in embedding.read("a.gitlab-ci.yml", orjson.dumps(written, default=str)).documents:
        for found in embedding.documents_of(document):
            found.place("lines[1]")
            found.place("spec")


@pytest.mark.parametrize("key", ["a.sh", "a.yaml", "a.json", "fluent.conf"])
@given(text=st.text(alphabet='groups: \n-[]{}"panels<match>@type#!/bin/sh', max_size=80))
def test_no_text_of_a_config_map_breaks_the_search(key: str, text: str) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {key: f"groups:\n{text}\n"}}
    for document in embedding.read("a.yaml", orjson.dumps(obj)).documents:
        for found in embedding.documents_of(document):
            found.place("lines[2]")
