"""The objects of a cluster, page by page, as an inventory that stays small.

What nobody asks about is not kept: who manages which field, and what is in Secrets. A Secret's values are shown to
`Reader.look` while its page is here, and are gone afterwards; certificates, which are public, stay for the checks of
what expires. What the user may not list is a problem that names the missing permission.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dabbawala.api import core_v1
from dabbawala.api.apiextensions_v1 import CUSTOM_RESOURCE_DEFINITION
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client import client
from dabbawala.client.client import Client
from dabbawala.guard.findings import Place, Problem
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.live import discovery
from dabbawala.guard.live.discovery import CALLS_MAX

STARTS_MAX = 3
"""Lists that are begun anew because the server forgot them half-way."""
_FIRST = (CUSTOM_RESOURCE_DEFINITION.resource, core_v1.NAMESPACE.resource)
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CERTIFICATE, _PRIVATE = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"

Look = Callable[[Object, Item, Object | None], None]
"""Gets a whole Secret, the item that is kept of it, and its Namespace where that is known."""


@dataclass(slots=True)
class Reading:
    """What was read. `whole` says that nothing is missing: then what is not here does not exist."""

    inventory: Inventory = field(default_factory=Inventory)
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True
    namespaces: dict[str, Object] = field(default_factory=dict)


def _look_away(secret: Object, item: Item, namespace: Object | None) -> None:
    return None


@dataclass(slots=True)
class Reader:
    """Reads a cluster, or with `namespace` one namespace and what is in none; only `kinds`, where some are named."""

    client: Client
    namespace: str = ""
    look: Look = _look_away
    kinds: frozenset[str] = frozenset()

    async def read(self) -> Reading:
        """Raises StatusError when the cluster does not answer at all; everything else is among the problems."""
        served = await discovery.look(self.client)
        wanted = [kind for kind in served.kinds if not self.kinds or kind.kind in self.kinds]
        found = Reading(problems=list(served.problems), whole=not (served.problems or self.kinds or self.namespace))
        _introduce(found.inventory, wanted)
        for kind in [kind for kind in wanted if kind.resource in _FIRST]:
            await self._take(kind, found)
        gate = asyncio.Semaphore(CALLS_MAX)
        rest = [kind for kind in wanted if kind.resource not in _FIRST]
        async with asyncio.TaskGroup() as tasks:
            for kind in rest:
                tasks.create_task(self._in_turn(kind, found, gate))
        return found

    async def _in_turn(self, kind: Kind, found: Reading, gate: asyncio.Semaphore) -> None:
        async with gate:
            await self._take(kind, found)

    async def _take(self, kind: Kind, found: Reading) -> None:
        try:
            await self._list(kind, found)
        except status.StatusError as refused:
            found.whole = False
            found.problems.append(self._refusal(kind, refused))

    async def _list(self, kind: Kind, found: Reading) -> None:
        """All pages; from the beginning where the server has forgotten the list, and then only what is new."""
        if kind is core_v1.NAMESPACE and self.namespace:
            self._keep(kind, [await self.client.get(kind, self.namespace)], found, set())
            return
        namespace = self.namespace if kind.namespaced else ""
        known: set[meta.ObjectKey] = set()
        for start in range(STARTS_MAX):
            try:
                async for page in client.pages(self.client, kind, namespace):
                    self._keep(kind, page.items, found, known)
                return
            except status.Expired:
                if start == STARTS_MAX - 1:
                    raise

    def _keep(self, kind: Kind, items: Sequence[Object], found: Reading, known: set[meta.ObjectKey]) -> None:
        for obj in items:
            if meta.key(obj) in known:
                continue
            known.add(meta.key(obj))
            secret = kind is core_v1.SECRET
            item = found.inventory.add(_kept(_without_values(obj) if secret else obj))
            if secret:
                self.look(obj, item, found.namespaces.get(item.namespace))
            elif kind is core_v1.NAMESPACE:
                found.namespaces[item.name] = obj

    def _refusal(self, kind: Kind, refused: status.StatusError) -> Problem:
        where = f" in namespace {self.namespace}" if self.namespace and kind.namespaced else ""
        if isinstance(refused, status.NotFound) and kind is core_v1.NAMESPACE:
            return Problem(Place(), "not-read", f"there is no namespace {self.namespace}", "Check the name.")
        if not isinstance(refused, status.Forbidden):
            message = f"{kind.resource} cannot be read{where}: {refused.message}"
            return Problem(Place(), "not-read", message, "Scan again when the API server answers.")
        message = f"{kind.resource} may not be listed{where}, so nothing is known of them: {refused.message}"
        scope = "a Role" if where else "a ClusterRole"
        group = f'"{kind.group}"'
        remedy = f"Grant the verb list on {kind.plural} in the API group {group} by {scope}, or see less with -n."
        return Problem(Place(), "not-permitted", message, remedy)


def _introduce(inventory: Inventory, kinds: Iterable[Kind]) -> None:
    """Let the inventory know the resources that only this cluster has."""
    for kind in kinds:
        names = {"kind": kind.kind, "plural": kind.plural}
        scope = "Namespaced" if kind.namespaced else "Cluster"
        inventory.resources.define(
            {"kind": "CustomResourceDefinition", "spec": {"group": kind.group, "names": names, "scope": scope}}
        )


def _kept(obj: Object) -> Object:
    """Without the fields that managers own; when they last wrote stays."""
    managed = meta.metadata(obj).get("managedFields")
    if not managed:
        return obj
    entries = [{name: value for name, value in entry.items() if name != "fieldsV1"} for entry in managed]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


def _without_values(secret: Object) -> Object:
    """A Secret whose keys are known and whose values are not, but for certificates."""
    data = {key: value if _is_public(str(value)) else "" for key, value in (secret.get("data") or {}).items()}
    metadata = dict(meta.metadata(secret))
    if _APPLIED in meta.annotations(secret):
        metadata["annotations"] = {**meta.annotations(secret), _APPLIED: ""}
    kept = {name: value for name, value in secret.items() if name != "stringData"}
    return {**kept, "metadata": metadata, **({"data": data} if data else {})}


def _is_public(value: str) -> bool:
    try:
        text = base64.b64decode(value)
    except (binascii.Error, ValueError):
        return False
    return _CERTIFICATE in text and _PRIVATE not in text
