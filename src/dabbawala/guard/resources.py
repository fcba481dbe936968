"""From an object's apiVersion and kind to the resource that policies, roles and requests name, without a cluster.

Asked in this order: definitions among the scanned objects, the kinds that the product declares, a table of Kubernetes'
own kinds and of the ecosystem; what none of them knows gets the plural that English suggests and is marked as guessed.
A second table says which API versions Kubernetes has removed, and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import schema
from dabbawala.apimachinery.meta import Object

_DATA = Path(__file__).with_name("data")
_CONSTRAINTS = "constraints.gatekeeper.sh"
_NONE = "-"
_OWN_GROUPS = frozenset(
    (
        "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
        "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io",
        "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
        "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
    )
)  # fmt: skip


class Resource(NamedTuple):
    """What an object is to the API. `guessed` means that nothing said so."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    guessed: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


Release = tuple[int, int]
"""Major and minor version of Kubernetes."""


class Lifecycle(NamedTuple):
    """An API version on its way out. Releases are (major, minor); `removed` is None while it is still served,
    `replacement` empty where there is none."""

    kind: str
    api_version: str
    deprecated: tuple[int, int]
    removed: tuple[int, int] | None
    replacement: str
    available: tuple[int, int] | None

    def state(self, target: tuple[int, int]) -> str:
        """`removed`, `deprecated` or `served` in a release."""
        if self.removed is not None and target >= self.removed:
            return "removed"
        return "deprecated" if target >= self.deprecated else "served"


class _Known(NamedTuple):
    plural: str
    namespaced: bool


def split(api_version: str) -> tuple[str, str]:
    """Group and version; the core group is empty."""
    group, slash, version = api_version.rpartition("/")
    return (group, version) if slash else ("", api_version)


class Resources:
    """The kinds that a scan knows: everybody's, and those that its own objects define. `target` is the release that
    must serve them; None for the newest that is known."""

    def __init__(self, definitions: Iterable[Object] = (), *, target: Release | None = None) -> None:
        self.target = target
        self._defined: dict[tuple[str, str], _Known] = {}
        for definition in definitions:
            self.define(definition)

    def define(self, definition: Object) -> None:
        """Learn from a CustomResourceDefinition; anything else is ignored."""
        spec = definition.get("spec")
        if not isinstance(spec, dict) or definition.get("kind") != "CustomResourceDefinition":
            return
        names = spec.get("names")
        if not isinstance(names, dict):
            return
        kind, plural, group = names.get("kind"), names.get("plural"), spec.get("group")
        if isinstance(kind, str) and isinstance(plural, str) and isinstance(group, str):
            self._defined[group, kind] = _Known(plural, spec.get("scope") != "Cluster")

    def of(self, api_version: str, kind: str) -> Resource:
        """The resource of an object."""
        group, version = split(api_version)
        known = self._defined.get((group, kind)) or _declared().get((group, kind)) or _table().get((group, kind))
        if known is not None:
            return Resource(group, version, kind, known.plural, known.namespaced)
        if group == _CONSTRAINTS:
            return Resource(group, version, kind, kind.lower(), namespaced=False)
        return Resource(group, version, kind, plural_of(kind), not kind.startswith("Cluster"), guessed=True)

    def kind_of(self, group: str, plural: str) -> str | None:
        """The kind that a resource's name stands for."""
        for table in (self._defined, _declared(), _table()):
            for (known_group, kind), known in table.items():
                if known_group == group and known.plural == plural:
                    return kind
        return None


@lru_cache(maxsize=1)
def _declared() -> Mapping[tuple[str, str], _Known]:
    return {(kind.group, kind.kind): _Known(kind.plural, kind.namespaced) for kind in KINDS}


@lru_cache(maxsize=1)
def _table() -> Mapping[tuple[str, str], _Known]:
    rows = (line.split() for line in _lines("resources.txt"))
    return {
        ("" if group == _NONE else group, kind): _Known(plural, scope == "N") for group, kind, plural, scope in rows
    }


def _lines(file: str) -> list[str]:
    text = (_DATA / file).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def plural_of(kind: str) -> str:
    """What English makes of a kind's name, as most authors of definitions do."""
    name = kind.lower()
    if name.endswith("y") and name[-2:-1] not in tuple("aeiou"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "z", "ch", "sh")) else f"{name}s"


@lru_cache(maxsize=1)
def lifecycles() -> Mapping[tuple[str, str], Lifecycle]:
    """API versions of Kubernetes' own kinds that are deprecated or removed, by (apiVersion, kind)."""
    found = {}
    for line in _lines("removed_apis.txt"):
        kind, version, deprecated, removed, replacement, available = line.split()
        first = release(deprecated)
        assert first is not None
        found[version, kind] = Lifecycle(
            kind, version, first, release(removed), "" if replacement == _NONE else replacement, release(available)
        )
    return found


def release(text: str) -> tuple[int, int] | None:
    """`1.22`, `v1.22` or `1.22.3` as (1, 22); None for anything else."""
    parts = text.removeprefix("v").split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return None
    return int(parts[0]), int(parts[1])


def is_unknown_version(api_version: str, kind: str) -> bool:
    """Whether a group that is Kubernetes' own has no such version of the kind in the newest release we know, which is
    `schema.kubernetes_version()`, and never said so with notice (`lifecycles`)."""
    group, version = split(api_version)
    if group not in _OWN_GROUPS or (api_version, kind) in lifecycles():
        return False
    return not schema.definition_of(group, version, kind)
