"""The patches that clients send: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge (`patch_strategic`).

Nothing here changes its arguments. A result shares with them whatever the patch did not touch, so that a patch costs
what it changes, not what the object weighs: whoever goes on to change a result in place must own the arguments too.
Errors are the API's own: BadRequest for a patch that is none, Invalid for one that does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.patch_strategic import strategic_merge as strategic_merge
from dabbawala.apimachinery.status import BadRequest, Invalid, RequestEntityTooLarge

MAX_OPERATIONS = 10_000

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
    """RFC 6902, all operations or none."""
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    for operation in operations:
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: Any) -> Any:
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
            return _put(_remove(document, source), path, _get(document, source, "move"))
        case "copy":
            return _put(document, path, _get(document, _pointer(operation, "from"), "copy"))
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
    return operation["value"]


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

    def write(parent: Any, last: str) -> None:
        if isinstance(parent, dict) or replace:
            parent[last if isinstance(parent, dict) else int(last)] = value
        elif last == "-":
            parent.append(value)
        elif _INDEX.fullmatch(last) and int(last) <= len(parent):
            parent.insert(int(last), value)
        else:
            raise Invalid(f"add operation does not apply: index {last!r} is out of bounds at {_text(path)!r}")

    return _rewrite(document, path, "add", write)


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        return None
    _get(document, path, "remove")

    def write(parent: Any, last: str) -> None:
        del parent[last if isinstance(parent, dict) else int(last)]

    return _rewrite(document, path, "remove", write)


def _rewrite(document: Any, path: Sequence[str], operation: str, write: Callable[[Any, str], None]) -> Any:
    """Copy the containers on the way to the last part, and let `write` change the innermost copy."""
    root = parent = _copied(document, operation, path)
    for part in path[:-1]:
        inner = _copied(_get(parent, [part], operation, None), operation, path)
        parent[part if isinstance(parent, dict) else int(part)] = inner
        parent = inner
    write(parent, path[-1])
    return root


def _copied(container: Any, operation: str, path: Sequence[str]) -> Any:
    if not isinstance(container, dict | list):
        raise _missing(operation, path)
    return container.copy()
