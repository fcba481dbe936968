"""Objects are judged as the API server would store them, and what it would not take is reported with its line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from dabbawala.guard import defaulting, documents
from dabbawala.guard.defaulting import Preparation, Prepared
from dabbawala.guard.documents import Document

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web
"""
WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "default": 3, "maximum": 9},
                                    "name": {"type": "string"},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def document(text: str) -> Document:
    (found,) = documents.read("a.yaml", text.encode()).documents
    return found


def prepared(text: str, *definitions: dict[str, Any], namespace: str = "default") -> Prepared:
    return Preparation(definitions, namespace=namespace).prepare(document(text))


def stored(text: str, *definitions: dict[str, Any]) -> dict[str, Any]:
    found = prepared(text, *definitions)
    assert not found.problems
    assert found.object is not None
    return found.object


def test_a_workload_has_its_defaults_and_the_document_stays_as_it_was() -> None:
    given = document(DEPLOYMENT)
    before = copy.deepcopy(given.object)
    found = Preparation().prepare(given).object
    assert given.object == before
    assert found is not None
    assert found["metadata"]["namespace"] == "default"
    assert found["spec"]["replicas"] == 1
    pod = found["spec"]["template"]["spec"]
    assert (pod["securityContext"], pod["restartPolicy"]) == ({}, "Always")
    assert pod["containers"][0]["imagePullPolicy"] == "Always"


def test_the_namespace_is_the_one_that_the_scan_is_for() -> None:
    found = prepared(DEPLOYMENT, namespace="shop").object
    assert found is not None
    assert found["metadata"]["namespace"] == "shop"
    given = prepared(DEPLOYMENT.replace("{name: web}", "{name: web, namespace: bank}", 1)).object
    assert given is not None
    assert given["metadata"]["namespace"] == "bank"
    assert "namespace" not in stored("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")["metadata"]


@pytest.mark.parametrize(
    ("change", "code", "line", "said"),
    [
        (
            ("image: registry.example.com/web", "image: a\n          privileged: true"),
            "unknown-field",
            12,
            "privileged",
        ),
        (("image: registry.example.com/web", "image: 1"), "wrong-type", 11, "integer 1"),
        (("{matchLabels: {app: web}}", "{matchLabels: {app: yes}}"), "wrong-type", 5, "boolean true"),
        (("  template:", "  replicas: '3'\n  template:"), "wrong-type", 6, 'string "3"'),
        (("{name: web}", "{name: web, labels: {a: 1}}"), "wrong-type", 3, "labels: a must be text, not 1"),
        (("{name: web}", "{name: 5}"), "wrong-type", 3, "metadata.name must be text"),
        (("metadata: {name: web}", "metadata: web"), "wrong-type", 3, "metadata must be fields"),
    ],
)
def test_what_strict_validation_refuses_is_a_problem_at_its_line(
    change: tuple[str, str], code: str, line: int, said: str
) -> None:
    found = prepared(DEPLOYMENT.replace(*change, 1))
    assert [(item.code, item.place.line) for item in found.problems] == [(code, line)]
    assert said in found.problems[0].message
    assert found.problems[0].remedy


def test_an_unknown_field_is_dropped_as_the_server_drops_it() -> None:
    found = prepared(DEPLOYMENT.replace("spec:\n", "spec:\n  nothing: 1\n", 1))
    assert found.object is not None
    assert "nothing" not in found.object["spec"]
    assert not found.valid


def test_nothing_is_made_of_an_object_whose_shape_has_no_place_for_defaults() -> None:
    found = prepared("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: [1]\n")
    assert found.object is None
    assert found.problems[0].place.line == 4


def test_a_kind_that_is_only_in_the_published_schema_is_held_to_it() -> None:
    text = "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: a}\nspec: {bad: 1}\n"
    (problem,) = prepared(text).problems
    assert (problem.code, problem.place.line) == ("unknown-field", 4)


def test_a_definition_in_the_scan_brings_defaults_and_rules() -> None:
    text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {name: b}\n"
    assert stored(text, WIDGETS)["spec"] == {"name": "b", "size": 3}
    assert stored(text)["spec"] == {"name": "b"}
    found = prepared(text.replace("name: b", "size: 10, other: 1"), WIDGETS)
    assert [item.code for item in found.problems] == ["unknown-field", "invalid-value"]
    assert not found.resource.namespaced


@pytest.mark.parametrize("broken", [{"type": 5}, {"properties": {"spec": 1}}, {"properties": []}, {"type": "object"}])
def test_a_broken_definition_breaks_nothing(broken: dict[str, Any]) -> None:
    definition = copy.deepcopy(WIDGETS)
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = broken
    found = prepared("apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {size: []}\n", definition)
    assert all(item.code in ("bad-definition", "unknown-field") for item in found.problems)


def test_old_versions_of_the_same_shape_are_judged_as_todays() -> None:
    found = stored(DEPLOYMENT.replace("apps/v1", "extensions/v1beta1"))
    assert found["apiVersion"] == "apps/v1"
    assert found["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    ingress = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {backend: {serviceName: b}}\n"
    assert stored(ingress)["apiVersion"] == "extensions/v1beta1"


def test_a_rollout_gets_what_its_definition_defaults_and_no_more() -> None:
    text = DEPLOYMENT.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout")
    found = stored(text)
    assert "restartPolicy" not in found["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("{matchLabels: {app: web}}", "{matchLabels: {app: api}}"), 7, "selector"),
        (("image: registry.example.com/web", "imagePullPolicy: Never"), 10, "image"),
        (("{name: web}", "{name: Web_1}"), 3, "metadata.name"),
        (("{name: web}", "{generateName: web-}"), 0, ""),
        (("image: registry.example.com/web", "image: 5"), 0, ""),
    ],
)
def test_what_the_server_refuses_to_create_is_known_before(change: tuple[str, str], line: int, said: str) -> None:
    given = document(DEPLOYMENT.replace(*change, 1))
    found = defaulting.refusals(given, Preparation().prepare(given))
    assert [item.place.line for item in found] == ([line] if line else [])
    assert all(said in item.message for item in found)


def test_a_job_is_not_refused_for_what_the_server_fills_in() -> None:
    given = document(
        DEPLOYMENT.replace("apps/v1", "batch/v1")
        .replace("Deployment", "Job")
        .replace("  selector: {matchLabels: {app: web}}\n", "")
        .replace("    spec:\n", "    spec:\n      restartPolicy: Never\n")
    )
    assert defaulting.refusals(given, Preparation().prepare(given)) == []


def test_values_that_the_server_writes_differently_are_written_so() -> None:
    text = DEPLOYMENT + "          resources: {limits: {cpu: '1000m', memory: 1024}}\n"
    container = stored(text)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1024"}


@pytest.mark.parametrize(
    "value", [None, 1, "x", [], [1], {}, {"spec": 1}, {"template": []}, {"containers": {}}, {"a": None}, True]
)
@pytest.mark.parametrize("field", ["metadata", "spec", "status", "data", "spec.template.spec", "spec.containers"])
@pytest.mark.parametrize(
    "kind", ["v1 Pod", "apps/v1 Deployment", "v1 Service", "v1 Secret", "batch/v1 Job", "a.b/v1 C"]
)
def test_no_value_anywhere_breaks_the_preparation(kind: str, field: str, value: object) -> None:
    version, name = kind.split()
    obj: dict[str, Any] = {"apiVersion": version, "kind": name, "metadata": {"name": "a"}}
    place = obj
    *way, last = field.split(".")
    for part in way:
        place = place.setdefault(part, {})
    place[last] = value
    found = prepared(yaml.safe_dump(obj))
    assert found.object is not None or found.problems
