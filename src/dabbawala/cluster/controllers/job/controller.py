"""Reads a Job and its pods from the caches and plans for them."""

from __future__ import annotations

from datetime import datetime

from dabbawala.api import batch_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.controllers.job import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Plan


class JobController:
    name = "job-controller"
    kind: Kind = batch_v1.JOB

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(core_v1.POD, controller_owner(batch_v1.JOB)),)

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        job = caches.get(batch_v1.JOB, key)
        if job is None:
            return Plan()
        return planning.plan(job, caches.owned_by(core_v1.POD, meta.uid(job)), now)
