"""Reads a policy and the schemas of what it is about from the caches and plans its status."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.api import apiextensions_v1, kinds
from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import meta, schema
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.admissionpolicy import plan as planning
from dabbawala.policy.type_checking import Typed, resources
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan


class AdmissionPolicyController:
    name = "validatingadmissionpolicy-status-controller"
    kind: Kind = v1.VALIDATING_ADMISSION_POLICY
    watches: tuple[Watch, ...]

    def __init__(self) -> None:
        self.watches = (Watch(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION, _about),)

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        policy = caches.get(v1.VALIDATING_ADMISSION_POLICY, key)
        if policy is None or meta.is_deleting(policy):
            return Plan()
        custom = list(_custom(caches))

        def by_resource(group: str, version: str, plural: str) -> Typed | None:
            found = kinds.by_resource(group, version, plural)
            own = (typed for name, typed in custom if (typed.group, typed.version, name) == (group, version, plural))
            return _typed(found) if found else next(own, None)

        def by_kind(api_version: str, kind: str) -> Typed | None:
            group, _, version = api_version.rpartition("/")
            found = kinds.of(api_version, kind)
            own = (typed for _, typed in custom if typed[:3] == (group, version, kind))
            return _typed(found) if found else next(own, None)

        # Types are made from whole schemas: too long for the loop that everybody shares.
        return await asyncio.to_thread(planning.plan, policy, by_resource, by_kind)


def _about(definition: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The policies about kinds of the definition's group, or with parameters of it."""
    group = (definition.get("spec") or {}).get("group")
    for policy in caches.list(v1.VALIDATING_ADMISSION_POLICY):
        api_version = ((policy.get("spec") or {}).get("paramKind") or {}).get("apiVersion") or ""
        if api_version.startswith(f"{group}/") or any(named[0] == group for named in resources(policy)):
            yield meta.key(policy)


def _typed(kind: Kind) -> Typed | None:
    found = schema_of(kind)
    return Typed(kind.group, kind.version, kind.kind, found) if found is not None else None


def _custom(caches: Caches) -> Iterator[tuple[str, Typed]]:
    """Plural and schema of each version of each custom kind."""
    for definition in caches.list(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION):
        spec = definition["spec"]
        names = spec["names"]
        for version in spec.get("versions") or ():
            root = (version.get("schema") or {}).get("openAPIV3Schema")
            if root:
                found = schema.from_open_api(root)
                yield names["plural"], Typed(spec["group"], version["name"], names["kind"], found)
