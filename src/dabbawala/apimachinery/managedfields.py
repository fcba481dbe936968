"""Who manages which field, and server-side apply.

Every writer of an object is a manager with a set of fields. An ordinary write takes what it changes from everybody
else. An apply states what its manager wants in full: it merges, takes away what the manager no longer states and
nobody else owns, and conflicts where another manager's value would change, unless forced. The entries live in
`metadata.managedFields` and nowhere else. Objects must have conformed to their schema (`structural.conform`).
Source: KEP-555, apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery import clock, fieldset, meta
from dabbawala.apimachinery import managedfields_merge as merging
from dabbawala.apimachinery.fieldset import Tree
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema
from dabbawala.apimachinery.status import Conflict

UPDATE, APPLY = "Update", "Apply"
MAX_UPDATE_MANAGERS = 10
MAX_LAST_APPLIED_BYTES = 256 * 1024
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL, _BEFORE, _ANCIENT = "kubectl", "before-first-apply", "ancient-changes"
# Nobody manages what the server alone sets.
_NEVER: Tree = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        f"f:{name}": {}
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
            "managedFields", "resourceVersion",
        )
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes what, when. `ignored` are top-level fields that this endpoint does not write (`status` on the main
    resource of a kind with a status subresource): they are never owned through it."""

    manager: str
    api_version: str
    now: datetime
    subresource: str = ""
    ignored: tuple[str, ...] = ()

    def _strip(self, fields: Tree) -> Tree:
        stripped = fieldset.without_fields(fields, _NEVER)
        return (
            fieldset.without_fields(stripped, {f"f:{name}": {} for name in self.ignored}) if self.ignored else stripped
        )


class _Id(NamedTuple):
    """What makes two entries the same manager's. An applier is the same whatever version it applies."""

    operation: str
    manager: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        """As a conflict names it."""
        text = orjson.dumps(self.manager).decode()
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


class _Entry(NamedTuple):
    fields: Tree
    api_version: str
    time: str


_Managers = dict[_Id, _Entry]


def _decode(entries: Iterable[Any] | None) -> _Managers:
    managers: _Managers = {}
    for item in entries or ():
        if not isinstance(item, dict) or item.get("operation") not in (UPDATE, APPLY):
            continue
        version = item.get("apiVersion", "")
        shown = "" if item["operation"] == APPLY else version
        key = _Id(item["operation"], item.get("manager", ""), shown, item.get("subresource", ""))
        managers[key] = _Entry(item.get("fieldsV1") or {}, version, item.get("time", ""))
    return managers


def _encode(managers: _Managers) -> list[Object]:
    """Entries in upstream's order: appliers first, then by time and name."""

    def order(pair: tuple[_Id, _Entry]) -> tuple[str, ...]:
        key, entry = pair
        return (key.operation, entry.time, key.manager, entry.api_version, key.subresource)

    result = []
    for key, entry in sorted(managers.items(), key=order):
        item: Object = {"manager": key.manager, "operation": key.operation, "apiVersion": entry.api_version}
        if entry.time:
            item["time"] = entry.time
        item |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields}
        if key.subresource:
            item["subresource"] = key.subresource
        result.append(item)
    return result


def update(live: Object | None, new: Object, writer: Writer, schema: Schema | None) -> list[Object]:
    """The managed fields of `new` after an ordinary write over `live` (None: it is created).

    `new` may bring managed fields of its own, as a client that read and writes back does; an empty list resets
    them. An object that never had any gets none by being updated.
    """
    given = meta.metadata(new).get("managedFields")
    if live is None:
        return _created(new, writer, schema)
    managers = _decode(given if given is not None else meta.metadata(live).get("managedFields"))
    if not managers:
        return []
    changes = fieldset.compare(live, new, schema)
    return _encode(_capped(_written(managers, _stripped(changes, writer), writer), writer))


def _created(new: Object, writer: Writer, schema: Schema | None) -> list[Object]:
    fields = writer._strip(_everything(new, schema))
    if not fields:
        return []
    key = _Id(UPDATE, writer.manager, writer.api_version, writer.subresource)
    return _encode({key: _Entry(fields, writer.api_version, clock.format_time(writer.now))})


def _everything(obj: Object, schema: Schema | None) -> Tree:
    return fieldset.of_created(obj, schema)


def _stripped(changes: fieldset.Comparison, writer: Writer) -> fieldset.Comparison:
    return fieldset.Comparison(*(writer._strip(part) for part in changes))


def _written(managers: _Managers, changes: fieldset.Comparison, writer: Writer) -> _Managers:
    """Take what was written away from everybody, and give it to the writer."""
    written = fieldset.union(changes.added, changes.modified)
    result = _reduced(managers, written, changes.removed)
    if written:
        key = _Id(UPDATE, writer.manager, writer.api_version, writer.subresource)
        mine = result[key].fields if key in result else {}
        result[key] = _Entry(fieldset.union(mine, written), writer.api_version, clock.format_time(writer.now))
    return result


def _reduced(managers: _Managers, written: Tree, removed: Tree, *, except_for: _Id | None = None) -> _Managers:
    """The managers without the fields that were written or removed; whoever has none left goes."""
    result: _Managers = {}
    for key, entry in managers.items():
        fields = entry.fields
        if key != except_for:
            fields = fieldset.difference(fieldset.difference(fields, written), removed)
        if fields:
            result[key] = entry._replace(fields=fields)
    return result


def _capped(managers: _Managers, writer: Writer) -> _Managers:
    """At most ten managers by Update: the oldest are merged into one for each version."""
    updaters = sorted((key for key in managers if key.operation == UPDATE), key=lambda key: managers[key].time)
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return managers
    result = dict(managers)
    for key in updaters:
        ancient = _Id(UPDATE, _ANCIENT, key.api_version, key.subresource)
        if excess <= 0 or key == ancient:
            continue
        old = result.pop(key)
        bucket = result.get(ancient)
        excess -= bucket is not None
        fields = fieldset.union(bucket.fields, old.fields) if bucket else old.fields
        result[ancient] = _Entry(fields, old.api_version, old.time)
    return result


def apply(live: Object | None, applied: Object, writer: Writer, *, schema: Schema | None, force: bool) -> Object:
    """The object after `applied` has been applied over `live` (None: it is created), its managed fields included.

    The result shares with both. Raises Conflict naming the fields that others manage, unless `force`.
    """
    merging.check_unique(applied, schema)
    base = live if live is not None else {}
    managers = _decode(meta.metadata(base).get("managedFields"))
    if live is not None and not managers and not _only_identity(live):
        before = _Id(UPDATE, _BEFORE, writer.api_version, "")
        managers = {before: _Entry(writer._strip(_everything(live, schema)), writer.api_version, "")}
    attempt = _Attempt(_without_managed(base), _without_managed(applied), managers, writer, schema)
    try:
        merged, managers = attempt.apply(force)
    except _Conflicts as conflicts:
        allowed = _last_applied(base, schema) if writer.manager == _KUBECTL else {}
        rest = {key: left for key, fields in conflicts.fields.items() if (left := fieldset.difference(fields, allowed))}
        if rest:
            raise _conflict(rest) from None
        merged, managers = attempt.apply(True)
    if writer.manager == _KUBECTL:
        merged = _annotated(merged, applied)
    return {**merged, "metadata": {**meta.metadata(merged), "managedFields": _encode(managers)}}


def _only_identity(obj: Object) -> bool:
    return not meta.resource_version(obj)


def _without_managed(obj: Object) -> Object:
    metadata = {key: value for key, value in meta.metadata(obj).items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


class _Conflicts(Exception):
    def __init__(self, fields: dict[_Id, Tree]) -> None:
        super().__init__()
        self.fields = fields


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One application: what is live, what is wanted, and who managed what before."""

    live: Object
    applied: Object
    managers: _Managers
    writer: Writer
    schema: Schema | None

    def apply(self, force: bool) -> tuple[Object, _Managers]:
        writer, me = self.writer, _Id(APPLY, self.writer.manager, "", self.writer.subresource)
        before = self.managers.get(me)
        fields = writer._strip(fieldset.from_applied(self.applied, self.schema))
        merged = merging.merge(self.live, self.applied, self.schema)
        if before is not None:
            others = self._owned(fields, except_for=me)
            merged = merging.prune(merged, before.fields, others, self.schema)
        changes = _stripped(fieldset.compare(self.live, merged, self.schema), writer)
        written = fieldset.union(changes.added, changes.modified)
        if not force:
            self._refuse(written, me)
        changed = bool(written or changes.removed)
        time = before.time if before is not None and not changed else clock.format_time(writer.now)
        result = _reduced(self.managers, written, changes.removed, except_for=me)
        result.pop(me, None)
        return merged, {**result, me: _Entry(fields, writer.api_version, time)} if fields else result

    def _owned(self, mine: Tree, *, except_for: _Id) -> Tree:
        """What is somebody's, the server included: its own fields keep `metadata` from going with the last label."""
        owned = fieldset.union(_NEVER, mine)
        for key, entry in self.managers.items():
            if key != except_for:
                owned = fieldset.union(owned, entry.fields)
        return owned

    def _refuse(self, written: Tree, me: _Id) -> None:
        found = {
            key: shared
            for key, entry in self.managers.items()
            if key != me and (shared := fieldset.intersection(entry.fields, written))
        }
        if found:
            raise _Conflicts(found)


def _conflict(fields: Mapping[_Id, Tree]) -> Conflict:
    """409 in upstream's words, with one cause for each field and manager."""
    by_manager = {str(key): list(fieldset.paths(tree)) for key, tree in fields.items()}
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, paths in sorted(by_manager.items())
        for path in paths
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for manager, paths in sorted(by_manager.items()):
            lines += [f"conflicts with {manager}:", *(f"- {path}" for path in paths)]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return Conflict(message, details={"causes": causes})


def _last_applied(live: Object, schema: Schema | None) -> Tree:
    """The fields that client-side apply had set and that still have its values: kubectl may take them over."""
    text = meta.annotations(live).get(LAST_APPLIED)
    try:
        stated = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(stated, dict):
        return {}
    fields = fieldset.from_applied(stated, schema)
    for part in fieldset.compare(stated, live, schema):
        fields = fieldset.difference(fields, part)
    return fields


def _annotated(merged: Object, applied: Object) -> Object:
    """Keep the annotation of client-side apply in step, where there is one, so that one can go back to it."""
    if LAST_APPLIED not in meta.annotations(merged):
        return merged
    metadata = meta.metadata(merged)
    stated = _without_managed(applied)
    kept = {key: value for key, value in meta.annotations(applied).items() if key != LAST_APPLIED}
    if "annotations" in stated["metadata"]:
        stated["metadata"]["annotations"] = kept
    text = orjson.dumps(stated).decode()
    if len(text) > MAX_LAST_APPLIED_BYTES:
        return merged
    return {**merged, "metadata": {**metadata, "annotations": {**metadata["annotations"], LAST_APPLIED: text + "\n"}}}
