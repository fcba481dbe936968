"""The schemas of kinds that other projects define: Argo Rollouts' and Istio's.

`data/` holds them as one definition a line, in the form their projects publish; `data/README.md` says where they
come from. They are read when somebody asks, and point at Kubernetes' own definitions (a pod template) instead of
repeating them. `structural` unfolds those too: that is what a CustomResourceDefinition carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from dabbawala.apimachinery import schema

_DATA = Path(__file__).with_name("data")
_OWN = "#/definitions/"
_BUILT_IN = "#/components/schemas/"
# What a published definition says beyond the structural form of a CustomResourceDefinition.
_NOT_STRUCTURAL = (
    "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key", "x-kubernetes-group-version-kind",
    "x-kubernetes-unions",
)  # fmt: skip


@lru_cache(maxsize=8)
def _file(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads((_DATA / f"{name}.json").read_bytes())
    return loaded


@lru_cache(maxsize=32)
def open_api(file: str, kind: str) -> Mapping[str, object]:
    """The OpenAPI v3 schema of a kind in that file; references lead to built-in definitions only."""
    unfolded: dict[str, object] = _own(_file(file)[kind], _file(file))
    return unfolded


def _own(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_own(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref", "")
    if isinstance(ref, str) and ref.startswith(_OWN):
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return {**_own(definitions[ref.removeprefix(_OWN)], definitions), **siblings}
    return {key: _own(value, definitions) for key, value in node.items()}


def structural(node: Any) -> Any:
    """The same schema with the built-in definitions written out, as a CustomResourceDefinition must have it."""
    if isinstance(node, list):
        return [structural(item) for item in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref") or _only_reference(node)
    if not isinstance(ref, str):
        return {key: structural(value) for key, value in node.items() if key not in _NOT_STRUCTURAL}
    siblings = {key: value for key, value in node.items() if key not in ("$ref", "allOf", *_NOT_STRUCTURAL)}
    return {**_definition(ref.removeprefix(_BUILT_IN)), **siblings}


def _only_reference(node: Mapping[str, Any]) -> Any:
    parts = node.get("allOf")
    return parts[0].get("$ref") if isinstance(parts, list) and len(parts) == 1 else None


def _definition(name: str) -> dict[str, Any]:
    if name in (schema.QUANTITY, schema.INT_OR_STRING):
        return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    if name == schema.OBJECT_META:  # of a template: what is not declared would be pruned
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    unfolded: dict[str, Any] = structural(schema.definition(name))
    return unfolded
