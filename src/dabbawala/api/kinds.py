"""All the kinds, and how to find one.

The order of groups and versions is the order of discovery: clients prefer what comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dabbawala.api import (
    apiextensions_v1,
    apps_v1,
    argoproj_v1alpha1,
    authentication_v1,
    authorization_v1,
    batch_v1,
    coordination_v1,
    core_v1,
    discovery_v1,
    events_v1,
    istio_networking_v1,
    metrics_v1beta1,
    node_v1,
    policy_v1,
    rbac_v1,
    scheduling_v1,
    storage_v1,
)
from dabbawala.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    *core_v1.KINDS,
    *apps_v1.KINDS,
    *events_v1.KINDS,
    *authentication_v1.KINDS,
    *authorization_v1.KINDS,
    *batch_v1.KINDS,
    *policy_v1.KINDS,
    *rbac_v1.KINDS,
    *storage_v1.KINDS,
    *apiextensions_v1.KINDS,
    *scheduling_v1.KINDS,
    *coordination_v1.KINDS,
    *node_v1.KINDS,
    *discovery_v1.KINDS,
    *argoproj_v1alpha1.KINDS,
    *istio_networking_v1.KINDS,
    *metrics_v1beta1.KINDS,
)


class Kinds:
    """A set of kinds that can be looked up by resource and by kind. Immutable; `adding` and `without` give new sets."""

    def __init__(self, kinds: Iterable[Kind] = KINDS) -> None:
        self._kinds = tuple(kinds)
        self._by_resource = {(kind.group, kind.version, kind.plural): kind for kind in self._kinds}
        self._by_kind = {(kind.group, kind.version, kind.kind): kind for kind in self._kinds}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds)

    def by_resource(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def of(self, api_version: str, kind: str) -> Kind | None:
        """The kind of an object's `apiVersion` and `kind`."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def preferred(self, group: str, kind: str) -> Kind | None:
        """The first version in which the group serves this kind."""
        return next((item for item in self._kinds if item.group == group and item.kind == kind), None)

    def groups(self) -> dict[str, dict[str, list[Kind]]]:
        """Group -> version -> kinds, in the order of discovery."""
        found: dict[str, dict[str, list[Kind]]] = {}
        for kind in self._kinds:
            found.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
        return found

    def adding(self, added: Iterable[Kind]) -> Kinds:
        return Kinds((*self._kinds, *added))

    def without(self, group: str, plural: str) -> Kinds:
        return Kinds(kind for kind in self._kinds if (kind.group, kind.plural) != (group, plural))


BUILT_IN = Kinds()


def by_resource(group: str, version: str, plural: str) -> Kind | None:
    return BUILT_IN.by_resource(group, version, plural)


def by_kind(group: str, version: str, kind: str) -> Kind | None:
    return BUILT_IN.by_kind(group, version, kind)


def of(api_version: str, kind: str) -> Kind | None:
    return BUILT_IN.of(api_version, kind)
