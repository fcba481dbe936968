"""Expressions against schemas: what no object of a kind can have is found before anybody sends one."""

from __future__ import annotations

import pytest

from dabbawala.api import kinds
from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import schema
from dabbawala.apimachinery.meta import Object
from dabbawala.policy import type_checking
from dabbawala.policy.type_checking import Typed
from tests.policy.given import policy, rule


def typed(api_version: str, name: str) -> Typed:
    kind = kinds.of(api_version, name)
    assert kind is not None
    return of(kind)


def of(kind: Kind) -> Typed:
    found = schema_of(kind)
    assert found is not None
    return Typed(kind.group, kind.version, kind.kind, found)


DEPLOYMENT = typed("apps/v1", "Deployment")


def problems(made: Object, *about: Typed) -> list[tuple[str, str]]:
    """Field and the first line of what is wrong there."""
    told = type_checking.warnings(made, about or (DEPLOYMENT,))
    return [(item["fieldRef"], item["warning"].partition("\n")[0].partition("ERROR: ")[2]) for item in told]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("object.spec.replicas > 1", ""),
        ("object.spec.replica > 1", "<input>:1:12: undefined field 'replica'"),
        ("oldObject.spec.replica > 1", "<input>:1:15: undefined field 'replica'"),
        ("has(object.spec.paused) && object.spec.paused", ""),
        ("has(object.spec.pause)", "<input>:1:4: undefined field 'pause'"),
        ("object.spec.replicas == '1'", "<input>:1:22: found no matching overload for '_==_' applied to"),
        ("object.metadata.labels['app'] == 'web'", ""),
        ("object.metadata.labels['app'] == 1", "<input>:1:31: found no matching overload for '_==_' applied to "
                                               "'(string, int)'"),
        ("object.spec.template.spec.containers.all(c, c.image != '')", ""),
        ("object.spec.template.spec.containers.all(c, c.imag != '')", "<input>:1:46: undefined field 'imag'"),
        ("object.spec.template.spec.containers.all(c, 'cpu' in c.resources.limits)", ""),
        ("object.spec.strategy.rollingUpdate.maxSurge == 1", ""),
        ("object.metadata.creationTimestamp < timestamp('2026-01-01T00:00:00Z')", ""),
        ("object.spec.?template.?spec.?hostNetwork.orValue(false)", ""),
        ("object.spec.?template.?spec.?hostNetwrk.orValue(false)", "<input>:1:28: undefined field 'hostNetwrk'"),
        ("request.userInfo.name == 'ann'", "<input>:1:17: undefined field 'name'"),
        ("authorizer.requestResource.check('get').allowed()", ""),
        ("object.spec.", "<input>:1:13: Syntax error"),
    ],
)  # fmt: skip
def test_an_expression_is_held_against_the_schema(expression: str, expected: str) -> None:
    found = problems(policy(expression))
    if not expected:
        assert found == []
        return
    ((path, problem),) = found
    assert (path, problem[: len(expected)]) == ("spec.validations[0].expression", expected)


def test_a_policy_about_several_kinds_is_warned_of_each() -> None:
    made = policy("object.spec.replicas > 1")
    about = DEPLOYMENT, typed("apps/v1", "DaemonSet"), typed("v1", "Pod")
    ((path, _),) = problems(made, *about)
    (told,) = type_checking.warnings(made, about)
    assert path == "spec.validations[0].expression"
    lines = [line.partition(": ERROR")[0] for line in told["warning"].splitlines() if ": ERROR" in line]
    assert lines == ["apps/v1, Kind=DaemonSet", "/v1, Kind=Pod"]


def test_variables_and_messages_are_looked_at_and_typed() -> None:
    validation = {"expression": "variables.names == ['a']", "messageExpression": "'n: ' + variables.names"}
    variables = [
        {"name": "containers", "expression": "object.spec.template.spec.containers"},
        {"name": "names", "expression": "variables.containers.map(c, c.name)"},
        {"name": "bad", "expression": "variables.containers.map(c, c.nam)"},
    ]
    found = problems(policy(validations=[validation], variables=variables))
    assert [path for path, _ in found] == ["spec.variables[2].expression", "spec.validations[0].messageExpression"]


def test_parameters_are_typed_where_their_schema_is_known() -> None:
    root = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"max": {"type": "integer"}}}}}
    made = policy("object.spec.replicas < params.spec.most", paramKind={"apiVersion": "x.example.com/v1", "kind": "X"})
    assert problems(made) == []
    (told,) = type_checking.warnings(made, [DEPLOYMENT], schema.from_open_api(root))
    assert "undefined field 'most'" in told["warning"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [("apps", "v1", "deployments")]),
        ({"resources": ["statefulsets", "deployments", "deployments/scale", "*/status"]},
         [("apps", "v1", "deployments"), ("apps", "v1", "statefulsets")]),
        ({"apiGroups": ["*"]}, []),
        ({"apiVersions": ["*"]}, []),
        ({"resources": ["*"]}, []),
        ({"apiGroups": ["batch", ""], "resources": ["jobs"]}, [("", "v1", "jobs"), ("batch", "v1", "jobs")]),
    ],
)  # fmt: skip
def test_only_what_rules_name_plainly_is_looked_at(change: Object, expected: list[tuple[str, str, str]]) -> None:
    made = policy("true", matchConstraints={"resourceRules": [rule(**change), rule(**change)]})
    assert list(type_checking.resources(made)) == expected


def test_every_kind_that_there_is_can_be_typed() -> None:
    made = policy("object.metadata.name != '' && object.kind != ''")
    about = [of(kind) for kind in kinds.KINDS if kind.is_stored]
    assert len(about) > 40
    assert [typed for typed in about if problems(made, typed)] == []
