"""Admission policies, their bindings and webhook configurations: defaults, refusals, tables."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.api import admission_policy_rules
from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.api.kind import Kind

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}


def policy(**spec: Any) -> dict[str, Any]:
    usual = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}
    return {"metadata": {"name": "replicas.example.com"}, "spec": {**usual, **spec}}


def binding(**spec: Any) -> dict[str, Any]:
    usual = {"policyName": "replicas.example.com", "validationActions": ["Deny"]}
    return {"metadata": {"name": "replicas"}, "spec": {**usual, **spec}}


def webhooks(**hook: Any) -> dict[str, Any]:
    usual = {
        "name": "check.hooks.example.com", "clientConfig": {"service": {"name": "hook", "namespace": "hooks"}},
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [RULE],
    }  # fmt: skip
    return {"metadata": {"name": "hooks"}, "webhooks": [{**usual, **hook}]}


def prepared(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    obj = copy.deepcopy(obj)
    kind.default(obj)
    kind.prepare(obj, None)
    return obj


def wrong(kind: Kind, obj: dict[str, Any]) -> list[str]:
    return [f"{error.field}: {error.message}" for error in kind.validate(prepared(kind, obj), None)]


def row(kind: Kind, obj: dict[str, Any]) -> list[object]:
    return [column.read(obj, NOW) for column in kind.columns if column.read]


def rule(**change: Any) -> dict[str, Any]:
    return {"matchConstraints": {"resourceRules": [{**RULE, **change}]}}


def test_a_policy_fails_closed_and_matches_equivalents_everywhere_by_default() -> None:
    spec = prepared(v1.VALIDATING_ADMISSION_POLICY, policy())["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"] == {
        "resourceRules": [{**RULE, "scope": "*"}], "matchPolicy": "Equivalent", "namespaceSelector": {},
        "objectSelector": {},
    }  # fmt: skip


def test_a_binding_without_match_resources_gets_none() -> None:
    assert "matchResources" not in prepared(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding())["spec"]
    given = prepared(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding(matchResources={}))["spec"]["matchResources"]
    assert given == {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}


def test_a_client_cannot_write_a_policys_status() -> None:
    assert prepared(v1.VALIDATING_ADMISSION_POLICY, {**policy(), "status": {"observedGeneration": 9}})["status"] == {}


def test_what_is_usual_is_accepted() -> None:
    assert wrong(v1.VALIDATING_ADMISSION_POLICY, policy()) == []
    assert wrong(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding()) == []
    assert wrong(v1.VALIDATING_WEBHOOK_CONFIGURATION, webhooks()) == []
    assert wrong(v1.MUTATING_WEBHOOK_CONFIGURATION, webhooks()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"failurePolicy": "Open"},
         'spec.failurePolicy: Unsupported value: "Open": supported values: "Fail", "Ignore"'),
        ({"matchConstraints": None}, "spec.matchConstraints: Required value"),
        ({"matchConstraints": {}}, "spec.matchConstraints.resourceRules: Required value"),
        ({"matchConstraints": {"resourceRules": [RULE], "matchPolicy": "Fuzzy"}},
         'spec.matchConstraints.matchPolicy: Unsupported value: "Fuzzy": supported values: "Equivalent", "Exact"'),
        ({"matchConstraints": {"resourceRules": [RULE], "excludeResourceRules": [{**RULE, "operations": []}]}},
         "spec.matchConstraints.excludeResourceRules[0].operations: Required value"),
        ({"matchConstraints": {"resourceRules": [RULE], "namespaceSelector": {"matchLabels": {"-": "x"}}}},
         'spec.matchConstraints.namespaceSelector.matchLabels: Invalid value: "-": name part must consist of'),
        (rule(operations=["*", "CREATE"]),
         'spec.matchConstraints.resourceRules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must'),
        (rule(operations=["PATCH"]),
         'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "PATCH": supported values: "*", '
         '"CONNECT", "CREATE", "DELETE", "UPDATE"'),
        (rule(apiGroups=[]), "spec.matchConstraints.resourceRules[0].apiGroups: Required value"),
        (rule(apiGroups=["*", "apps"]),
         'spec.matchConstraints.resourceRules[0].apiGroups: Invalid value: ["*","apps"]: if \'*\' is present, must'),
        (rule(apiVersions=[""]), "spec.matchConstraints.resourceRules[0].apiVersions[0]: Required value"),
        (rule(resources=[]), "spec.matchConstraints.resourceRules[0].resources: Required value"),
        (rule(resources=[""]), "spec.matchConstraints.resourceRules[0].resources[0]: Required value"),
        (rule(resources=["pods/*", "pods/log"]),
         'spec.matchConstraints.resourceRules[0].resources[1]: Invalid value: "pods/log": if \'pods/*\' is present'),
        (rule(resources=["*/scale", "pods/scale"]),
         'spec.matchConstraints.resourceRules[0].resources[1]: Invalid value: "pods/scale": if \'*/scale\' is'),
        (rule(resources=["*/*", "pods"]),
         'spec.matchConstraints.resourceRules[0].resources: Invalid value: ["*/*","pods"]: if \'*/*\' is present'),
        (rule(resources=["*", "pods"]),
         'spec.matchConstraints.resourceRules[0].resources: Invalid value: ["*","pods"]: if \'*\' is present'),
        (rule(scope="Global"),
         'spec.matchConstraints.resourceRules[0].scope: Unsupported value: "Global": supported values: "*", "Cluster"'),
        (rule(resourceNames=["a/b"]),
         'spec.matchConstraints.resourceRules[0].resourceNames[0]: Invalid value: "a/b": may not contain'),
        (rule(resourceNames=["a", "a"]),
         'spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"'),
        ({"paramKind": {}}, "spec.paramKind.apiVersion: Required value"),
        ({"paramKind": {"apiVersion": "a/b/c", "kind": "X"}},
         'spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'),
        ({"paramKind": {"apiVersion": "v1"}}, "spec.paramKind.kind: Required value"),
        ({"paramKind": {"apiVersion": "v1", "kind": "Config_Map"}},
         'spec.paramKind.kind: Invalid value: "Config_Map": may have mixed case, but should otherwise match:'),
        ({"matchConditions": [{"name": f"c{n}", "expression": "true"} for n in range(65)]},
         "spec.matchConditions: Too many: 65: must have at most 64 items"),
        ({"matchConditions": [{"name": "", "expression": "true"}]}, "spec.matchConditions[0].name: Required value"),
        ({"matchConditions": [{"name": "a b", "expression": "true"}]},
         'spec.matchConditions[0].name: Invalid value: "a b": name part must consist of'),
        ({"matchConditions": [{"name": "a", "expression": " "}]}, "spec.matchConditions[0].expression: Required value"),
        ({"matchConditions": [{"name": "a", "expression": "true"}] * 2},
         'spec.matchConditions[1].name: Duplicate value: "a"'),
        ({"variables": [{"name": "", "expression": "1"}]},
         "spec.variables[0].name: Required value: name is not specified"),
        ({"variables": [{"name": "a-b", "expression": "1"}]},
         'spec.variables[0].name: Invalid value: "a-b": name is not a valid CEL identifier'),
        ({"variables": [{"name": "namespace", "expression": "1"}]},
         'spec.variables[0].name: Invalid value: "namespace": name is not a valid CEL identifier'),
        ({"variables": [{"name": "a", "expression": ""}]},
         "spec.variables[0].expression: Required value: expression is not specified"),
        ({"validations": []},
         "spec.validations: Required value: validations or auditAnnotations must contain at least one item"),
        ({"validations": [{"expression": ""}]},
         "spec.validations[0].expression: Required value: expression is not specified"),
        ({"validations": [{"expression": "true", "messageExpression": " "}]},
         'spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified'),
        ({"validations": [{"expression": "true", "message": " "}]},
         'spec.validations[0].message: Invalid value: " ": message must be non-empty if specified'),
        ({"validations": [{"expression": "true", "message": "a\nb"}]},
         'spec.validations[0].message: Invalid value: "a\nb": message must not contain line breaks'),
        ({"validations": [{"expression": "true", "reason": "Because"}]},
         'spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid"'),
        ({"auditAnnotations": [{"key": "a b", "valueExpression": "'x'"}]},
         'spec.auditAnnotations[0].key: Invalid value: "replicas.example.com/a b": name part must consist of'),
        ({"auditAnnotations": [{"key": "a", "valueExpression": ""}]},
         "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified"),
        ({"auditAnnotations": [{"key": "a", "valueExpression": "x" * 5121}]},
         "spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length"),
        ({"auditAnnotations": [{"key": "a", "valueExpression": "'x'"}] * 2},
         'spec.auditAnnotations[1].key: Duplicate value: "a"'),
        ({"auditAnnotations": [{"key": f"k{n}", "valueExpression": "'x'"} for n in range(21)]},
         "spec.auditAnnotations: Invalid value: "),
    ],
)  # fmt: skip
def test_a_policy_is_refused_for(change: dict[str, Any], expected: str) -> None:
    found = wrong(v1.VALIDATING_ADMISSION_POLICY, policy(**change))
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"policyName": ""}, "spec.policyName: Required value"),
        ({"policyName": "A_b"}, 'spec.policyName: Invalid value: "A_b": a lowercase RFC 1123 subdomain'),
        ({"validationActions": []}, "spec.validationActions: Required value: at least one validation action"),
        ({"validationActions": ["Refuse"]},
         'spec.validationActions[0]: Unsupported value: "Refuse": supported values: "Audit", "Deny", "Warn"'),
        ({"validationActions": ["Deny", "Deny"]}, 'spec.validationActions[1]: Duplicate value: "Deny"'),
        ({"validationActions": ["Deny", "Warn"]},
         'spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn'),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}},
         "spec.paramRef: Required value: one of name or selector must be specified"),
        ({"paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}},
         "spec.paramRef.name: Forbidden: name and selector are mutually exclusive"),
        ({"paramRef": {"name": "a"}}, "spec.paramRef.parameterNotFoundAction: Required value"),
        ({"paramRef": {"name": "a", "parameterNotFoundAction": "Maybe"}},
         'spec.paramRef.parameterNotFoundAction: Unsupported value: "Maybe": supported values: "Deny", "Allow"'),
        ({"paramRef": {"name": "a/b", "parameterNotFoundAction": "Deny"}},
         'spec.paramRef.name: Invalid value: "a/b": may not contain \'/\''),
        ({"paramRef": {"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]},
                       "parameterNotFoundAction": "Deny"}},
         'spec.paramRef.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator'),
        ({"matchResources": {"resourceRules": [{**RULE, "resources": []}]}},
         "spec.matchResources.resourceRules[0].resources: Required value"),
    ],
)  # fmt: skip
def test_a_binding_is_refused_for(change: dict[str, Any], expected: str) -> None:
    found = wrong(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding(**change))
    assert any(line.startswith(expected) for line in found), found


def test_a_binding_may_select_its_parameters_by_label() -> None:
    ref = {"selector": {"matchLabels": {"env": "prod"}}, "parameterNotFoundAction": "Allow"}
    assert wrong(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding(paramRef=ref)) == []


def test_webhooks_get_ten_seconds_and_a_port() -> None:
    hook = prepared(v1.MUTATING_WEBHOOK_CONFIGURATION, webhooks())["webhooks"][0]
    assert (hook["timeoutSeconds"], hook["clientConfig"]["service"]["port"]) == (10, 443)
    assert (hook["failurePolicy"], hook["matchPolicy"], hook["reinvocationPolicy"]) == ("Fail", "Equivalent", "Never")
    assert hook["rules"][0]["scope"] == "*"
    assert "reinvocationPolicy" not in prepared(v1.VALIDATING_WEBHOOK_CONFIGURATION, webhooks())["webhooks"][0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": ""}, "webhooks[0].name: Required value"),
        ({"name": "short"}, 'webhooks[0].name: Invalid value: "short": should be a domain with at least three'),
        ({"clientConfig": {}}, "webhooks[0].clientConfig: Required value: exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://hook.example.com"}},
         'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme'),
        ({"clientConfig": {"url": "https://a:b@hook.example.com"}},
         'webhooks[0].clientConfig.url: Invalid value: "a:b": user information is not permitted in the URL'),
        ({"clientConfig": {"url": "https:///x"}}, 'webhooks[0].clientConfig.url: Invalid value: "": host must be'),
        ({"clientConfig": {"url": "https://h/x?y#z"}},
         'webhooks[0].clientConfig.url: Invalid value: "z": fragments are not permitted in the URL'),
        ({"clientConfig": {"url": "https://[h"}}, "webhooks[0].clientConfig.url: Required value: url must be a valid"),
        ({"clientConfig": {"service": {"name": "hook"}}},
         "webhooks[0].clientConfig.service.namespace: Required value: service namespace is required"),
        ({"clientConfig": {"service": {"name": "hook", "namespace": "n", "port": 0}}},
         "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between"),
        ({"clientConfig": {"service": {"name": "hook", "namespace": "n", "path": "x//y"}}},
         'webhooks[0].clientConfig.service.path: Invalid value: "x//y": must start with a \'/\''),
        ({"clientConfig": {"service": {"name": "hook", "namespace": "n", "path": "/x//y"}}},
         'webhooks[0].clientConfig.service.path: Invalid value: "/x//y": segment[1] may not be empty'),
        ({"sideEffects": None}, "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        ({"sideEffects": "Some"}, 'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None"'),
        ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between"),
        ({"admissionReviewVersions": []}, "webhooks[0].admissionReviewVersions: Required value: must specify one of"),
        ({"admissionReviewVersions": ["v1", "v1"]},
         'webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version'),
        ({"admissionReviewVersions": ["v3"]},
         'webhooks[0].admissionReviewVersions: Invalid value: ["v3"]: must include at least one of v1, v1beta1'),
        ({"reinvocationPolicy": "Twice"},
         'webhooks[0].reinvocationPolicy: Unsupported value: "Twice": supported values: "IfNeeded", "Never"'),
        ({"failurePolicy": "Open"}, 'webhooks[0].failurePolicy: Unsupported value: "Open": supported values: "Fail"'),
        ({"rules": [{**RULE, "resources": []}]}, "webhooks[0].rules[0].resources: Required value"),
    ],
)  # fmt: skip
def test_a_webhook_is_refused_for(change: dict[str, Any], expected: str) -> None:
    found = wrong(v1.MUTATING_WEBHOOK_CONFIGURATION, webhooks(**change))
    assert any(line.startswith(expected) for line in found), found


def test_two_webhooks_of_one_configuration_have_two_names() -> None:
    twice = webhooks()
    twice["webhooks"] *= 2
    expected = 'webhooks[1].name: Duplicate value: "check.hooks.example.com"'
    assert wrong(v1.VALIDATING_WEBHOOK_CONFIGURATION, twice) == [expected]


def test_tables_show_what_kubectl_shows() -> None:
    param = {"apiVersion": "rules.example.com/v1", "kind": "Limit"}
    assert row(v1.VALIDATING_ADMISSION_POLICY, policy(paramKind=param))[1:3] == [1, "rules.example.com/v1/Limit"]
    assert row(v1.VALIDATING_ADMISSION_POLICY, policy())[2] == "<unset>"
    ref = {"name": "limit", "namespace": "shop"}
    shown = row(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding(paramRef=ref))[1:3]
    assert shown == ["replicas.example.com", "shop/limit"]
    assert row(v1.VALIDATING_ADMISSION_POLICY_BINDING, binding())[2] == "<unset>"
    by_label = binding(paramRef={"selector": {"matchLabels": {"env": "prod"}}})
    assert row(v1.VALIDATING_ADMISSION_POLICY_BINDING, by_label)[2] == "env=prod"
    assert row(v1.MUTATING_WEBHOOK_CONFIGURATION, webhooks())[1] == 1


def test_identifiers_are_those_of_the_language() -> None:
    good = [name for name in ("a", "_x1", "A", "1a", "in", "a.b", "") if admission_policy_rules.is_identifier(name)]
    assert good == ["a", "_x1", "A"]
