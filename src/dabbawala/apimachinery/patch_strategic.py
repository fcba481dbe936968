"""Strategic merge: a merge patch that knows lists.

The schema says for each list whether it is merged (by a merge key, or as a set of scalars) or replaced. Directives
inside the patch say the rest: `$patch: delete|replace|merge`, `$deleteFromPrimitiveList/x`, `$setElementOrder/x`,
`$retainKeys`. Where the schema is silent, maps merge and lists are replaced. The order of a merged list is
upstream's: items of the patch in the patch's order, the others put between them by their place in the live list.
Source: apimachinery/pkg/util/strategicpatch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema
from dabbawala.apimachinery.status import BadRequest

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
_DROP = object()
Items = list[Any]


def strategic_merge(document: Mapping[str, Any], patch: Any, schema: Schema | None) -> Object:
    """`document` with `patch` merged into it. Raises BadRequest for a patch that contradicts itself or the schema."""
    if not isinstance(patch, Mapping):
        raise BadRequest(f"a strategic merge patch is an object, got {type(patch).__name__}")
    return _merge_map(document, patch, schema)


def _merge_map(original: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema | None) -> Object:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return _clean_map({key: value for key, value in patch.items() if key != _PATCH})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"Unknown patch type found: {directive}")
    result = _retained(original, patch)
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN) or key.startswith(_ORDER):
            continue
        if key.startswith(_DELETE_FROM):
            _delete_scalars(result, key.removeprefix(_DELETE_FROM), value)
        else:
            _merge_field(result, key, value, schema)
    for key, value in patch.items():
        if key.startswith(_ORDER):
            field = key.removeprefix(_ORDER)
            _set_order(result, field, (original.get(field), patch.get(field), value), schema)
    return result


def _retained(original: Mapping[str, Any], patch: Mapping[str, Any]) -> Object:
    """A copy of the original, cut down to `$retainKeys` if the patch has it (a change of union member)."""
    keep = patch.get(_RETAIN)
    if keep is None:
        return dict(original)
    if not isinstance(keep, list):
        raise BadRequest(f"{_RETAIN} must be a list of field names, got {keep!r}")
    kept = {key for key in keep if isinstance(key, str)}
    stray = [key for key, value in patch.items() if not key.startswith("$") and value is not None and key not in kept]
    if stray:
        raise BadRequest(f"{_RETAIN} {keep} does not list the field {stray[0]!r} that the patch sets")
    return {key: value for key, value in original.items() if key in kept}


def _merge_field(result: Object, key: str, value: Any, schema: Schema | None) -> None:
    if value is None:
        result.pop(key, None)
        return
    field = schema.at(key) if schema is not None else None
    before = result.get(key)
    if isinstance(value, dict) and isinstance(before, dict):
        replace = field is not None and "replace" in field.patch_strategy
        result[key] = _clean_map(value) if replace else _merge_map(before, value, field)
    elif isinstance(value, list) and isinstance(before, list) and field and "merge" in field.patch_strategy:
        result[key] = _merge_list(before, value, field)
    else:
        cleaned = _clean(value)
        if cleaned is not _DROP:
            result[key] = cleaned


def _clean(value: Any) -> Any:
    """A value of the patch that meets nothing in the original: without directives, and without the nulls in maps."""
    if isinstance(value, dict):
        return _DROP if value.get(_PATCH) == "delete" else _clean_map(value)
    if isinstance(value, list):
        return [cleaned for item in value if not _is_marker(item) and (cleaned := _clean(item)) is not _DROP]
    return value


def _clean_map(value: Mapping[str, Any]) -> Object:
    kept = ((key, _clean(item)) for key, item in value.items() if item is not None and not _is_directive(key))
    return {key: item for key, item in kept if item is not _DROP}


def _is_directive(key: str) -> bool:
    return key in (_PATCH, _RETAIN) or key.startswith((_DELETE_FROM, _ORDER))


def _is_marker(item: Any) -> bool:
    """`{$patch: replace}` alone in a list speaks of the list and is no item."""
    return isinstance(item, dict) and item.keys() == {_PATCH}


def _delete_scalars(result: Object, key: str, values: Any) -> None:
    before = result.get(key)
    if not isinstance(values, list):
        raise BadRequest(f"{_DELETE_FROM}{key} must be a list, got {values!r}")
    if isinstance(before, list):
        gone = set(map(_scalar, values))
        result[key] = [item for item in before if _scalar(item) not in gone]


def _merge_list(original: Items, patch: Items, field: Schema) -> Items:
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [_clean_map(item) for item in patch if isinstance(item, dict) and item.get(_PATCH) is None]
    if not any(isinstance(item, dict) for item in (*original, *patch)):
        merged = list({_scalar(item): item for item in (*original, *patch)}.values())
        return _ordered(merged, patch, original, _scalar)
    key = _key_reader(field)
    deleted = {key(item) for item in patch if isinstance(item, dict) and item.get(_PATCH) == "delete"}
    live = [item for item in original if key(item) not in deleted]
    items = [item for item in patch if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    merged = _merge_items(live, items, key, field.items)
    return _ordered(merged, items, original, key)


def _merge_items(live: Items, patch: Items, key: Callable[[Any], str], schema: Schema | None) -> Items:
    merged = list(live)
    places: dict[str, int] = {}
    for place, item in enumerate(merged):
        places.setdefault(key(item), place)
    for item in patch:
        place = places.get(key(item), -1)
        if place >= 0:
            merged[place] = _merge_map(merged[place], item, schema)
        else:
            places[key(item)] = len(merged)
            merged.append(_clean_map(item))
    return merged


def _key_reader(field: Schema) -> Callable[[Any], str]:
    name = field.merge_key
    if not name:
        raise BadRequest("cannot merge lists without merge key")

    def read(item: Any) -> str:
        if not isinstance(item, dict):
            raise BadRequest(f"cannot merge a list of objects with {item!r}, which is no object")
        if name not in item:
            raise BadRequest(f"map: {item} does not contain declared merge key: {name}")
        return str(item[name])

    return read


def _scalar(item: Any) -> str:
    return f"{type(item).__name__}:{item}"


def _set_order(result: Object, key: str, lists: tuple[Any, Any, Any], schema: Schema | None) -> None:
    """Apply `$setElementOrder/key`: `lists` are the live list, the patch's list and the order asked for."""
    live, patched, order = lists
    field = schema.at(key) if schema is not None else None
    if not isinstance(order, list):
        raise BadRequest(f"{_ORDER}{key} must be a list, got {order!r}")
    merged = result.get(key)
    if field is None or "merge" not in field.patch_strategy or not isinstance(merged, list):
        return
    reader = _key_reader(field) if any(isinstance(item, dict) for item in (*merged, *order)) else _scalar
    wanted = {reader(item) for item in order}
    for item in patched or ():
        special = isinstance(item, dict) and item.get(_PATCH) is not None
        if not special and reader(item) not in wanted:
            raise BadRequest(f"The order in patch list:\n{patched}\n doesn't match {_ORDER} list:\n{order}\n")
    result[key] = _ordered(merged, order, live if isinstance(live, list) else [], reader)


def _ordered(merged: Items, order: Sequence[Any], live: Sequence[Any], key: Callable[[Any], str]) -> Items:
    """Items named by `order` in that order; each other item before the first of those that follows it in `live`."""
    wanted = _positions(order, key)
    places = _positions(live, key)
    named = sorted((item for item in merged if key(item) in wanted), key=lambda item: wanted[key(item)])
    others = [item for item in merged if key(item) not in wanted]
    others.sort(key=lambda item: places.get(key(item), len(places)))
    result: Items = []
    rest = iter(others)
    other = next(rest, None)
    for item in named:
        place = places.get(key(item), -1)
        while other is not None and places.get(key(other), len(places)) < place:
            result.append(other)
            other = next(rest, None)
        result.append(item)
    return result + ([] if other is None else [other, *rest])


def _positions(items: Sequence[Any], key: Callable[[Any], str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, item in enumerate(items):
        found.setdefault(key(item), place)
    return found
