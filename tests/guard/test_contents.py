"""The strings of an object are found with paths that lead back to them; versions are those that were written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.documents import read
from dabbawala.guard.inventory import Inventory
from dabbawala.guard.positions import Name, parts
from dabbawala.guard.relations import contents
from dabbawala.guard.world import World

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "annotations": {"example.com/a.b": "x", "plain": "y"}, "uid": "1"},
    "spec": {"containers": [{"name": "web", "args": ["-c", "true"]}]},
}


def follow(obj: Any, path: str) -> Any:
    for part in parts(path):
        obj = obj[part.name if isinstance(part, Name) else part]
    return obj


def test_every_path_leads_back_to_its_text() -> None:
    found = contents.strings(POD)
    assert {item["text"] for item in found} == {"v1", "Pod", "web", "x", "y", "-c", "true"}
    assert all(follow(POD, item["path"]) == item["text"] for item in found)


def test_what_the_server_writes_for_itself_is_left_out() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "plain": "y"}
    obj = {"metadata": {"managedFields": [{"manager": "kubectl"}], "annotations": annotations}}
    assert contents.strings(obj) == [{"path": "metadata.annotations.plain", "text": "y"}]


@pytest.mark.parametrize("expression", ["^web$", "x|y", "^-", "nowhere", ""])
def test_strings_that_are_like_something_are_those_strings(expression: str) -> None:
    wanted = [found for found in contents.strings(POD) if re.search(expression, found["text"])]
    assert contents.strings_like(POD, expression) == wanted


def test_numbers_are_told_with_the_path_that_explains_them() -> None:
    obj = {"data": {"aadhaar": "234567890124", "account": "234567890124", "card": "4111111111111111"}}
    assert contents.identifiers(obj) == [
        {"path": "data.aadhaar", "kind": "aadhaar", "masked": "XXXX-XXXX-0124"},
        {"path": "data.card", "kind": "card", "masked": "411111******1111"},
    ]


def test_the_version_that_was_written_outlives_conversion() -> None:
    stored = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    text = b"apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
    (document,) = read("web.yaml", text).documents
    read_from_file, live = Inventory([(stored, document)]), Inventory([(stored, None)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert contents.written(World(read_from_file, now=now), stored) == "extensions/v1beta1"
    assert contents.written(World(live, now=now), stored) == "apps/v1"


@pytest.mark.parametrize(
    ("version", "kind", "state", "release", "replacement"),
    [
        ("apps/v1", "Deployment", "served", "", ""),
        ("extensions/v1beta1", "Deployment", "removed", "1.16", "apps/v1"),
        ("shop.example.com/v1beta1", "Order", "served", "", ""),
        ("apps/v9", "Deployment", "unknown", "", ""),
    ],
)
def test_what_became_of_a_version(version: str, kind: str, state: str, release: str, replacement: str) -> None:
    found = contents.lifecycle(World(Inventory(), now=datetime(2026, 1, 1, tzinfo=UTC)), version, kind)
    assert found == {"state": state, "release": release, "replacement": replacement}
