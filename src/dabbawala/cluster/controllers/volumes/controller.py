"""Two loops over the same plans: one by claim, one by volume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from dabbawala.api import core_v1, storage_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import NotFound
from dabbawala.cluster.controllers.volumes import plan as planning
from dabbawala.reconcile.apply import Writer
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan

Erase = Callable[[str], Awaitable[None]]
"""Removes the directory of a volume of the local provisioner; one that is gone counts as removed."""


class ClaimController:
    """Binds claims, provisions for them, and protects those in use."""

    name = "persistentvolume-binder"
    kind: Kind = core_v1.PERSISTENT_VOLUME_CLAIM

    def __init__(self, path_of: planning.PathOf) -> None:
        self._path_of = path_of

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (
            Watch(core_v1.PERSISTENT_VOLUME, claims_of_volume),
            Watch(storage_v1.STORAGE_CLASS, claims_of_class),
            Watch(core_v1.POD, claims_of_pod),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        claim = caches.get(core_v1.PERSISTENT_VOLUME_CLAIM, key)
        if claim is None:
            return Plan()
        name = claim["spec"].get("storageClassName")
        found = caches.get(storage_v1.STORAGE_CLASS, ObjectKey("", name)) if name else None
        users = caches.list(core_v1.POD, key.namespace) if meta.is_deleting(claim) else []
        around = planning.Surroundings(found, caches.list(core_v1.PERSISTENT_VOLUME), users)
        return planning.plan_claim(claim, around, self._path_of)


class VolumeController:
    """Keeps the phase of volumes, and reclaims those whose claims are gone."""

    name = "persistentvolume-reclaimer"
    kind: Kind = core_v1.PERSISTENT_VOLUME

    def __init__(self, client: Writer, erase: Erase, path_of: planning.PathOf) -> None:
        self._client = client
        self._erase = erase
        self._path_of = path_of

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(core_v1.PERSISTENT_VOLUME_CLAIM, volumes_of_claim),)

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        volume = caches.get(core_v1.PERSISTENT_VOLUME, key)
        if volume is None:
            return Plan()
        claim = await self._claim(volume, caches)
        erased = planning.is_to_be_erased(volume, claim, self._path_of)
        if erased:
            await self._erase(volume["spec"]["hostPath"]["path"])
        return planning.plan_volume(volume, claim, data_removed=erased)

    async def _claim(self, volume: Object, caches: Caches) -> Object | None:
        """The claim that the volume names. That it is gone is believed only when the API itself says so: the cache of
        claims may be behind that of volumes, and erased data does not come back."""
        key = planning.claim_key(volume)
        if key is None:
            return None
        claim = caches.get(core_v1.PERSISTENT_VOLUME_CLAIM, key)
        if claim is None:
            try:
                claim = await self._client.get(core_v1.PERSISTENT_VOLUME_CLAIM, key.name, key.namespace)
            except NotFound:
                return None
        wanted = volume["spec"]["claimRef"].get("uid")
        return claim if wanted in (None, "", meta.uid(claim)) else None


def claims_of_volume(volume: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The claim that the volume names; a free volume may suit any claim that still waits."""
    key = planning.claim_key(volume)
    if key is not None:
        yield key
        return
    for claim in caches.list(core_v1.PERSISTENT_VOLUME_CLAIM):
        if not claim["spec"].get("volumeName"):
            yield meta.key(claim)


def claims_of_class(storage_class: Object, caches: Caches) -> Iterable[ObjectKey]:
    for claim in caches.list(core_v1.PERSISTENT_VOLUME_CLAIM):
        if claim["spec"].get("storageClassName") == meta.name(storage_class) and not claim["spec"].get("volumeName"):
            yield meta.key(claim)


def claims_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    for name in planning.claims_of(pod):
        yield ObjectKey(meta.namespace(pod), name)


def volumes_of_claim(claim: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The volume that the claim names, and those that name the claim."""
    name = claim["spec"].get("volumeName")
    if name:
        yield ObjectKey("", name)
    for volume in caches.list(core_v1.PERSISTENT_VOLUME):
        if planning.claim_key(volume) == meta.key(claim):
            yield meta.key(volume)
