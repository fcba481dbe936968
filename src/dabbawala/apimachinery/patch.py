"""The patches that clients send: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge (`patch_strategic`).

Nothing here changes its arguments. A merged result shares with them whatever the patch did not touch, so that a patch
costs what it changes, not what the object weighs: whoever goes on to change it in place must own the arguments too. A
JSON patch may have thousands of operations on one list, so it works on a copy of its own.
Errors are the API's own: BadRequest for a patch that is none, Invalid for one that does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.patch_strategic import strategic_merge as strategic_merge
from dabbawala.apimachinery.status import BadRequest, Invalid, RequestEntityTooLarge

MAX_OPERATIONS = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
"""What all copy operations of one JSON patch may add, in bytes of JSON: copies of copies double with each operation.
Source: kube-apiserver's JSONPatchMaxCopyBytes."""

_INDEX = re.compile(r"0|[1-9]\d*")
_ABSENT = object()


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null deletes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def create_merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The smallest merge patch that makes `old` into `new`; empty when they are the same."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key, _ABSENT)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := create_merge_patch(before, value):
                patch[key] = inner
        elif before is _ABSENT or not same(before, value):
            patch[key] = value
    return patch


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 and 1.0 are the same number, 1 and true are not the same."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def json_patch(document: Any, operations: Any) -> Any:
    """RFC 6902, all operations or none. Raises Invalid for copies that add up to more than COPIED_BYTES_MAX."""
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    document = _copy(document)
    copied = 0
    for operation in operations:
        if isinstance(operation, dict) and operation.get("op") == "copy":
            copied += _size(_get(document, _pointer(operation, "from"), "copy"))
            if copied > COPIED_BYTES_MAX:
                raise Invalid(
                    f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                    f"exceeding the limit {COPIED_BYTES_MAX}"
                )
        document = _apply(document, operation)
    return document


def _size(value: Any) -> int:
    """Bytes of JSON. Cheap, although every copy is measured: what was copied before it is within the limit."""
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError as error:
        raise Invalid(f"copy operation does not apply: {error}") from error


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _apply(document: Any, operation: Any) -> Any:
    """Change `document`, which is ours, or give what takes its place."""
    if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
        raise BadRequest(f"JSON patch operation {operation!r} has no 'op'")
    name, path = operation["op"], _pointer(operation, "path")
    match name:
        case "add":
            return _put(document, path, _value(operation))
        case "remove":
            return _remove(document, path)
        case "replace":
            _get(document, path, "replace")
            return _put(document, path, _value(operation), replace=True)
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise Invalid(f"move operation does not apply: {_text(source)!r} cannot be moved into itself")
            moved = _get(document, source, "move")
            return _put(_remove(document, source), path, moved)
        case "copy":
            return _put(document, path, _copy(_get(document, _pointer(operation, "from"), "copy")))
        case "test":
            if not same(_get(document, path, "test", None), _value(operation)):
                raise Invalid(f"testing value {_text(path)} failed: test failed")
            return document
        case _:
            raise BadRequest(f"unexpected JSON patch operation {name!r}; use add, remove, replace, move, copy or test")


def _pointer(operation: Mapping[str, Any], member: str) -> list[str]:
    text = operation.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequest(
            f"JSON patch operation {operation.get('op')!r}: {member!r} must be a JSON pointer, got {text!r}"
        )
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _text(path: Sequence[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise BadRequest(f"JSON patch operation {operation['op']!r} at {operation['path']!r} has no 'value'")
    return _copy(operation["value"])  # a later operation may change it


def _get(document: Any, path: Sequence[str], operation: str, default: Any = _ABSENT) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and _INDEX.fullmatch(part) and int(part) < len(document):
            document = document[int(part)]
        elif default is not _ABSENT:
            return default
        else:
            raise _missing(operation, path)
    return document


def _missing(operation: str, path: Sequence[str]) -> Invalid:
    return Invalid(f"{operation} operation does not apply: doc is missing path: {_text(path)!r}: missing value")


def _put(document: Any, path: Sequence[str], value: Any, *, replace: bool = False) -> Any:
    if not path:
        return value
    parent, last = _parent(document, path, "add"), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif replace:
        parent[int(last)] = value
    elif last == "-":
        parent.append(value)
    elif _INDEX.fullmatch(last) and int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise Invalid(f"add operation does not apply: index {last!r} is out of bounds at {_text(path)!r}")
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        return None
    _get(document, path, "remove")
    parent, last = _parent(document, path, "remove"), path[-1]
    del parent[last if isinstance(parent, dict) else int(last)]
    return document


def _parent(document: Any, path: Sequence[str], operation: str) -> Any:
    """The object or list that the last part of `path` is looked up in."""
    parent = _get(document, path[:-1], operation, None)
    if not isinstance(parent, dict | list):
        raise _missing(operation, path)
    return parent
