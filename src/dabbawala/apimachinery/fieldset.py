"""Sets of fields, in the form in which objects carry them: FieldsV1.

A set is a tree of path elements: `f:name` a field, `k:{...}` a list item by its keys, `v:...` a member of a set,
`i:0` an index. A node without children is a member; one with children is a member only if it has `.` among them.
Trees are values: no function changes one, and results share subtrees. Source: KEP-555, structured-merge-diff.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery.schema import MISSING, Schema

Tree = dict[str, Any]
"""Path element to subtree; {} is a member without children."""

SPECS_REMEMBERED, SPEC_BYTES_REMEMBERED = 128, 16 * 1024
"""Pods of one template come by the hundred with the same spec, to the byte."""
SELF = "."
_LEAF: Tree = {}


class Comparison(NamedTuple):
    """What changed between two objects, each an ordinary set."""

    added: Tree
    modified: Tree
    removed: Tree


def is_member(tree: Tree) -> bool:
    """Whether the element that leads to this subtree is itself in the set."""
    return not tree or SELF in tree


def union(left: Tree, right: Tree) -> Tree:
    """The fields of both. Works on roots; a root that is empty holds nothing."""
    if not left or not right:
        return left or right
    result = dict(left)
    for element, subtree in right.items():
        mine = result.get(element)
        result[element] = subtree if mine is None else _united(mine, subtree)
    return result


def _united(left: Tree, right: Tree) -> Tree:
    if not left and not right:
        return _LEAF
    merged = union(left, right)
    if (is_member(left) or is_member(right)) and SELF not in merged:
        return {SELF: _LEAF, **merged}
    return merged


def difference(left: Tree, right: Tree) -> Tree:
    """The fields of `left` that are not in `right`; exactly those, descendants count by themselves."""
    if not right:
        return left
    result = {}
    for element, subtree in left.items():
        other = right.get(element)
        if other is None:
            result[element] = subtree
        elif (kept := _without(subtree, other)) is not None:
            result[element] = kept
    return result


def _without(subtree: Tree, other: Tree) -> Tree | None:
    """The rest of a subtree, or None when nothing of it is left."""
    member = is_member(subtree) and not is_member(other)
    rest = difference({k: v for k, v in subtree.items() if k != SELF}, other)
    if not rest:
        return _LEAF if member else None
    return {SELF: _LEAF, **rest} if member else rest


def intersection(left: Tree, right: Tree) -> Tree:
    """The fields that are in both."""
    result = {}
    for element, subtree in left.items():
        other = right.get(element)
        if other is None or element == SELF:
            continue
        inner = intersection(subtree, other)
        if is_member(subtree) and is_member(other):
            result[element] = {SELF: _LEAF, **inner} if inner else _LEAF
        elif inner:
            result[element] = inner
    return result


def without_fields(tree: Tree, fields: Tree) -> Tree:
    """The set without the named fields and everything below them."""
    result = dict(tree)
    for element, subtree in fields.items():
        mine = result.get(element)
        if mine is None:
            continue
        inner = without_fields(mine, subtree) if subtree else _LEAF
        if inner:
            result[element] = inner
        else:
            del result[element]
    return result


def is_atomic(node: Schema | None, value: Any) -> bool:
    """Whether a list or map is owned as a whole. Lists are unless the schema says how their items are told apart."""
    if isinstance(value, list):
        return node is None or node.list_type not in ("map", "set")
    return node is not None and node.map_type == "atomic"


def child(node: Schema | None, key: str) -> Schema | None:
    return None if node is None else node.at(key)


def element(item: Any, node: Schema, index: int) -> str:
    """The path element of an item of an associative list; its index where it lacks all of its keys."""
    if node.list_type == "set":
        return "v:" + orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
    if not isinstance(item, dict):
        return f"i:{index}"
    keys = {}
    for key in node.list_map_keys:
        value = item.get(key, MISSING)
        if value is MISSING and node.items is not None and key in node.items.properties:
            value = node.items.properties[key].default
        if value is not MISSING:
            keys[key] = value
    if not keys:
        return f"i:{index}"
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def elements(items: list[Any], node: Schema) -> dict[str, Any]:
    """The items of an associative list by their path element; of duplicates, the first."""
    found: dict[str, Any] = {}
    for index, item in enumerate(items):
        found.setdefault(element(item, node, index), item)
    return found


def from_applied(value: Any, node: Schema | None) -> Tree:
    """The fields of an applied configuration: its leaves, its list items and its map entries."""
    tree: Tree = {}
    if isinstance(value, dict) and not is_atomic(node, value):
        known = node.properties if node is not None else {}
        for key, inner in value.items():
            subtree = from_applied(inner, child(node, key))
            if subtree:
                tree[f"f:{key}"] = subtree if key in known else {SELF: _LEAF, **subtree}
            elif not _is_open_list(inner, child(node, key)):
                tree[f"f:{key}"] = _LEAF
    elif isinstance(value, list) and node is not None and not is_atomic(node, value):
        for name, inner in elements(value, node).items():
            subtree = from_applied(inner, node.items)
            tree[name] = {SELF: _LEAF, **subtree} if subtree else _LEAF
    return tree


def _is_open_list(value: Any, node: Schema | None) -> bool:
    """An associative list owns nothing by being empty."""
    return isinstance(value, list) and not is_atomic(node, value)


def whole(value: Any, node: Schema | None, *, dots: bool = True) -> Tree:
    """All fields of a value that came or went as a whole. Without `dots` plain structures and required lists are
    not members themselves, as in upstream, where they exist even when empty."""
    if not value or is_atomic(node, value):
        return {}
    if isinstance(value, dict):
        return _whole_map(value, node, dots=dots)
    tree: Tree = {}
    if isinstance(value, list) and node is not None:
        for name, inner in elements(value, node).items():
            subtree = whole(inner, node.items, dots=dots)
            tree[name] = {SELF: _LEAF, **subtree} if subtree else _LEAF
    return tree


def of_created(obj: dict[str, Any], node: Schema | None) -> Tree:
    """All fields of a new object, as `whole` gives them without dots; a spec that came before is not walked again."""
    spec = obj.get("spec")
    text = orjson.dumps(spec) if isinstance(spec, dict) else b""
    if node is None or not text or len(text) > SPEC_BYTES_REMEMBERED:
        return whole(obj, node, dots=False)
    rest = _whole_map({key: value for key, value in obj.items() if key != "spec"}, node, dots=False)
    return {**rest, "f:spec": _of_spec(node, text)}


@lru_cache(maxsize=SPECS_REMEMBERED)
def _of_spec(node: Schema, spec: bytes) -> Tree:
    fields: Tree = _whole_map({"spec": orjson.loads(spec)}, node, dots=False)["f:spec"]
    return fields


def _whole_map(value: dict[str, Any], node: Schema | None, *, dots: bool) -> Tree:
    """Every create comes here for each of its maps."""
    tree: Tree = {}
    for key, inner in value.items():
        kind = inner.__class__
        if kind is not dict and kind is not list:
            tree["f:" + key] = _LEAF
            continue
        subtree = whole(inner, None if node is None else node.at(key), dots=dots)
        if subtree and (dots or not _always_there(key, kind, node)):
            subtree = {SELF: _LEAF, **subtree}
        tree["f:" + key] = subtree
    return tree


def _always_there(key: str, kind: type, node: Schema | None) -> bool:
    known = None if node is None else node.properties.get(key)
    if node is None or known is None:
        return False
    return bool(known.properties) if kind is dict else key in node.required


def compare(old: Any, new: Any, node: Schema | None) -> Comparison:
    """What is added, modified and removed from `old` to `new`, both objects of one kind."""
    result = Comparison({}, {}, {})
    if old != new:
        _compare_maps(old, new, node, result)
    return result


def _compare_maps(old: dict[str, Any], new: dict[str, Any], node: Schema | None, out: Comparison) -> None:
    for key, value in new.items():
        before = old.get(key, MISSING)
        if before is MISSING:
            out.added[f"f:{key}"] = _came(key, value, node)
        elif before != value:
            _compare_values(f"f:{key}", (before, value), child(node, key), out)
    for key, value in old.items():
        if key not in new:
            out.removed[f"f:{key}"] = _gone(value, child(node, key))


def _came(key: str, value: Any, node: Schema | None) -> Tree:
    return whole({key: value}, node, dots=False).get(f"f:{key}", _LEAF)  # type: ignore[no-any-return]  # a subtree


def _gone(value: Any, node: Schema | None) -> Tree:
    subtree = whole(value, node)
    return {SELF: _LEAF, **subtree} if subtree else _LEAF


def _compare_values(name: str, values: tuple[Any, Any], node: Schema | None, out: Comparison) -> None:
    """Compare two different values found under one path element, and hang what is found below `name`."""
    old, new = values
    inner = Comparison({}, {}, {})
    alike = type(old) is type(new) and isinstance(old, dict | list) and not is_atomic(node, new)
    if alike and isinstance(old, dict):
        _compare_maps(old, new, node, inner)
    elif alike and node is not None:
        _compare_lists(old, new, node, inner)
    else:
        out.modified[name] = _LEAF
        return
    for mine, theirs in zip(out, inner, strict=True):
        if theirs:
            mine[name] = theirs


def _compare_lists(old: list[Any], new: list[Any], node: Schema, out: Comparison) -> None:
    before, after = elements(old, node), elements(new, node)
    for name, value in after.items():
        if name not in before:
            subtree = whole(value, node.items, dots=False)
            out.added[name] = {SELF: _LEAF, **subtree} if subtree else _LEAF
        elif before[name] != value:
            _compare_values(name, (before[name], value), node.items, out)
    for name, value in before.items():
        if name not in after:
            out.removed[name] = _gone(value, node.items)


def paths(tree: Tree, prefix: str = "") -> Iterator[str]:
    """Every member as upstream prints it: `.spec.containers[name="web"].image`."""
    for name, subtree in sorted(tree.items()):
        if name == SELF:
            continue
        path = prefix + _printed(name)
        if is_member(subtree):
            yield path
        yield from paths(subtree, path)


def _printed(name: str) -> str:
    kind, text = name[0], name[2:]
    match kind:
        case "f":
            return f".{text}"
        case "k":
            listed = orjson.loads(text)
            return f"[{','.join(f'{key}={orjson.dumps(value).decode()}' for key, value in listed.items())}]"
        case "v":
            return f"[={text}]"
        case _:
            return f"[{text}]"
