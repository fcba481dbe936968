"""What holds for every kind: it is found, named and printed, and its schema is there."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import (
    KINDS,
    apiextensions_rules,
    apiextensions_v1,
    custom_schemas,
    definitions,
    events_v1,
    kind,
    kinds,
    names,
)
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
STORED = [item for item in KINDS if item.is_stored]


@pytest.mark.parametrize("item", KINDS, ids=repr)
def test_is_found_by_resource_and_by_kind(item: Kind) -> None:
    assert kinds.by_resource(item.group, item.version, item.plural) is item
    assert kinds.of(item.api_version, item.kind) is item


@pytest.mark.parametrize("item", [item for item in KINDS if item.group != "metrics.k8s.io"], ids=repr)
def test_has_a_schema(item: Kind) -> None:
    found = kind.schema_of(item)
    assert found is not None
    assert "metadata" in found.properties
    if item.schema:
        assert item.schema == schema.definition_of(item.group, item.version, item.kind)


@pytest.mark.parametrize("item", STORED, ids=repr)
def test_a_nameless_object_is_refused_and_nothing_breaks(item: Kind) -> None:
    obj: dict[str, Any] = {"metadata": {}}
    item.default(obj)
    item.prepare(obj, None)
    assert "metadata.name" in {error.field for error in item.validate(obj, None)}
    for column in item.columns:
        assert column.path or column.read is not None


@pytest.mark.parametrize("item", STORED, ids=repr)
def test_short_names_and_plurals_are_names(item: Kind) -> None:
    for name in (item.plural, *item.short_names):
        assert names.dns_1035_label(name) == []


def test_no_two_kinds_share_a_resource_or_a_kind() -> None:
    assert len({(item.group, item.version, item.plural) for item in KINDS}) == len(KINDS)
    assert len({(item.group, item.version, item.kind) for item in KINDS}) == len(KINDS)


def test_events_are_one_object_in_two_views() -> None:
    event = {
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a"}, "regarding": {"kind": "Pod"},
        "note": "hello", "reportingController": "me", "unknown": 1,
    }  # fmt: skip
    core = events_v1.to_core(event)
    assert core["involvedObject"] == {"kind": "Pod"}
    assert core["message"] == "hello"
    assert core["apiVersion"] == "v1"
    assert events_v1.from_core(core) == event


@pytest.mark.parametrize("item", [item for item in KINDS if item.open_api and not item.stored_as], ids=repr)
def test_schemas_of_other_projects_are_structural(item: Kind) -> None:
    assert item.open_api is not None
    unfolded = custom_schemas.structural(item.open_api())
    assert list(apiextensions_rules.schema_root(unfolded, "schema")) == []


@pytest.mark.parametrize("directory", definitions.SHIPPED)
def test_the_shipped_definitions_are_those_of_the_kinds(directory: str) -> None:
    shipped = {path.name: path.read_text() for path in (ROOT / directory).iterdir()}
    assert shipped == definitions.files(directory), definitions.__doc__


@pytest.mark.parametrize("item", [item for kinds in definitions.SHIPPED.values() for item in kinds], ids=repr)
def test_our_own_server_would_accept_the_shipped_definitions(item: Kind) -> None:
    crd = copy.deepcopy(definitions.definition(item))
    served = apiextensions_v1.CUSTOM_RESOURCE_DEFINITION
    served.default(crd)
    served.prepare(crd, None)
    assert served.validate(crd, None) == []
    assert crd["status"]["storedVersions"] == [item.version]


def test_templates_in_shipped_definitions_keep_their_labels() -> None:
    rollout = definitions.definition(kinds.of("argoproj.io/v1alpha1", "Rollout"))  # type: ignore[arg-type]
    root = rollout["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    template = root["properties"]["spec"]["properties"]["template"]["properties"]
    assert template["metadata"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "containers" in template["spec"]["properties"]
