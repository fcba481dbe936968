"""Reading what pods refer to: ConfigMaps, Secrets, Services.

Each answer is kept for a second, so that twenty containers of one rollout cost one read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.kubelet.environment import Reference, Sources

FRESH_SECONDS = 1.0
REMEMBERED = 1024
_KINDS = {"configmap": core_v1.CONFIG_MAP, "secret": core_v1.SECRET}


class SourceReader:
    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[tuple[Any, ...], tuple[float, Any]] = {}

    async def read(self, namespace: str, references: Iterable[Reference], *, services: bool = False) -> Sources:
        """What is there of what is asked for. StatusError when the API server cannot be asked."""
        objects: dict[Reference, Object] = {}
        for reference in dict.fromkeys(references):
            found = await self._object(namespace, reference)
            if found is not None:
                objects[reference] = found
        return Sources(objects, await self._services(namespace) if services else ())

    async def _object(self, namespace: str, reference: Reference) -> Object | None:
        key = (namespace, *reference)
        kept = self._fresh(key)
        if kept is not None:
            return kept[0]  # type: ignore[no-any-return]  # what _keep put there
        kind = _KINDS[reference.kind]
        try:
            found: Object | None = {"kind": kind.kind, **await self._client.get(kind, reference.name, namespace)}
        except NotFound:
            found = None
        self._keep(key, found)
        return found

    async def _services(self, namespace: str) -> tuple[Object, ...]:
        key = (namespace, "services")
        kept = self._fresh(key)
        if kept is not None:
            return kept[0]  # type: ignore[no-any-return]  # what _keep put there
        found = list((await self._client.list(core_v1.SERVICE, namespace)).items)
        if namespace != "default":
            with contextlib.suppress(NotFound):
                found.append(await self._client.get(core_v1.SERVICE, "kubernetes", "default"))
        self._keep(key, tuple(found))
        return tuple(found)

    def _fresh(self, key: tuple[Any, ...]) -> tuple[Any] | None:
        at, value = self._kept.get(key, (-FRESH_SECONDS, None))
        return (value,) if key in self._kept and self._clock.monotonic() - at < FRESH_SECONDS else None

    def _keep(self, key: tuple[Any, ...], value: Any) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._clock.monotonic(), value)
        while len(self._kept) > REMEMBERED:
            self._kept.pop(next(iter(self._kept)))
