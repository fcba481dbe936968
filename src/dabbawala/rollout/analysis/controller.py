"""AnalysisRuns: asks the providers for what is due and writes what it comes to.

Measurements of one run are taken side by side, each with its provider's own timeout. Values of Secrets are read when
they are needed, never cached and never written.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from dabbawala.api import argoproj_v1alpha1, batch_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.client.dialer import DialFailed
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Action, Plan
from dabbawala.rollout import keys
from dabbawala.rollout.analysis import arguments, carried, jobs, providers, verdict
from dabbawala.rollout.analysis import plan as planning
from dabbawala.rollout.analysis.plan import Task
from dabbawala.rollout.analysis.providers import Dialer, Measured, NotMeasured

log = logging.getLogger("dabbawala.rollout.analysis")


class Reader(Protocol):
    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object: ...


class AnalysisRunController:
    """`instance_id` is the label value of the runs that are ours; empty for those without the label."""

    name = "analysis"
    kind = argoproj_v1alpha1.ANALYSIS_RUN

    def __init__(self, client: Reader, dialer: Dialer, clock_: Clock, *, instance_id: str = "") -> None:
        self.watches = (
            Watch(batch_v1.JOB, controller_owner(argoproj_v1alpha1.ANALYSIS_RUN)),
            Watch(core_v1.POD, lambda pod, caches: ()),
        )
        self._client = client
        self._dialer = dialer
        self._clock = clock_
        self._instance = instance_id

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        run = caches.get(self.kind, key)
        if run is None or meta.is_deleting(run) or meta.labels(run).get(keys.INSTANCE_ID, "") != self._instance:
            return Plan()
        if planning.is_finished(run):
            return planning.retire(run, now)
        if not (run.get("status") or {}).get("startedAt") or planning.invalid(run):
            return planning.write(run, planning.begin(run, now), now)
        tasks = planning.due(run, now)
        extra: list[Action] = []
        taken = await self._take(run, tasks, caches, extra)
        status = planning.conclude(run, taken, self._clock.now())
        made = planning.write(run, status, self._clock.now())
        return Plan((*extra, *made.actions), made.requeue_after)

    async def _take(self, run: Object, tasks: list[Task], caches: Caches, extra: list[Action]) -> dict[str, Object]:
        """A measurement for each task, by metric name; what they need done in the API goes to `extra`."""
        secrets: dict[str, str] = {}
        try:
            secrets = await self._secrets(run)
            resolved = arguments.values(run, secrets)
        except (arguments.Unresolved, StatusError) as wrong:
            text = f"Unable to resolve metric arguments: {wrong}"
            return {task.name: _error(task, text, self._stamp()) for task in tasks}
        found = await asyncio.gather(*(self._one(run, task, resolved, caches, extra) for task in tasks))
        ours = (jobs.JOB_NAME, jobs.JOB_NAMESPACE)
        hidden = [arguments.hidden(item, secrets.values(), known=ours) for item in found]
        return {task.name: item for task, item in zip(tasks, hidden, strict=True)}

    async def _one(
        self, run: Object, task: Task, known: Mapping[str, str], caches: Caches, extra: list[Action]
    ) -> Object:
        started = self._stamp()
        try:
            metric = arguments.substituted(task.written, known)
            if carried.kind(metric) == carried.JOB:
                return self._job(run, replace(task, metric=metric), caches, extra)
            provider = providers.PROVIDERS[carried.kind(metric)]
            measured = await provider(metric, self._dialer, self._clock.now())
            return _finished(measured, started, self._stamp())
        except (arguments.Unresolved, NotMeasured, DialFailed, ValueError, KeyError, TypeError) as wrong:
            log.info("%s: metric %s could not be measured: %s", meta.key(run), task.name, wrong)
            return _error(task, str(wrong) or type(wrong).__name__, self._stamp(), started)

    def _job(self, run: Object, task: Task, caches: Caches, extra: list[Action]) -> Object:
        if task.begun is None:
            result = planning.results(run).get(task.name) or {}
            number = int(result.get("count") or 0) + int(result.get("error") or 0) + 1
            job = jobs.create(run, task.metric, number)
            extra.append(job)
            return jobs.begun(job, self._stamp())
        key = jobs.key(task.begun)
        found = caches.get(batch_v1.JOB, key)
        if task.stop:
            ended, deletion = jobs.stop(task.begun, found, self._stamp())
            extra.extend([deletion] if deletion is not None else [])
            return ended
        pods = caches.list(core_v1.POD, key.namespace, {"job-name": key.name})
        return jobs.finished(task.begun, found, pods, self._stamp())

    async def _secrets(self, run: Object) -> dict[str, str]:
        """Argument -> value. Raises Unresolved, StatusError."""
        found: dict[str, str] = {}
        for argument, name, key in arguments.secret_references(run):
            secret = await self._client.get(core_v1.SECRET, name, meta.namespace(run))
            data = (secret.get("data") or {}).get(key)
            if data is None:
                raise arguments.Unresolved(f"key '{key}' does not exist in secret '{name}'")
            try:
                found[argument] = base64.b64decode(data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as wrong:
                raise arguments.Unresolved(f"key '{key}' of secret '{name}' is no text: {wrong}") from wrong
        return found

    def _stamp(self) -> str:
        return clock.format_time(self._clock.now())


def _finished(measured: Measured, started: str, finished: str) -> Object:
    made: Object = {"phase": measured.phase, "startedAt": started, "finishedAt": finished}
    if measured.value:
        made["value"] = measured.value
    if measured.message:
        made["message"] = measured.message
    if measured.metadata:
        made["metricMetadata"] = measured.metadata
    return made


def _error(task: Task, message: str, finished: str, started: str = "") -> Object:
    """A measurement that failed to be one. A running Job that can no longer be resolved ends as an error too."""
    begun = task.begun or {"startedAt": started or finished}
    return {**begun, "phase": verdict.ERROR, "message": message, "finishedAt": finished}
