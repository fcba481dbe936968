"""What manifests declare is found with its place, and alone is only a part of the evidence."""

from __future__ import annotations

from dabbawala.guard.documents import read
from dabbawala.guard.findings import Report
from dabbawala.guard.frameworks import assessment, catalogue, declared
from dabbawala.guard.frameworks.assessment import State
from dabbawala.guard.frameworks.declared import Declaration
from tests.guard.frameworks.given import NOW

TEXT = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: pay
          image: registry.example.com/pay:1
          env:
            - {name: DATA_RESIDENCY, value: INDIA}
            - {name: AWS_REGION, value: us-east-1}
            - {name: TLS_ENABLED, value: 'false'}
            - {name: DATABASE_SSL, value: require}
            - {name: ENCRYPTION_KEY_PATH, valueFrom: {secretKeyRef: {name: keys, key: path}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {PRIMARY_REGION: asia-south1, SSL_CERT_PATH: /tls/tls.crt}
"""


def found(text: bytes = TEXT) -> list[Declaration]:
    return declared.of_documents(read("pay.yaml", text).documents, catalogue.named().values())


def test_settings_of_containers_and_config_maps_are_found_with_their_place() -> None:
    assert [(item.question, item.setting, str(item.subject), item.place.line) for item in found()] == [
        ("data_localization", "DATA_RESIDENCY=INDIA", "Deployment shop/pay", 11),
        ("data_localization", "PRIMARY_REGION=asia-south1", "ConfigMap shop/settings", 20),
        ("encryption_in_transit", "DATABASE_SSL=require", "Deployment shop/pay", 14),
        ("encryption_in_transit", "SSL_CERT_PATH=/tls/tls.crt", "ConfigMap shop/settings", 20),
    ]


def test_a_declaration_alone_is_only_a_part() -> None:
    made = assessment.assess(catalogue.resolve("rbi"), Report(), declared=found(), now=NOW)
    states = {result.named.name: result.state for result in made.named if result.named.flag}
    assert states["data_localization"] is State.PARTIAL
    assert states["access_controls"] is State.UNKNOWN
    assert State.SUPPORTS not in states.values()


def test_objects_of_any_shape_declare_nothing() -> None:
    odd = (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [TLS_ENABLED]\n---\n"
        + b"""\
apiVersion: example.com/v1
kind: Odd
metadata: {name: b}
env: [1, {name: 7}, {name: TLS_ENABLED, value: [true]}, {value: x}]
"""
    )
    assert not found(odd)
