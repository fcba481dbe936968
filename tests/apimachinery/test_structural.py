import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import schema, structural, structural_duplicates, structural_values
from dabbawala.apimachinery.structural import conform

DEPLOYMENT = schema.builtin("io.k8s.api.apps.v1.Deployment")
POD = schema.builtin("io.k8s.api.core.v1.Pod")
SECRET = schema.builtin("io.k8s.api.core.v1.Secret")
CRD = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition")


def _custom(properties, **more):
    spec = {"type": "object", "properties": properties, **more}
    return schema.from_open_api({"type": "object", "properties": {"spec": spec}})


def test_unknown_fields_are_dropped_and_named_with_their_path() -> None:
    obj = {
        "apiVersion": "apps/v1",
        "metadata": {"name": "a", "labels": {"any": "thing"}},
        "spec": {"replica": 1, "template": {"spec": {"containers": [{"name": "a", "imagee": "x"}]}}},
        "extra": 1,
    }
    found = conform(obj, DEPLOYMENT)
    assert found.warnings() == [
        'unknown field "spec.replica"',
        'unknown field "spec.template.spec.containers[0].imagee"',
        'unknown field "extra"',
    ]
    assert obj["spec"] == {"template": {"spec": {"containers": [{"name": "a"}]}}}
    assert obj["metadata"]["labels"] == {"any": "thing"}
    error = structural.strict_error("apps/v1", "Deployment", found.warnings()[:1])
    assert error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: '
        'strict decoding error: unknown field "spec.replica"'
    )


def test_a_null_counts_as_absent() -> None:
    obj = {"metadata": {"creationTimestamp": None, "name": "a"}, "spec": {"nodeSelector": None}}
    assert conform(obj, POD).unknown == []
    assert obj == {"metadata": {"name": "a"}, "spec": {}}


def test_quantities_times_and_bytes_get_their_canonical_form() -> None:
    resources = {"limits": {"cpu": "0.5", "memory": "1024Mi"}, "requests": {"cpu": 1}}
    obj = {
        "metadata": {"creationTimestamp": "2026-01-01T05:30:00+05:30"},
        "spec": {"containers": [{"name": "a", "resources": resources}]},
    }
    assert conform(obj, POD).mismatches == []
    assert resources == {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    assert obj["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    secret = {"data": {"a": "aGVs\nbG8="}}
    conform(secret, SECRET)
    assert secret == {"data": {"a": "aGVsbG8="}}


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (
            {"spec": {"replicas": "three"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}}},
            "json: cannot unmarshal number into Go struct field "
            "EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            {"spec": {"replicas": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 2**40}},
            f"json: cannot unmarshal number {2**40} into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"paused": "yes"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            {"metadata": {"labels": ["a"]}},
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": {}}}}},
            "json: cannot unmarshal object into Go struct field "
            "PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        ({"metadata": {"creationTimestamp": "yesterday"}}, 'parsing time "yesterday"'),
        (
            {"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}}},
            "quantities must match the regular expression",
        ),
    ],
)
def test_a_built_in_kind_refuses_wrong_types_in_the_words_of_upstream(obj, message) -> None:
    found = conform(obj, DEPLOYMENT)
    assert len(found.mismatches) == 1
    error = structural.decode_error("apps/v1", "Deployment", found.mismatches[0])
    assert message in error.message


def test_ints_or_strings_may_be_either_and_nothing_else() -> None:
    update = {"maxSurge": "25%", "maxUnavailable": 1}
    assert conform({"spec": {"strategy": {"rollingUpdate": update}}}, DEPLOYMENT).mismatches == []
    assert conform({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1.5}}}}, DEPLOYMENT).mismatches
    assert conform({"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}}, DEPLOYMENT).mismatches


def test_fields_that_hold_any_json_are_left_alone() -> None:
    props = {"type": "object", "default": {"a": None}, "x-kubernetes-preserve-unknown-fields": True}
    obj = {"spec": {"versions": [{"schema": {"openAPIV3Schema": props}}]}}
    kept = copy.deepcopy(obj)
    assert conform(obj, CRD) == structural.Findings()
    assert obj == kept


def test_a_custom_kind_is_pruned_except_where_it_preserves() -> None:
    node = _custom(
        {
            "known": {"type": "string"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "closed": {"type": "object"},
            "free": {"x-kubernetes-preserve-unknown-fields": True},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        }
    )
    spec = {"known": "a", "gone": 1, "open": {"x": 1}, "closed": {"x": 1}, "free": [1, {"y": 2}], "map": {"z": 1}}
    found = conform({"metadata": {"name": "a", "unheard": 1}, "spec": spec}, node)
    assert found.unknown == ["metadata.unheard", "spec.gone", "spec.closed.x"]
    assert spec == {"known": "a", "open": {"x": 1}, "closed": {}, "free": [1, {"y": 2}], "map": {"z": 1}}


def test_a_custom_kind_reports_wrong_types_by_field() -> None:
    node = _custom({"n": {"type": "integer"}, "s": {"type": "string"}, "p": {"x-kubernetes-int-or-string": True}})
    found = conform({"spec": {"n": "x", "s": 1, "p": "50%"}}, node)
    assert [(error.field, error.message) for error in found.field_errors()] == [
        ("spec.n", 'Invalid value: "string": spec.n in body must be of type integer: "string"'),
        ("spec.s", 'Invalid value: "integer": spec.s in body must be of type string: "integer"'),
    ]
    assert conform({"spec": {"n": 3.0}}, node).mismatches == []


def test_an_embedded_resource_keeps_its_identity() -> None:
    node = _custom({"object": {"type": "object", "x-kubernetes-embedded-resource": True}})
    spec = {"object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "bad": 1}, "spec": {}}}
    assert conform({"spec": spec}, node).unknown == ["spec.object.metadata.bad", "spec.object.spec"]


def test_defaults_fill_what_is_absent_or_null_and_never_share() -> None:
    node = _custom(
        {
            "a": {"type": "string", "default": "x"},
            "b": {"type": "object", "default": {}, "properties": {"c": {"type": "integer", "default": 7}}},
            "l": {"type": "array", "items": {"type": "object", "properties": {"d": {"default": [1]}}}},
            "n": {"type": "string", "nullable": True, "default": "y"},
            "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"e": {"default": 1}}}},
        }
    )
    spec = {"a": None, "l": [{}, {"d": []}], "n": None, "m": {"k": {}}}
    obj = {"spec": spec}
    conform(obj, node)
    structural.default(obj, node)
    assert spec == {"a": "x", "b": {"c": 7}, "l": [{"d": [1]}, {"d": []}], "n": None, "m": {"k": {"e": 1}}}
    spec["l"][0]["d"].append(2)
    again = {"spec": {"l": [{}]}}
    structural.default(again, node)
    assert again["spec"]["l"] == [{"d": [1]}]


RULES = [
    ({"type": "string", "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
    ({"type": "string", "pattern": "^a+$"}, "b", "spec.x in body should match '^a+$'"),
    ({"type": "string", "pattern": "^a+$"}, "a\n", "should match"),
    ({"type": "string", "pattern": "^\\pL+\\z"}, "a1", "should match"),
    ({"type": "string", "pattern": "^([a-z0-9]+[-.]?)*$"}, "a" * 40 + "!", "should match"),
    ({"type": "string", "pattern": "(?=a)"}, "a", "should match '(?=a), but pattern is invalid: invalid perl operator"),
    ({"type": "string", "maxLength": 2, "pattern": "^b"}, "abc", "Too long: may not be more than 2 bytes"),
    ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
    ({"type": "string", "minLength": 2}, "a", "should be at least 2 chars long"),
    ({"type": "integer", "minimum": 1}, 0, "should be greater than or equal to 1"),
    ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1, "should be greater than 1"),
    ({"type": "number", "maximum": 1.5}, 2, "should be less than or equal to 1.5"),
    ({"type": "number", "multipleOf": 0.1}, 0.25, "should be a multiple of 0.1"),
    ({"type": "array", "maxItems": 1, "items": {"type": "integer"}}, [1, 2], "Too many: 2: must have at most 1 items"),
    ({"type": "array", "minItems": 1, "items": {"type": "integer"}}, [], "should have at least 1 items"),
    ({"type": "array", "x-kubernetes-list-type": "set", "items": {}}, ["a", "a"], 'Duplicate value: "a"'),
    (
        {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {}},
        [{"k": 1, "v": 1}, {"k": 1, "v": 2}],
        'Duplicate value: "{"k":1}"',
    ),
    ({"type": "object", "required": ["y"], "properties": {"y": {}}}, {}, "Required value"),
    ({"type": "object", "minProperties": 1, "additionalProperties": {}}, {}, "should have at least 1 properties"),
    ({"type": "string", "format": "date-time"}, "now", 'must be of type date-time: "now"'),
    ({"type": "string", "format": "ipv4"}, "1.2.3", "must be of type ipv4"),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}, "(oneOf). Found 2 valid alternatives"),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "%$"}]}, "5", "at least one schema (anyOf)"),
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 4, "(allOf)"),
    ({"not": {"enum": ["x"]}}, "x", "must not validate the schema (not)"),
]


@pytest.mark.parametrize(("rule", "value", "message"), RULES)
def test_each_value_rule_is_enforced_in_the_words_of_upstream(rule, value, message) -> None:
    errors = structural_values.validate({"spec": {"x": value}}, _custom({"x": rule}))
    assert len(errors) == 1
    assert message in errors[0].message


def test_values_that_satisfy_their_rules_pass() -> None:
    node = _custom(
        {
            "a": {"type": "string", "enum": ["a"], "pattern": "^a$", "format": "made-up"},
            "n": {"type": "string", "nullable": True, "enum": ["x"]},
            "i": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "d": {"type": "string", "format": "duration"},
        },
        required=["a"],
    )
    assert structural_values.validate({"spec": {"a": "a", "n": None, "i": "5%", "d": "1h30m"}}, node) == []


def test_required_names_the_missing_field() -> None:
    errors = structural_values.validate({"spec": {}}, _custom({}, required=["replicas"]))
    assert [(error.field, error.reason) for error in errors] == [("spec.replicas", "FieldValueRequired")]


def test_duplicate_fields_are_reported_with_their_path() -> None:
    body = b'{"spec":{"a":1,"a":2,"list":[{"b":1},{"b":1,"b":{"c":1,"c":2}}]},"spec":{}}'
    assert structural_duplicates.in_json(body) == [
        'duplicate field "spec.a"',
        'duplicate field "spec.list[1].b"',
        'duplicate field "spec.list[1].b.c"',
        'duplicate field "spec"',
    ]
    assert structural_duplicates.in_json(b'{"a":{"b":1},"c":{"b":1}}') == []


def test_duplicate_keys_of_yaml_are_reported_with_their_line() -> None:
    assert structural_duplicates.in_yaml("a: 1\nb:\n  c: 1\n  c: 2\n") == ['line 4: key "c" already set in map']
    assert structural_duplicates.in_yaml("") == []


_keys = st.sampled_from(["metadata", "spec", "status", "name", "labels", "containers", "ports", "env", "limits", "x"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(_keys, _json, max_size=4))
def test_any_json_conforms_or_is_reported_and_a_second_pass_finds_nothing_unknown(obj) -> None:
    first = conform(obj, POD)
    encoded = orjson.dumps(obj)
    second = conform(obj, POD)
    assert second.unknown == []
    assert second.mismatches == first.mismatches
    assert orjson.dumps(obj) == encoded
