"""Asking one run of a container again and again, and keeping its Health up to date.

Before the startup probe has passed the other two rest. Until a container has started, and until it is ready for the
first time, it is asked every second if its period is longer: it serves as soon as it can. Failures still count once a
period, so thresholds mean what the manifest says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.observed import Health
from dabbawala.cluster.kubelet.probes.verdict import Answer, Kind, NotAsked, Tally, Timing

log = logging.getLogger("dabbawala.kubelet")

Ask = Callable[[Object, Mapping[str, Any], float], Awaitable[Answer]]
"""Asks a container once: container, probe, timeout in seconds. Raises NotAsked."""

EAGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reports:
    """Who hears: a changed Health, and each failed answer (kind, text) for an event."""

    changed: Callable[[Health], None]
    failed: Callable[[Kind, str], None]


class Prober:
    """The probes of one run. `health` is true to the answers so far; `run` asks until cancelled."""

    def __init__(self, item: Object, attempt: int, ask: Ask, clock: Clock, reports: Reports) -> None:
        self._item = item
        self._ask = ask
        self._clock = clock
        self._reports = reports
        probes = {kind: pod_spec.probe(item, kind) for kind in ("startup", "readiness", "liveness")}
        self._probes: dict[str, Mapping[str, Any]] = {kind: one for kind, one in probes.items() if one}
        self.health = Health(
            attempt, started="startup" not in self._probes, ready=not {"startup", "readiness"} & self._probes.keys()
        )
        self._was_ready = False
        self._age = self._spread = 0.0
        self._started = asyncio.Event()
        if self.health.started:
            self._started.set()

    def resume(self, health: Health, age: float, spread: float) -> None:
        """Take over what an earlier agent had found out about this run: it stays so until an answer says otherwise.

        `age` is how long ago the run began, in seconds: the initial delay counts from there. `spread`, from 0 to 1, is
        the part of a period to wait first where all is well, so that a new agent does not ask every container of its
        node at once.
        """
        self._age, self._spread = age, spread
        self.health = replace(health, attempt=self.health.attempt)
        if health.started:
            self._started.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for kind, probe in self._probes.items():
                tasks.create_task(self._run(kind, probe))  # type: ignore[arg-type]  # keys are Kinds

    async def _run(self, kind: Kind, probe: Mapping[str, Any]) -> None:
        timing, tally = Timing.of(probe), Tally()
        if kind == "startup" and self.health.started:
            return
        well = kind == "liveness" or (kind == "readiness" and self.health.ready)
        pause = self._spread * timing.period if well else 0.0
        await self._clock.sleep(max(timing.initial_delay - self._age, 0.0) + pause)
        if kind != "startup":
            await self._started.wait()
        counts_from = self._clock.monotonic()
        while not (kind == "startup" and self.health.started):
            answer = await self._answer(probe, timing.timeout)
            now = self._clock.monotonic()
            if answer is not None and (answer.ok or now >= counts_from):
                counts_from = now + timing.period
                tally = self._count(kind, tally.count(answer, timing), answer, timing)
            await self._clock.sleep(self._pause(kind, timing))

    async def _answer(self, probe: Mapping[str, Any], timeout: float) -> Answer | None:
        try:
            return await self._ask(self._item, probe, timeout)
        except NotAsked as trouble:
            log.debug("container %s was not probed: %s", self._item["name"], trouble)
            return None

    def _count(self, kind: Kind, tally: Tally, answer: Answer, timing: Timing) -> Tally:
        if not answer.ok:
            self._reports.failed(kind, answer.text)
        if tally.result is not None and tally.last == tally.result:
            self._conclude(kind, tally, timing)
        return tally

    def _pause(self, kind: Kind, timing: Timing) -> float:
        eager = kind == "startup" or (kind == "readiness" and not self._was_ready)
        return min(timing.period, EAGER_SECONDS) if eager else timing.period

    def _conclude(self, kind: Kind, tally: Tally, timing: Timing) -> None:
        if kind == "readiness":
            self._set(replace(self.health, ready=bool(tally.result)))
        elif kind == "startup" and tally.result:
            self._set(replace(self.health, started=True, ready="readiness" not in self._probes))
            self._started.set()
        elif not tally.result:
            self._set(replace(self.health, restart=f"failed {kind} probe", restart_grace=timing.grace))

    def _set(self, health: Health) -> None:
        self._was_ready = self._was_ready or health.ready
        if health != self.health:
            self.health = health
            self._reports.changed(health)
