"""Merging an applied configuration into a live object, and taking away what is no longer applied.

Maps merge, lists merge by what the schema says of their items, everything else is replaced. Inputs are not changed;
results share with them. Source: structured-merge-diff merge.go and remove.go.
"""

from __future__ import annotations

from typing import Any

from dabbawala.apimachinery import fieldset
from dabbawala.apimachinery.fieldset import Tree
from dabbawala.apimachinery.schema import Schema
from dabbawala.apimachinery.status import BadRequest


def merge(live: Any, applied: Any, node: Schema | None) -> Any:
    """`live` with `applied` laid over it."""
    if type(live) is not type(applied) or fieldset.is_atomic(node, applied):
        return applied
    if isinstance(applied, dict):
        result = dict(live)
        for key, value in applied.items():
            below = fieldset.child(node, key)
            result[key] = merge(live[key], value, below) if key in live else value
        return result
    if isinstance(applied, list) and node is not None:
        return _merge_lists(live, applied, node)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], node: Schema) -> list[Any]:
    """Applied items in their order, the others where they stood between them. A live list may hold duplicates."""
    right = fieldset.elements(applied, node)
    left = [(fieldset.element(item, node, index), item) for index, item in enumerate(live)]
    known = fieldset.elements(live, node)
    result: list[Any] = []
    pending = iter(right)
    following = next(pending, None)
    done: set[str] = set()

    def take() -> None:
        nonlocal following
        assert following is not None
        value = right[following]
        result.append(merge(known[following], value, node.items) if following in known else value)
        done.add(following)
        following = next(pending, None)

    for name, item in left:
        if name not in right:
            result.append(item)
            continue
        while name not in done:
            take()
    while following is not None:
        take()
    return result


def check_unique(value: Any, node: Schema | None, path: str = "") -> None:
    """An applied configuration must not name a list item twice. Raises BadRequest."""
    if node is None or fieldset.is_atomic(node, value):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                check_unique(inner, fieldset.child(node, key), f"{path}.{key}")
    elif isinstance(value, list):
        seen: set[str] = set()
        for index, item in enumerate(value):
            name = fieldset.element(item, node, index)
            if name in seen:
                printed = next(fieldset.paths({name: {}}))
                raise BadRequest(f"errors:\n  {path}: duplicate entries for key {printed}")
            seen.add(name)
            check_unique(item, node.items, path + f"[{index}]")


def prune(value: Any, dropped: Tree, owned: Tree, node: Schema | None) -> Any:
    """`value` without what `dropped` names and nobody owns: `dropped` is what the applier had before, `owned` what
    all managers together have now. What becomes empty that way is None, which counts as absent, unless somebody owns
    the empty map or list itself."""
    if fieldset.is_atomic(node, value):
        return value
    if isinstance(value, dict):
        return _prune_map(value, dropped, owned, node)
    if isinstance(value, list) and node is not None:
        return _prune_list(value, dropped, owned, node)
    return value


def _prune_map(value: dict[str, Any], dropped: Tree, owned: Tree, node: Schema | None) -> Any:
    known = node.properties if node is not None else {}
    result = {}
    for key, inner in value.items():
        name = f"f:{key}"
        if name not in dropped:
            result[key] = inner
        elif not _goes(dropped[name], owned.get(name), named=key in known):
            kept = prune(inner, dropped[name], owned.get(name, {}), fieldset.child(node, key))
            if kept is None and name in owned and fieldset.is_member(owned[name]):
                kept = type(inner)()
            if kept is not None:
                result[key] = kept
    return result or (None if value else value)


def _prune_list(value: list[Any], dropped: Tree, owned: Tree, node: Schema) -> Any:
    result = []
    for index, item in enumerate(value):
        name = fieldset.element(item, node, index)
        if name not in dropped:
            result.append(item)
        elif not _goes(dropped[name], owned.get(name), named=False):
            kept = prune(item, dropped[name], owned.get(name, {}), node.items)
            if kept is not None:
                result.append(kept)
    return result or (None if value else value)


def _goes(dropped: Tree, owned: Tree | None, *, named: bool) -> bool:
    """Whether an element goes as a whole. A structure's field counts as owned when anything in it is; a list item
    or a map entry only when it is owned itself."""
    had = named or fieldset.is_member(dropped)
    has = owned is not None and (named or fieldset.is_member(owned))
    return had and not has
