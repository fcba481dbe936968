"""Fields given twice in one JSON or YAML body, which ordinary parsers silently overwrite.

`fieldValidation` Strict and Warn report them with their path. The common body has none, so the first look is one
pass of the standard library's C scanner that only notices; the second, which knows paths, runs on what it found.
Source: KEP-2885, sigs.k8s.io/json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, fields in order and repeated."""


def in_json(body: bytes | str) -> list[str]:
    """`duplicate field "spec.replicas"` for each; the body must be valid JSON."""
    seen = False

    def notice(pairs: list[tuple[str, Any]]) -> None:
        nonlocal seen
        seen = seen or len(pairs) != len({key for key, _ in pairs})

    json.loads(body, object_pairs_hook=notice)
    if not seen:
        return []
    return [f'duplicate field "{path}"' for path in _walk(json.loads(body, object_pairs_hook=_Pairs), "")]


def _walk(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        known: set[str] = set()
        for key, inner in value:
            place = f"{path}.{key}" if path else key
            if key in known:
                yield place
            known.add(key)
            yield from _walk(inner, place)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{index}]")


def in_yaml(body: bytes | str) -> list[str]:
    """`line 4: key "image" already set in map` for each; the body must be valid YAML
    that nests within bounds."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return list(_nodes(yaml.compose(body, Loader=loader), set()))


def _nodes(node: yaml.Node | None, looked_at: set[int]) -> Iterator[str]:
    """Of each node once, however many aliases lead to it."""
    if id(node) in looked_at:
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in known:
                    yield f'line {key.start_mark.line + 1}: key "{key.value}" already set in map'
                known.add(key.value)
            yield from _nodes(value, looked_at)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item, looked_at)
