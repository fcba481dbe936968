"""Which kinds the server serves: the declared ones, and the custom ones that CustomResourceDefinitions add.

Whoever derives something from the kinds (discovery, OpenAPI, tables) keys its cache by `KindSet.version`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dabbawala.api.kind import Kind


class KindSet:
    """Kinds by (group, version, plural). Custom kinds are replaced as a whole; declared kinds never change."""

    def __init__(self, declared: Iterable[Kind]) -> None:
        self._declared = tuple(declared)
        self._custom: tuple[Kind, ...] = ()
        self._listeners: list[Callable[[], None]] = []
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        self.version = 0
        self._index()

    def _index(self) -> None:
        self._by_plural = {}
        self._by_kind = {}
        for kind in (*self._custom, *self._declared):
            self._by_plural[kind.group, kind.version, kind.plural] = kind
            self._by_kind[kind.api_version, kind.kind] = kind
        self.version += 1

    def all(self) -> tuple[Kind, ...]:
        return (*self._declared, *self._custom)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_plural.get((group, version, plural))

    def of(self, api_version: str, kind: str) -> Kind | None:
        """By the apiVersion and kind that objects carry."""
        return self._by_kind.get((api_version, kind))

    def of_resource(self, resource: str) -> Kind | None:
        """Any version of `deployments.apps`; the declared order decides."""
        return next((kind for kind in self.all() if kind.resource == resource), None)

    def set_custom(self, kinds: Iterable[Kind]) -> None:
        """Replace the custom kinds and tell the listeners. A declared kind wins over a custom namesake."""
        self._custom = tuple(kinds)
        self._index()
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the custom kinds."""
        self._listeners.append(listener)
