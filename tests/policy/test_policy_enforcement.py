"""Bindings at work: parameters, actions, several at once, and what is told about it."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.bindings import CompiledBinding
from dabbawala.policy.enforcement import Consequences, PolicySet, World
from dabbawala.policy.matching import Request
from tests.policy.given import NAMESPACE, Parameters, deployment, policy, request, rule

KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
BY_NAME = {"name": "limit", "parameterNotFoundAction": "Deny"}
BY_LABEL = {"selector": {"matchLabels": {"use": "limit"}}, "parameterNotFoundAction": "Deny"}
AT_MOST = "object.spec.replicas <= int(params.data.max)"
WORDS = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "


def binding(*actions: str, name: str = "b", to: str = "p", **spec: Any) -> Object:
    actions = actions or ("Deny",)
    return {"metadata": {"name": name}, "spec": {"policyName": to, "validationActions": list(actions), **spec}}


def limit(value: int, namespace: str = "shop", **metadata: Any) -> Object:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "limit", "namespace": namespace, "labels": {"use": "limit"}, **metadata},
        "data": {"max": str(value)},
    }


def enforced(
    made: Object | list[Object],
    *bound: Object,
    asked: Request | None = None,
    parameters: Parameters | None = None,
    namespace: Object | None = NAMESPACE,
) -> Consequences:
    listed = made if isinstance(made, list) else [made]
    policies = PolicySet([CompiledPolicy.of(item) for item in listed], [CompiledBinding.of(item) for item in bound])
    return policies.enforce(asked or request(), World(parameters or Parameters(), namespace))


def refused(found: Consequences) -> list[str]:
    return [str(denial) for denial in found.denials]


# Actions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "denials", "warnings", "failures"),
    [
        (["Deny"], 1, 0, 0),
        (["Warn"], 0, 1, 0),
        (["Audit"], 0, 0, 1),
        (["Warn", "Audit"], 0, 1, 1),
        (["Deny", "Audit"], 1, 0, 1),
    ],
)
def test_a_binding_acts_as_it_says(actions: list[str], denials: int, warnings: int, failures: int) -> None:
    found = enforced(policy("false"), binding(*actions))
    assert (len(found.denials), len(found.warnings), len(found.failures)) == (denials, warnings, failures)
    nothing = enforced(policy("true"), binding(*actions))
    assert (nothing.denials, nothing.warnings, nothing.failures, nothing.annotations()) == ([], [], [], {})


def test_a_policy_without_a_binding_of_its_own_does_nothing() -> None:
    policies = PolicySet([CompiledPolicy.of(policy("false"))], [CompiledBinding.of(binding(to="other"))])
    assert not policies
    assert policies.about(request()) == ()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"namespaceSelector": {"matchLabels": {"tier": "prod"}}}, 1),
        ({"namespaceSelector": {"matchLabels": {"tier": "dev"}}}, 0),
        ({"objectSelector": {"matchLabels": {"app": "api"}}}, 0),
        ({"resourceRules": [rule(operations=["UPDATE"])]}, 0),
        ({"excludeResourceRules": [rule(resourceNames=["web"])]}, 0),
        ({}, 1),
    ],
)
def test_a_binding_narrows_what_its_policy_is_about(resources: Object, expected: int) -> None:
    assert len(enforced(policy("false"), binding(matchResources=resources)).denials) == expected


def test_all_bindings_and_policies_must_agree_and_the_first_by_name_is_told() -> None:
    second = policy("object.spec.replicas > 9")
    second["metadata"]["name"] = "a"
    found = enforced([policy("false"), second], binding(), binding(name="c", to="a"), binding(name="a"))
    assert [(denial.policy, denial.binding) for denial in found.denials] == [("a", "c"), ("p", "a"), ("p", "b")]
    error = found.denials[0].error(request())
    assert error.message == (
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'c' denied request: "
        "failed expression: object.spec.replicas > 9"
    )


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        ("Invalid", status.Invalid, 422),
        ("Forbidden", status.Forbidden, 403),
        ("Unauthorized", status.Unauthorized, 401),
        ("RequestEntityTooLarge", status.RequestEntityTooLarge, 413),
    ],
)
def test_a_refusal_is_the_status_of_its_reason(reason: str, kind: type[status.StatusError], code: int) -> None:
    made = policy(validations=[{"expression": "false", "message": "no", "reason": reason}])
    error = enforced(made, binding()).denials[0].error(request())
    assert (type(error), error.code) == (kind, code)
    cause = {"message": f"{WORDS}no"}
    assert error.details == {"name": "web", "group": "apps", "kind": "deployments", "causes": [cause]}


@pytest.mark.parametrize(("name", "metadata", "shown"), [("", {"generateName": "web-"}, "web-"), ("", {}, "Unknown")])
def test_what_has_no_name_yet_is_told_by_what_there_is(name: str, metadata: Object, shown: str) -> None:
    asked = request(name=name, object={**deployment(), "metadata": metadata})
    error = enforced(policy("false"), binding(), asked=asked).denials[0].error(asked)
    assert error.message.startswith(f'deployments.apps "{shown}" is forbidden: ')


def test_warnings_name_policy_and_binding() -> None:
    found = enforced(policy(validations=[{"expression": "false", "message": "no"}]), binding("Warn"))
    expected = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no"
    assert found.warnings == [expected]


def test_errors_of_an_ignoring_policy_are_no_failures() -> None:
    made = policy("object.missing > 1", failurePolicy="Ignore")
    found = enforced(made, binding("Deny", "Audit"))
    assert (found.denials, found.failures) == ([], [])


def test_failures_for_the_audit_log_are_at_most_fifty() -> None:
    made = policy(*["false"] * 60)
    found = enforced(made, binding("Audit"))
    (failures,) = found.annotations().values()
    assert len(failures) == 50
    assert failures[49] == {
        "message": "failed expression: false", "policy": "p", "binding": "b", "expressionIndex": 49,
        "validationActions": ["Audit"],
    }  # fmt: skip


# Audit values --------------------------------------------------------------------------------------------------------


def test_values_of_several_bindings_are_joined_and_told_once() -> None:
    annotations = [{"key": "max", "valueExpression": "params.data.max"}]
    made = policy(
        "true", paramKind=KIND, auditAnnotations=[{**annotations[0], "valueExpression": "string(params.data.max)"}]
    )
    bound = [binding(name=name, paramRef={**BY_NAME, "namespace": name[0]}) for name in ("a1", "b1", "a2")]
    found = enforced(made, *bound, parameters=Parameters(limit(1, "a"), limit(2, "b")))
    assert found.annotations() == {"p/max": "1, 2"}


def test_a_value_is_cut_off_at_ten_kibibytes() -> None:
    made = policy("true", auditAnnotations=[{"key": "k", "valueExpression": "string(object.long)"}])
    found = enforced(made, binding(), asked=request(object={**deployment(), "long": "é" * 6000}))
    (value,) = found.annotations().values()
    assert len(value.encode()) == 10 * 1024


def test_a_value_that_cannot_be_computed_denies_whatever_the_actions() -> None:
    made = policy("true", auditAnnotations=[{"key": "k", "valueExpression": "string(object.missing)"}])
    assert len(enforced(made, binding("Warn")).denials) == 1
    made["spec"]["failurePolicy"] = "Ignore"
    assert enforced(made, binding("Warn")).denials == []


# Parameters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "objects", "expected"),
    [
        (BY_NAME, [limit(5)], []),
        (BY_NAME, [limit(2)], [f"{WORDS}failed expression: {AT_MOST}"]),
        (BY_NAME, [limit(2, "other")],
         [f"{WORDS}failed to configure binding: no params found for policy binding with `Deny` "
          "parameterNotFoundAction"]),
        ({**BY_NAME, "parameterNotFoundAction": "Allow"}, [], []),
        ({**BY_NAME, "namespace": "other"}, [limit(2, "other")], [f"{WORDS}failed expression: {AT_MOST}"]),
        (BY_LABEL, [limit(5), limit(4, name="b")], []),
        (BY_LABEL, [limit(5), limit(2, name="b")], [f"{WORDS}failed expression: {AT_MOST}"]),
        (BY_LABEL, [limit(1), limit(2, name="b")], [f"{WORDS}failed expression: {AT_MOST}"] * 2),
        (BY_LABEL, [limit(1, labels={"use": "no"})],
         [f"{WORDS}failed to configure binding: no params found for policy binding with `Deny` "
          "parameterNotFoundAction"]),
        ({**BY_LABEL, "parameterNotFoundAction": "Allow"}, [limit(1, labels={})], []),
        ({"selector": {}, "parameterNotFoundAction": "Deny"}, [limit(5, labels={})], []),
    ],
)  # fmt: skip
def test_parameters_are_found_by_name_or_label(ref: Object, objects: list[Object], expected: list[str]) -> None:
    made = policy(AT_MOST, paramKind=KIND)
    assert refused(enforced(made, binding(paramRef=ref), parameters=Parameters(*objects))) == expected


def test_a_policy_with_a_kind_of_parameter_and_a_binding_without_one_sees_null() -> None:
    assert enforced(policy("params == null", paramKind=KIND), binding()).denials == []
    assert enforced(policy("true"), binding(paramRef=BY_NAME)).denials == []


def test_an_unknown_kind_of_parameter_is_an_error_of_the_policy() -> None:
    made = policy("true", paramKind={"apiVersion": "rules.example.com/v1", "kind": "Limit"})
    expected = (
        "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced "
        "by paramKind: 'rules.example.com/v1, Kind=Limit'"
    )
    assert refused(enforced(made, binding(paramRef=BY_NAME), binding(name="c", paramRef=BY_NAME))) == [expected]
    made["spec"]["failurePolicy"] = "Ignore"
    assert enforced(made, binding(paramRef=BY_NAME)).denials == []


@pytest.mark.parametrize(
    ("ref", "about", "parameters", "expected"),
    [
        (BY_NAME, {"namespace": ""}, Parameters(),
         "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"),
        ({**BY_NAME, "namespace": "shop"}, {}, Parameters(kinds=(), cluster=("ConfigMap",)),
         "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"),
    ],
)  # fmt: skip
def test_where_parameters_are_must_make_sense(
    ref: Object, about: Object, parameters: Parameters, expected: str
) -> None:
    made = policy("true", paramKind=KIND)
    found = enforced(made, binding(paramRef=ref), asked=request(**about), parameters=parameters)
    assert refused(found) == [f"{WORDS}failed to configure binding: {expected}"]


def test_cluster_scoped_parameters_serve_every_namespace() -> None:
    there = Parameters(limit(5, ""), kinds=(), cluster=("ConfigMap",))
    made = policy(AT_MOST, paramKind=KIND)
    assert enforced(made, binding(paramRef=BY_NAME), parameters=there).denials == []


def test_a_namespaced_parameter_may_be_named_for_what_is_cluster_scoped() -> None:
    made = policy("int(params.data.max) == 7", paramKind=KIND)
    found = enforced(
        made, binding(paramRef={**BY_NAME, "namespace": "shop"}), asked=request(namespace=""),
        parameters=Parameters(limit(7)),
    )  # fmt: skip
    assert found.denials == []


def test_conditions_see_the_parameter() -> None:
    condition = {"name": "enabled", "expression": "int(params.data.max) > 3"}
    made = policy("false", paramKind=KIND, matchConditions=[condition])
    bound = binding(paramRef=BY_LABEL)
    assert len(enforced(made, bound, parameters=Parameters(limit(1), limit(9, name="b"))).denials) == 1


# What policies are not about -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "resource", "expected"),
    [
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", 0),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", 0),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies", 0),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", 1),
        ("authentication.k8s.io", "tokenreviews", 0),
        ("authorization.k8s.io", "subjectaccessreviews", 0),
        ("authorization.k8s.io", "selfsubjectrulesreviews", 0),
        ("rbac.authorization.k8s.io", "clusterroles", 1),
    ],
)
def test_policies_leave_alone_what_would_lock_them_in(group: str, resource: str, expected: int) -> None:
    everything = rule(operations=["*"], apiGroups=["*"], apiVersions=["*"], resources=["*/*"])
    made = policy("false", matchConstraints={"resourceRules": [everything]})
    asked = request(group=group, resource=resource, namespace="")
    assert len(enforced(made, binding(), asked=asked).denials) == expected


def test_a_namespace_has_no_namespace_object() -> None:
    namespaces = rule(apiGroups=[""], resources=["namespaces"])
    made = policy("namespaceObject == null", matchConstraints={"resourceRules": [namespaces]})
    asked = request("UPDATE", group="", resource="namespaces", kind="Namespace", name="shop", object=NAMESPACE)
    assert enforced(made, binding(), asked=asked).denials == []
