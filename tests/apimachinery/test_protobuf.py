import base64
import contextlib
import importlib.util
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import protobuf, schema
from dabbawala.apimachinery.status import BadRequest

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "testdata/kubectl_bodies.json").read_text())
_spec = importlib.util.spec_from_file_location("protobuf_encoder", HERE / "protobuf_encoder.py")
assert _spec is not None
assert _spec.loader is not None
encoder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(encoder)


def _without_empty(value: Any) -> Any:
    """Without nulls and the empty structures that Go prints for fields it cannot leave out."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {}}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", [case for case in RECORDED if case["json"]], ids=lambda case: case["name"])
def test_what_kubectl_sends_decodes_to_what_kubectl_says_it_means(case: Any) -> None:
    decoded = protobuf.decode(base64.b64decode(case["body"]))
    assert _without_empty(decoded) == _without_empty(case["json"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token", {"spec": {"audiences": ["x"], "expirationSeconds": 3600}}),
        ("can i", {"spec": {"resourceAttributes": {"namespace": "x", "verb": "create", "group": "apps"}}}),
        ("deletion by drain", {"gracePeriodSeconds": 5, "kind": "DeleteOptions"}),
    ],
)
def test_reviews_tokens_and_options_are_read(name: str, expected: dict[str, Any]) -> None:
    body = next(case["body"] for case in RECORDED if case["name"] == name)
    decoded = protobuf.decode(base64.b64decode(body))
    spec = decoded.get("spec") or {}
    for key, value in expected.items():
        if key == "spec" and "resourceAttributes" in value:
            assert value["resourceAttributes"].items() <= spec["resourceAttributes"].items()
        else:
            assert decoded[key] == value


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "labels": {"a": "b", "empty": ""},
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}, "time": "2026-01-01T00:00:01Z"}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "o", "uid": "u", "controller": False}],
    },
    "spec": {
        "containers": [
            {
                "name": "c",
                "env": [{"name": "A", "value": "1"}],
                "livenessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 5},
                "readinessProbe": {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 0},
                "resources": {"limits": {"cpu": "500m"}},
                "securityContext": {"runAsUser": 0, "privileged": False},
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}],
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists", "tolerationSeconds": -1}],
    },
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "xs.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "X", "plural": "xs"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": False,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "default": {"a": [1, None]},
                        "enum": ["x", 1],
                        "maximum": 1.5,
                        "minimum": -2,
                        "additionalProperties": False,
                        "properties": {
                            "l": {"type": "array", "items": {"type": "string"}},
                            "m": {"type": "object", "additionalProperties": {"type": "integer"}},
                        },
                    }
                },
            }
        ],
    },
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "data": {"k": "AP8="}, "immutable": False}
LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "l"},
    "spec": {"renewTime": "2026-01-01T00:00:00.123456Z", "leaseDurationSeconds": 40},
}


@pytest.mark.parametrize("obj", [POD, CRD, SECRET, LEASE], ids=lambda obj: obj["kind"])
def test_an_object_survives_the_way_through_protobuf(obj: dict[str, Any]) -> None:
    assert _without_empty(protobuf.decode(encoder.encode(obj))) == _without_empty(obj)
    assert protobuf.decode(encoder.encode(POD))["spec"]["volumes"][0] == {"name": "v", "emptyDir": {}}


def test_every_field_of_the_published_schema_has_its_number() -> None:
    """But for APIService, which no client sends to a server that has no aggregation."""

    def names(message: str) -> set[str]:
        fields = protobuf._fields(message).values()
        return {name for field in fields for name in (names(field.code[2:]) if field.inline else {field.name})}

    for definition in schema.definition_names():
        node = schema.builtin(definition)
        special = node.preserve_unknown or "apiregistration" in definition or definition.endswith("version.Info")
        if node.properties and not special:
            assert set(node.properties) - {"apiVersion", "kind"} <= names(definition), definition


def test_unknown_fields_are_skipped_and_packed_numbers_are_read() -> None:
    body = encoder.encode({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}})
    grown = body[:4] + encoder._field(1, encoder._field(1, b"v1") + encoder._field(2, b"ConfigMap"))
    raw = encoder._field(2, encoder._field(1, b"a") + encoder._field(2, b"b")) + encoder._field(999, 7)
    assert protobuf.decode(grown + encoder._field(2, raw))["data"] == {"a": "b"}
    groups = {"apiVersion": "v1", "kind": "Pod", "spec": {"securityContext": {"supplementalGroups": [1, 300, -1]}}}
    assert protobuf.decode(encoder.encode(groups))["spec"] == groups["spec"]


def test_json_inside_the_envelope_is_read_as_json() -> None:
    head = encoder._field(1, encoder._field(1, b"v1") + encoder._field(2, b"Pod"))
    body = protobuf.MAGIC + head + encoder._field(2, b'{"spec":{}}') + encoder._field(4, b"application/json")
    assert protobuf.decode(body) == {"apiVersion": "v1", "kind": "Pod", "spec": {}}


def test_a_kind_without_a_message_is_refused_with_the_remedy() -> None:
    body = protobuf.MAGIC + encoder._field(1, encoder._field(1, b"a.example/v1") + encoder._field(2, b"Thing"))
    with pytest.raises(BadRequest, match="send JSON"):
        protobuf.decode(body)


def test_a_bomb_of_nested_messages_is_refused() -> None:
    raw = b""
    for _ in range(200):
        raw = encoder._field(28, raw)
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    head = encoder._field(1, encoder._field(1, b"v1") + encoder._field(2, b"Pod"))
    with pytest.raises(BadRequest, match="nested too deeply"):
        protobuf.decode(protobuf.MAGIC + head + encoder._field(2, raw), message=name)


@pytest.mark.parametrize("body", [b"", b"k8s", b"{}", b"k8s\0\xff", b"k8s\0\x0a\x7f", b"k8s\0\x0b"])
def test_what_is_no_message_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        protobuf.decode(body)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=3))
def test_damaged_bytes_never_do_worse_than_a_bad_request(noise: bytes, at: int, patch: bytes) -> None:
    body = encoder.encode(POD)
    for damaged in (protobuf.MAGIC + noise, body[:at] + patch + body[at + len(patch) :], body[: 4 + at]):
        with contextlib.suppress(BadRequest):
            assert isinstance(protobuf.decode(damaged), dict)
