"""CustomResourceDefinitions at work: names accepted, kinds served, objects cleaned up before a definition goes.

One task looks at all definitions whenever one has changed. Kinds are served before the status that says so can be
seen, so that whoever waits for `Established` finds the kind. A definition of a kind that is built in (Argo's, say, when
somebody installs Argo's own manifests) is accepted, and the built-in kind goes on serving.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from dabbawala.api import apiextensions_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver import custom_kinds
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.custom_kinds import Name
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.cluster.store import errors

log = logging.getLogger("dabbawala.apiserver.crds")

CRD = apiextensions_v1.CUSTOM_RESOURCE_DEFINITION
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_CLEANUP_SECONDS = 0.2
_RETRY_SECONDS = 1.0


class CleanupFinalizer:
    """A mutator: a new definition stays until its objects are gone."""

    async def mutate(self, admission: Admission) -> None:
        if admission.operation != "CREATE" or admission.kind.resource != CRD.resource or admission.object is None:
            return
        finalizers = admission.object["metadata"].setdefault("finalizers", [])
        if CLEANUP not in finalizers:
            finalizers.append(CLEANUP)


class CustomResources:
    """Keeps the custom kinds of `core.kinds` and the status of all definitions. `client` writes as the server."""

    def __init__(self, core: Core, client: Client) -> None:
        self._core = core
        self._client = client
        self._made: dict[tuple[str, int, bool], list[Kind]] = {}

    def load(self) -> None:
        """Serve what is stored, before the first request."""
        self._serve(self._definitions())

    async def run(self) -> None:
        """Until cancelled."""
        subscription = self._core.store.watch(CRD.resource)
        while True:
            wait = await self._settle_all()
            try:
                if wait is None:
                    await subscription.wait()
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(subscription.wait(), wait)
                while subscription.take():
                    pass
            except errors.Compacted:
                subscription = self._core.store.watch(CRD.resource)
            except errors.Closed:
                return

    async def _settle_all(self) -> float | None:
        """One pass over all definitions; seconds until the next is due without a change, if so."""
        try:
            return await self._settle()
        except status.Conflict:
            return 0.0
        except status.StatusError as error:
            log.warning("cannot settle the custom resource definitions: %s", error)
            return _RETRY_SECONDS

    async def _settle(self) -> float | None:
        definitions = self._definitions()
        wanted: list[tuple[Object, Object]] = []
        taken = self._built_in_names()
        for definition in definitions:
            group = definition["spec"]["group"]
            others = [] if self._is_built_in(definition) else taken.get(group, [])
            after = custom_kinds.settled(definition, others, self._core.clock.now())
            if after != definition.get("status"):
                wanted.append((definition, after))
            taken.setdefault(group, []).extend(custom_kinds.names_of(after.get("acceptedNames") or {}))
        changed = {meta.uid(definition): after for definition, after in wanted}
        self._serve([{**item, "status": changed.get(meta.uid(item), item.get("status"))} for item in definitions])
        for definition, after in wanted:
            await self._client.update(CRD, {**definition, "status": after}, "status")
        leaving = [item for item in definitions if meta.is_deleting(item) and CLEANUP in meta.finalizers(item)]
        gone = [await self._clean_up(definition) for definition in leaving]
        return None if all(gone) else _CLEANUP_SECONDS

    def _definitions(self) -> list[Object]:
        """Established ones first, then the oldest: whoever came first keeps its names."""
        listed = list(self._core.objects.list(CRD.resource))
        return sorted(
            listed,
            key=lambda item: (
                not conditions.is_true(item, custom_kinds.ESTABLISHED),
                item["metadata"].get("creationTimestamp", ""),
                meta.name(item),
            ),
        )

    def _serve(self, definitions: list[Object]) -> None:
        made: dict[tuple[str, int, bool], list[Kind]] = {}
        for definition in definitions:
            if conditions.is_true(definition, custom_kinds.ESTABLISHED) and not self._is_built_in(definition):
                key = (meta.uid(definition), meta.generation(definition), meta.is_deleting(definition))
                made[key] = self._made.get(key) or custom_kinds.kinds(definition)
        if made.keys() != self._made.keys():
            self._made = made
            self._core.kinds.set_custom([kind for listed in made.values() for kind in listed])

    def _declared(self) -> list[Kind]:
        custom = {id(kind) for listed in self._made.values() for kind in listed}
        return [kind for kind in self._core.kinds.all() if id(kind) not in custom]

    def _is_built_in(self, definition: Object) -> bool:
        spec = definition["spec"]
        named = (spec["group"], spec["names"]["plural"])
        return any((kind.group, kind.plural) == named for kind in self._declared())

    def _built_in_names(self) -> dict[str, list[Name]]:
        taken: dict[str, list[Name]] = {}
        for kind in self._declared():
            names = {
                "plural": kind.plural,
                "singular": kind.singular or kind.kind.lower(),
                "kind": kind.kind,
                "listKind": kind.list_kind,
                "shortNames": kind.short_names,
            }
            taken.setdefault(kind.group, []).extend(custom_kinds.names_of(names))
        return taken

    async def _clean_up(self, definition: Object) -> bool:
        """Delete what is left of the kind; let the definition go once nothing is. True when it may go."""
        if not self._is_built_in(definition):
            kind = custom_kinds.kinds(definition)[0] if custom_kinds.kinds(definition) else None
            left = list(self._core.objects.list(kind.store_resource)) if kind else []
            for obj in left:
                if kind is not None and not meta.is_deleting(obj):
                    with contextlib.suppress(status.NotFound):
                        await self._client.delete(kind, meta.name(obj), meta.namespace(obj))
            if kind is not None and self._core.objects.count(kind.store_resource):
                return False
        finalizers = [item for item in meta.finalizers(definition) if item != CLEANUP]
        body = {"metadata": {"finalizers": finalizers, "uid": meta.uid(definition)}}
        with contextlib.suppress(status.NotFound):
            await self._client.patch(CRD, meta.name(definition), "", body)
        return True
