"""From a CustomResourceDefinition to kinds, and whether its names are free. Pure.

Source: apiextensions-apiserver pkg/controller/status/naming_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from dabbawala.api import cells, object_meta, preparation
from dabbawala.api.kind import ALL_VERBS, Column, Kind, Scale
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.discovery import version_rank

ESTABLISHED = "Established"
NAMES_ACCEPTED = "NamesAccepted"
TERMINATING = "Terminating"


class Name(NamedTuple):
    """A name that a definition takes within its group. Plural, singular and short names share one space, kinds
    another."""

    space: str
    value: str
    field: str


def kinds(definition: Object) -> list[Kind]:
    """One kind for each served version, the preferred first; all are stored in the form of the storage version."""
    versions = definition["spec"].get("versions") or []
    stored = _kind(definition, next(version for version in versions if version.get("storage")), None)
    served = sorted((item for item in versions if item.get("served")), key=lambda item: version_rank(item["name"]))
    return [stored if item.get("storage") else _kind(definition, item, stored) for item in served]


def _kind(definition: Object, version: Mapping[str, Any], stored: Kind | None) -> Kind:
    spec = definition["spec"]
    names, group = spec["names"], spec["group"]
    parts = version.get("subresources") or {}
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    api_version = f"{group}/{version['name']}"
    creatable = not meta.is_deleting(definition)
    return Kind(
        group=group,
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec["scope"] == "Namespaced",
        verbs=ALL_VERBS if creatable else tuple(verb for verb in ALL_VERBS if verb != "create"),
        subresources=frozenset(name for name in ("status", "scale") if parts.get(name) is not None),
        scale=_scale(parts.get("scale")),
        open_api=partial(_same, schema),
        columns=_columns(version.get("additionalPrinterColumns") or ()),
        selectable_fields={
            field["jsonPath"].lstrip("."): field["jsonPath"] for field in version.get("selectableFields") or ()
        },
        prepare=preparation.status_apart(None) if parts.get("status") is not None else _as_it_is,
        validate=object_meta.validate(custom=True),
        custom=True,
        stored_as=stored,
        to_stored=partial(_relabelled, stored.api_version) if stored else None,
        from_stored=partial(_relabelled, api_version),
    )


def _same(schema: Mapping[str, object]) -> Mapping[str, object]:
    return schema


def _as_it_is(new: Object, old: Object | None) -> None:
    return None


def _relabelled(api_version: str, obj: Object) -> Object:
    return {**obj, "apiVersion": api_version}


def _scale(given: Mapping[str, Any] | None) -> Scale | None:
    if given is None:
        return None
    return Scale(given["specReplicasPath"], given["statusReplicasPath"], given.get("labelSelectorPath") or "")


def _columns(given: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    if not given:
        return (cells.NAME, cells.AGE)
    listed = (
        Column(
            item["name"],
            path=item["jsonPath"],
            type=item["type"],
            format=item.get("format") or "",
            priority=item.get("priority") or 0,
            description=item.get("description") or "",
        )
        for item in given
    )
    return (cells.NAME, *listed)


def names_of(names: Mapping[str, Any]) -> Iterator[Name]:
    """What a definition's `names` take."""
    for field, space in (("plural", "resource"), ("singular", "resource"), ("kind", "kind"), ("listKind", "kind")):
        if names.get(field):
            yield Name(space, names[field], field)
    for short in names.get("shortNames") or ():
        yield Name("resource", short, "shortNames")


def settled(definition: Object, taken: Iterable[Name], now: datetime) -> Object:
    """The status a definition ought to have, given the names that others in its group have taken."""
    occupied = {(name.space, name.value) for name in taken}
    names = definition["spec"]["names"]
    clash = next((name for name in names_of(names) if (name.space, name.value) in occupied), None)
    state: Object = dict(definition.get("status") or {})
    told = state.get("conditions") or []
    for condition in _verdict(clash, already=conditions.is_true(definition, ESTABLISHED)):
        told = conditions.put(told, condition, now)
    if meta.is_deleting(definition):
        message = "CustomResource deletion is in progress"
        told = conditions.put(told, Condition(TERMINATING, "True", "InstanceDeletionInProgress", message), now)
    if clash is None:
        state["acceptedNames"] = names
    return {**state, "conditions": told}


def _verdict(clash: Name | None, *, already: bool) -> tuple[Condition, Condition]:
    """Once established, a definition stays so: later changes of names that clash are merely not accepted."""
    if clash is None:
        accepted = Condition(NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found")
        reason, message = "InitialNamesAccepted", "the initial names have been accepted"
        return accepted, Condition(ESTABLISHED, "True", reason, message)
    field = clash.field.removesuffix("s")
    conflict = f"{field[0].upper()}{field[1:]}Conflict"
    accepted = Condition(NAMES_ACCEPTED, "False", conflict, f'"{clash.value}" is already in use')
    if already:
        reason, message = "InitialNamesAccepted", "the initial names have been accepted"
        return accepted, Condition(ESTABLISHED, "True", reason, message)
    return accepted, Condition(ESTABLISHED, "False", "NotAccepted", "not all names are accepted")
