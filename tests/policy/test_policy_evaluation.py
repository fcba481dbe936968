"""What policies say: outcomes, messages, conditions, variables, audit values, budgets."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.errors import EvaluationError
from dabbawala.policy import admission
from dabbawala.policy.access import User
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.expressions import Dialect
from dabbawala.policy.matching import Request
from dabbawala.policy.scope import Surroundings
from dabbawala.policy.verdicts import WHOLE, AuditValue
from tests.policy.given import NAMESPACE, Allowing, compiled, deployment, policy, request

AROUND = Surroundings(NAMESPACE)


def outcomes(made: CompiledPolicy, asked: Request | None = None, around: Surroundings = AROUND) -> list[str]:
    return [outcome.result for outcome in made.evaluate(asked or request(), around).outcomes]


def message(made: CompiledPolicy, asked: Request | None = None, around: Surroundings = AROUND) -> str:
    (outcome,) = made.evaluate(asked or request(), around).faults
    return outcome.message


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("true", "pass"),
        ("false", "fail"),
        ("object.spec.replicas <= 5", "pass"),
        ("object.spec.replicas > 5", "fail"),
        ("object.spec.missing == 1", "error"),
        ("!has(object.spec.missing)", "pass"),
        ("has(object.spec.missing) && object.spec.missing > 1", "fail"),
        ("object.spec.missing > 1 || true", "pass"),
        ("object.spec.missing > 1 && false", "fail"),
        ("object.spec.?missing.orValue(7) == 7", "pass"),
        ("object.spec.template.spec.containers.all(c, c.image.contains(':'))", "pass"),
        ("object.spec.template.spec.containers.exists(c, c.name == 'api')", "fail"),
        ("oldObject == null", "pass"),
        ("request.operation == 'CREATE'", "pass"),
        ("request.name == 'web' && request.namespace == 'shop'", "pass"),
        ("request.kind.kind == 'Deployment' && request.requestKind.version == 'v1'", "pass"),
        ("request.resource.resource == 'deployments' && request.requestResource.group == 'apps'", "pass"),
        ("!has(request.subResource)", "pass"),
        ("request.userInfo.username == 'ann' && 'devs' in request.userInfo.groups", "pass"),
        ("request.userInfo.extra['team'] == ['shop'] && request.userInfo.uid == 'u-1'", "pass"),
        ("request.dryRun == false", "pass"),
        ("namespaceObject.metadata.labels['tier'] == 'prod'", "pass"),
        ("namespaceObject.metadata.name == request.namespace && namespaceObject.status.phase == 'Active'", "pass"),
        ("namespaceObject.metadata.creationTimestamp < timestamp('2026-06-01T00:00:00Z')", "pass"),
        ("'kubernetes' in namespaceObject.spec.finalizers", "pass"),
        ("object.metadata.name.startsWith('w') && object.metadata.name.matches('^[a-z]+$')", "pass"),
        ("quantity('1Gi').isGreaterThan(quantity('512Mi'))", "pass"),
    ],
)
def test_a_validation_says(expression: str, expected: str) -> None:
    made = compiled(expression)
    assert made.faults == ()
    assert outcomes(made) == [expected]


@pytest.mark.parametrize(
    ("operation", "expression"),
    [
        ("UPDATE", "object.spec.replicas == 3 && oldObject.spec.replicas == 2"),
        ("DELETE", "object == null && oldObject.spec.replicas == 2"),
        ("CREATE", "object != null && oldObject == null"),
        ("CONNECT", "request.operation == 'CONNECT'"),
    ],
)
def test_each_operation_shows_its_objects(operation: str, expression: str) -> None:
    assert outcomes(compiled(expression), request(operation)) == ["pass"]


def test_what_is_cluster_scoped_has_no_namespace_object() -> None:
    asked = request(namespace="", resource="nodes")
    assert outcomes(compiled("namespaceObject == null && !has(request.namespace)"), asked, Surroundings()) == ["pass"]


def test_a_subresource_is_named_and_its_body_has_its_own_kind() -> None:
    asked = request(subresource="scale", written=("autoscaling", "v1", "Scale"), object={"spec": {"replicas": 9}})
    expression = "request.subResource == 'scale' && request.kind.kind == 'Scale' && object.spec.replicas == 9"
    assert outcomes(compiled(expression), asked) == ["pass"]


def test_every_validation_has_its_outcome() -> None:
    made = compiled("true", "false", "object.x == 1", "1 == 1")
    assert outcomes(made) == ["pass", "fail", "error", "pass"]
    verdict = made.evaluate(request())
    assert (verdict.passed, [outcome.index for outcome in verdict.faults]) == (False, [1, 2])
    assert compiled("true").evaluate(request()).passed


# Messages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ({}, "failed expression: 1 > 2"),
        ({"message": " too many "}, "too many"),
        ({"message": "plain", "messageExpression": "'has ' + string(object.spec.replicas)"}, "has 3"),
        ({"messageExpression": "'  trimmed  '"}, "trimmed"),
        ({"message": "plain", "messageExpression": "object.missing"}, "plain"),
        ({"message": "plain", "messageExpression": "string(object.missing)"}, "plain"),
        ({"message": "plain", "messageExpression": "''"}, "plain"),
        ({"message": "plain", "messageExpression": "'  '"}, "plain"),
        ({"message": "plain", "messageExpression": "'two\\nlines'"}, "plain"),
        ({"message": "plain", "messageExpression": "'ended by a line\\n'"}, "ended by a line"),
        ({"messageExpression": "string(object.missing)"}, "failed expression: 1 > 2"),
        ({"message": "plain", "messageExpression": "object.long"}, "plain"),
        ({"message": "plain", "messageExpression": "request.name"}, "web"),
        ({"message": "plain", "messageExpression": "namespaceObject.metadata.name"}, "shop"),
        ({"message": "plain", "messageExpression": "variables.who"}, "by ann"),
    ],
)
def test_a_failure_says_why(validation: Object, expected: str) -> None:
    variables = [{"name": "who", "expression": "'by ' + request.userInfo.username"}]
    made = compiled(validations=[{"expression": "  1 > 2 ", **validation}], variables=variables)
    assert message(made) == expected


@pytest.mark.parametrize(("length", "expected"), [(5120, "x" * 5120), (5121, "plain")])
def test_a_message_may_have_five_kibibytes(length: int, expected: str) -> None:
    obj = {**deployment(), "long": "x" * length}
    validation = {"expression": "false", "message": "plain", "messageExpression": "string(object.long)"}
    assert message(compiled(validations=[validation]), request(object=obj)) == expected


def test_a_message_expression_has_no_authorizer() -> None:
    said = "'' + string(authorizer.path('/x').check('get').allowed())"
    made = compiled(validations=[{"expression": "false", "message": "plain", "messageExpression": said}])
    assert [fault.path for fault in made.faults] == ["spec.validations[0].messageExpression"]
    variables = [{"name": "may", "expression": "string(authorizer.path('/x').check('get').allowed())"}]
    hidden = {"expression": "variables.may == 'no'", "message": "plain", "messageExpression": "variables.may"}
    through = compiled(validations=[hidden], variables=variables)
    assert message(through, around=Surroundings(authorizer=Allowing())) == "plain"


def test_an_error_says_which_expression_and_why() -> None:
    assert message(compiled("object.missing > 1")) == (
        "expression 'object.missing > 1' resulted in error: no such key: missing"
    )


@pytest.mark.parametrize(("given", "expected"), [("Forbidden", "Forbidden"), (None, "Invalid")])
def test_a_failure_has_a_reason(given: str | None, expected: str) -> None:
    validation = {"expression": "false", **({"reason": given} if given else {})}
    (outcome,) = compiled(validations=[validation]).evaluate(request()).outcomes
    assert (outcome.reason, outcome.denies) == (expected, True)


@pytest.mark.parametrize(("failure", "denies"), [("Fail", True), ("Ignore", False), (None, True)])
def test_an_error_denies_by_the_failure_policy_and_a_failure_always(failure: str | None, denies: bool) -> None:
    spec = {"failurePolicy": failure} if failure else {}
    made = compiled("object.missing > 1", "false", **spec)
    assert [outcome.denies for outcome in made.evaluate(request()).outcomes] == [denies, True]


# Match conditions ----------------------------------------------------------------------------------------------------


def conditions(*expressions: str) -> list[Object]:
    return [{"name": f"c{number}", "expression": text} for number, text in enumerate(expressions)]


@pytest.mark.parametrize(
    ("expressions", "failure", "expected"),
    [
        (["true"], "Fail", "fail"),
        (["true", "object.spec.replicas == 3"], "Fail", "fail"),
        (["false"], "Fail", "c0"),
        (["true", "false"], "Fail", "c1"),
        (["object.x == 1", "false"], "Fail", "c1"),
        (["object.x == 1"], "Fail", "error"),
        (["object.x == 1"], "Ignore", "c0"),
        (["true", "object.x == 1"], "Ignore", "c1"),
        (["namespaceObject == null"], "Fail", "fail"),
        (["request.userInfo.username != 'ann'"], "Fail", "c0"),
        ([" request.operation == 'CREATE' "], "Fail", "fail"),
        (["authorizer.path('/healthz').check('get').allowed()"], "Fail", "c0"),
        (["variables.x == 1"], "Fail", "error"),
    ],
)
def test_conditions_exclude_let_through_or_err(expressions: list[str], failure: str, expected: str) -> None:
    made = compiled("false", matchConditions=conditions(*expressions), failurePolicy=failure)
    verdict = made.evaluate(request(), Surroundings(NAMESPACE, authorizer=Allowing()))
    assert (verdict.excluded or verdict.outcomes[0].result) == expected
    assert not (verdict.excluded and verdict.outcomes)
    assert not verdict.passed


def test_errors_of_conditions_are_told_together() -> None:
    made = compiled("true", matchConditions=conditions("object.x == 1", "object.y == 1"))
    (outcome,) = made.evaluate(request()).outcomes
    first, second = (f"expression 'object.{key} == 1' resulted in error: no such key: {key}" for key in "xy")
    assert (outcome.index, outcome.message, outcome.denies) == (WHOLE, f"[{first}, {second}]", True)


# Variables -----------------------------------------------------------------------------------------------------------


def variables(**expressions: str) -> list[Object]:
    return [{"name": name, "expression": text} for name, text in expressions.items()]


@pytest.mark.parametrize(
    ("declared", "expression", "expected"),
    [
        ({"a": "1", "b": "variables.a + 1"}, "variables.b == 2", "pass"),
        ({"a": "object.missing", "b": "2"}, "variables.b == 2", "pass"),
        ({"a": "object.missing"}, "variables.a == 2", "error"),
        ({"a": "object.missing"}, "variables.a == 2 || true", "pass"),
        ({"a": "object.spec.replicas"}, "variables.a == 3", "pass"),
        ({"a": "object.spec.template.spec.containers"}, "variables.a.map(c, c.name) == ['web']", "pass"),
        ({"a": "{'x': 1}"}, "variables.a.x == 1 && has(variables.a.x) && !has(variables.a.y)", "pass"),
        ({"a": "params.x"}, "variables.a == 1", "error"),
        ({"in_use": "[1, 2].exists(n, n == 2)"}, "variables.in_use", "pass"),
    ],
)
def test_variables_are_ordered_and_lazy(declared: dict[str, str], expression: str, expected: str) -> None:
    assert outcomes(compiled(expression, variables=variables(**declared))) == [expected]


def test_the_error_of_a_variable_names_it() -> None:
    made = compiled("variables.b > 1", variables=variables(a="object.missing", b="variables.a + 1"))
    assert message(made) == (
        "expression 'variables.b > 1' resulted in error: composited variable \"a\" fails to evaluate: "
        "no such key: missing"
    )


def test_the_type_of_a_variable_is_known_where_it_is_used() -> None:
    made = compiled("variables.a + 1 == 2", variables=variables(a="'text'"))
    (fault,) = made.faults
    assert fault.path == "spec.validations[0].expression"
    assert "found no matching overload for '_+_' applied to '(string, int)'" in fault.message


def test_a_variable_cannot_use_a_later_one() -> None:
    made = compiled("variables.a == 1", variables=variables(a="variables.b", b="1"))
    assert [fault.path for fault in made.faults] == ["spec.variables[0].expression"]
    assert message(made).startswith(
        "expression 'variables.a == 1' resulted in error: composited variable \"a\" fails to compile: "
    )


def test_values_are_read_by_name_after_a_failure() -> None:
    declared = variables(path="'spec.' + object.kind", offenders="['a', 'b']", bad="object.missing")
    values = compiled("false", variables=declared).values(request())
    assert (values["path"], values["offenders"]) == ("spec.Deployment", ["a", "b"])
    assert ("bad" in list(values), "other" in values, len(values)) == (True, False, 3)
    with pytest.raises(EvaluationError, match="no such key: missing"):
        values["bad"]
    with pytest.raises(KeyError):
        values["other"]


# Parameters and permissions ------------------------------------------------------------------------------------------

KIND = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.mark.parametrize(
    ("params", "expression", "expected"),
    [
        ({"data": {"max": "5"}}, "object.spec.replicas <= int(params.data.max)", "pass"),
        ({"data": {"max": "2"}}, "object.spec.replicas <= int(params.data.max)", "fail"),
        ({"data": {}}, "object.spec.replicas <= int(params.data.max)", "error"),
        (None, "params == null", "pass"),
        (None, "object.spec.replicas <= int(params.data.max)", "error"),
    ],
)
def test_params_are_what_is_given(params: Object | None, expression: str, expected: str) -> None:
    around = Surroundings(NAMESPACE, params)
    assert outcomes(compiled(expression, paramKind=KIND), around=around) == [expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("authorizer.group('apps').resource('deployments').namespace('shop').check('delete').allowed()", "pass"),
        ("authorizer.group('apps').resource('deployments').check('create').allowed()", "fail"),
        ("authorizer.requestResource.check('delete').allowed()", "pass"),
        ("authorizer.requestResource.check('delete').reason() == 'because'", "pass"),
        ("authorizer.path('/healthz').check('get').allowed()", "pass"),
        ("authorizer.serviceAccount('shop', 'robot').group('').resource('pods').check('get').allowed()", "pass"),
        ("authorizer.serviceAccount('shop', 'other').group('').resource('pods').check('get').allowed()", "fail"),
        ("authorizer.requestResource.check('delete').errored()", "fail"),
    ],
)
def test_the_authorizer_is_asked_for_whoever_asks(expression: str, expected: str) -> None:
    allowing = Allowing(
        ("ann", "delete", "deployments"), ("ann", "get", "/healthz"),
        ("system:serviceaccount:shop:robot", "get", "pods"),
    )  # fmt: skip
    assert outcomes(compiled(expression), around=Surroundings(NAMESPACE, authorizer=allowing)) == [expected]


def test_the_question_about_the_request_names_its_object() -> None:
    allowing = Allowing()
    around = Surroundings(authorizer=allowing)
    compiled("authorizer.requestResource.check('approve').allowed()").evaluate(request(), around)
    (asked,) = allowing.asked
    assert (asked.verb, asked.group, asked.resource, asked.namespace, asked.name) == (
        "approve", "apps", "deployments", "shop", "web",
    )  # fmt: skip
    assert asked.user == User("ann", ("devs", "system:authenticated"), "u-1", {"team": ("shop",)})


def test_without_an_authorizer_its_use_is_an_error() -> None:
    made = compiled("authorizer.path('/x').check('get').allowed()")
    assert made.faults == ()
    assert message(made).endswith("resulted in error: no such attribute(s): authorizer")


# Audit values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "failure", "expected"),
    [
        ("'high: ' + string(object.spec.replicas)", "Fail", (AuditValue("note", "high: 3"),)),
        ("' padded '", "Fail", (AuditValue("note", "padded"),)),
        ("''", "Fail", ()),
        ("null", "Fail", ()),
        ("object.spec.replicas > 5 ? 'high' : ''", "Fail", ()),
        ("string(object.missing)", "Ignore", ()),
        ("string(object.missing)", "Fail", (AuditValue("note", error="expression 'string(object.missing)' resulted in "
                                                                   "error: no such key: missing"),)),
        ("variables.who", "Fail", (AuditValue("note", "ann"),)),
    ],
)  # fmt: skip
def test_an_audit_annotation_gives(expression: str, failure: str, expected: tuple[AuditValue, ...]) -> None:
    annotations = [{"key": "note", "valueExpression": expression}]
    declared = variables(who="request.userInfo.username")
    made = compiled("true", auditAnnotations=annotations, failurePolicy=failure, variables=declared)
    verdict = made.evaluate(request())
    assert (verdict.audit, verdict.passed) == (expected, True)


def test_a_policy_may_only_note_things_down() -> None:
    made = compiled(validations=[], auditAnnotations=[{"key": "k", "valueExpression": "'v'"}])
    assert made.evaluate(request()).audit == (AuditValue("k", "v"),)


# What does not compile -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        ({"validations": [{"expression": "object."}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:8: Syntax error"),
        ({"validations": [{"expression": "other == 1"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n"
         " | other == 1\n | ^"),
        ({"validations": [{"expression": "true &&\n  nothing"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:2:3: undeclared reference to 'nothing' (in container '')\n"
         " |   nothing\n | ..^"),
        ({"validations": [{"expression": "'text'"}]}, "spec.validations[0].expression",
         "must evaluate to bool but got string"),
        ({"validations": [{"expression": "object.spec.paused"}]}, "spec.validations[0].expression",
         "must evaluate to bool but got dyn"),
        ({"validations": [{"expression": "true", "messageExpression": "1"}]},
         "spec.validations[0].messageExpression", "must evaluate to string but got int"),
        ({"validations": [{"expression": "params.x == 1"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:7: undeclared reference to 'params"),
        ({"validations": [{"expression": "request.nmae == 'x'"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:8: undefined field 'nmae'"),
        ({"validations": [{"expression": "namespaceObject.metadata.ownerReferences == []"}]},
         "spec.validations[0].expression", "compilation failed: ERROR: <input>:1:25: undefined field"),
        ({"validations": [{"expression": "ip('10.0.0.1').family() == 4"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:"),
        ({"matchConditions": [{"name": "c", "expression": "1"}]}, "spec.matchConditions[0].expression",
         "must evaluate to bool but got int"),
        ({"variables": [{"name": "a", "expression": "b"}]}, "spec.variables[0].expression",
         "compilation failed: ERROR: <input>:1:1: undeclared reference to 'b'"),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, "spec.auditAnnotations[0].valueExpression",
         "must evaluate to one of [string null_type] but got int"),
    ],
)  # fmt: skip
def test_what_does_not_compile_is_told_with_its_place(spec: dict[str, Any], path: str, expected: str) -> None:
    made = compiled("true", **spec)
    (fault,) = made.faults
    assert (fault.path, fault.message[: len(expected)]) == (path, expected)


def test_a_newer_server_knows_more_functions() -> None:
    made = policy("ip('10.0.0.1').family() == 4")
    assert CompiledPolicy.of(made).faults != ()
    assert CompiledPolicy.of(made, Dialect("1.31")).faults == ()


def test_an_expression_that_does_not_compile_is_an_error_of_its_own() -> None:
    made = compiled("nothing == 1", "true")
    assert outcomes(made) == ["error", "pass"]
    assert message(made).startswith("compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference")


# Budgets -------------------------------------------------------------------------------------------------------------

MANY = {**deployment(), "items": list(range(1200))}


def test_one_expression_may_cost_a_million() -> None:
    made = compiled("object.items.all(a, object.items.all(b, a + b >= 0))", "true")
    assert outcomes(made, request(object=MANY)) == ["error", "pass"]
    assert message(made, request(object=MANY)).endswith("operation cancelled: actual cost limit exceeded")


def test_a_policy_over_its_budget_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "EVALUATION_BUDGET", 2_000)
    made = compiled("object.items.all(a, a >= 0)", "true", "false")
    (outcome,) = made.evaluate(request(object=MANY)).outcomes
    assert (outcome.index, outcome.result, outcome.denies) == (WHOLE, "error", True)
    assert outcome.message == (
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )
    assert not compiled("object.items.all(a, a >= 0)", failurePolicy="Ignore").evaluate(request(object=MANY)).denials


def test_variables_are_paid_by_whoever_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "EVALUATION_BUDGET", 2_000)
    spec = {"variables": variables(sum="object.items.all(a, a >= 0)")}
    assert outcomes(compiled("variables.sum", **spec), request(object=MANY)) == ["error"]
    assert outcomes(compiled("true || variables.sum", **spec), request(object=MANY)) == ["pass"]


def test_conditions_have_a_budget_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CONDITIONS_BUDGET", 2_000)
    made = compiled("false", matchConditions=conditions("object.items.all(a, a >= 0)"))
    (outcome,) = made.evaluate(request(object=MANY)).outcomes
    assert (outcome.index, "cost budget" in outcome.message) == (WHOLE, True)


def test_a_message_over_the_budget_makes_everything_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "EVALUATION_BUDGET", 2_000)
    said = "string(object.items.all(a, a >= 0))"
    made = compiled(validations=[{"expression": "false", "messageExpression": said}, {"expression": "true"}])
    told = made.evaluate(request(object=MANY)).outcomes
    assert [outcome.result for outcome in told] == ["error", "error"]
    assert told[0].message.startswith("failed messageExpression: validation failed due to running out of cost budget")


def test_audit_values_have_a_budget_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "EVALUATION_BUDGET", 2_000)
    annotations = [{"key": "k", "valueExpression": "string(object.items.all(a, a >= 0))"}]
    (outcome,) = compiled("true", auditAnnotations=annotations).evaluate(request(object=MANY)).outcomes
    assert (outcome.index, outcome.result) == (WHOLE, "error")


# Values that policies share ------------------------------------------------------------------------------------------

PREAMBLE = variables(
    pod="object.spec.template.spec",
    containers="variables.pod.containers",
    offenders="variables.containers.filter(c, c.securityContext.privileged).map(c, c.name)",
)


def test_what_one_policy_has_computed_of_the_object_another_takes() -> None:
    policies = [compiled("variables.offenders == []", variables=PREAMBLE) for _ in range(3)]
    asked = request(object=deployment(9))
    assert [outcomes(made, asked) for made in policies] == [["fail"]] * 3
    first = policies[0].values(asked)["offenders"]
    assert all(made.values(asked)["offenders"] is first for made in policies)


def test_a_shared_value_costs_every_policy_the_same() -> None:
    policies = [compiled("size(variables.offenders) == 0", variables=PREAMBLE) for _ in range(3)]
    alone = policies[0].cost(request())
    asked = request()
    assert alone > 5
    assert [made.cost(asked) for made in policies] == [alone] * 3


def test_what_depends_on_more_than_the_object_is_never_shared() -> None:
    declared = variables(who="request.userInfo.username + object.kind", limit="params.max", old="oldObject == null")
    one, two = (compiled("variables.limit > 1", variables=declared, paramKind=KIND) for _ in range(2))
    asked = request()
    assert outcomes(one, asked, Surroundings(params={"max": 1})) == ["fail"]
    assert outcomes(two, asked, Surroundings(params={"max": 2})) == ["pass"]
    assert outcomes(one, asked, Surroundings(params={"max": 2})) == ["pass"]


def test_the_same_text_over_another_variable_is_another_value() -> None:
    one = compiled("variables.b == 2", variables=variables(a="1", b="variables.a + 1"))
    two = compiled("variables.b == 3", variables=variables(a="2", b="variables.a + 1"))
    asked = request()
    assert (outcomes(one, asked), outcomes(two, asked)) == (["pass"], ["pass"])


def test_an_error_is_shared_too() -> None:
    made = [compiled("variables.a == 1", variables=variables(a="object.missing")) for _ in range(2)]
    asked = request()
    assert message(made[0], asked) == message(made[1], asked)
