"""Watching a release from outside, as a user with kubectl could: through the API server only.

Every moment is noted when its event arrives. A switch is measured from the event that shows the written route to the
event in which the route's status says that every node runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dabbawala.api import argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.client.client import Client
from dabbawala.demo.outcome import Moment, Observation
from dabbawala.demo.releases import Release
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informers

ROUTE_KINDS = {"Service": core_v1.SERVICE, "VirtualService": istio_networking_v1.VIRTUAL_SERVICE}
PROGRAMMED = {"Service": "dabbawala.dev/Programmed", "VirtualService": "Programmed"}
FAILED_PHASES = frozenset({"Failed", "Error"})


class ReleaseWatch:
    """Fills an Observation from the moment it is started until the release has ended."""

    def __init__(self, client: Client, clock: Clock, release: Release, seen: Observation) -> None:
        self.seen = seen
        self.rollout: Object = {}
        self.done = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        self._release = release
        self._clock = clock
        self._written: dict[ObjectKey, list[tuple[int, float]]] = {}
        self._routes: dict[ObjectKey, Any] = {}
        self._step = ""
        self._changed = False
        self._informers = Informers(client, clock)
        kinds = [argoproj_v1alpha1.ROLLOUT, argoproj_v1alpha1.ANALYSIS_RUN]
        for kind in [*kinds, *(ROUTE_KINDS[name] for name, _ in release.service.routes)]:
            self._informers.watch(kind, self)

    async def start(self) -> None:
        self._informers.start()
        await self._informers.filled()

    async def stop(self) -> None:
        """A switch that is not through yet has taken at least as long as until now."""
        await self._informers.stop()
        for written in self._written.values():
            self.seen.switches += [self._now() - since for _, since in written]
            written.clear()

    def begin(self) -> None:
        """From here on the new version is asked for, and the end of the release is an end."""
        self._changed = True
        self._note("release")

    def progressed(self, kind: Kind) -> None:
        return None

    def changed(self, kind: Kind, change: Change) -> None:
        obj = change.object
        if meta.namespace(obj) != self._release.service.namespace:
            return
        match kind.kind:
            case "Rollout" if meta.name(obj) == self._release.service.rollout:
                self.rollout = obj
                self._rollout_changed(obj)
            case "AnalysisRun":
                self._analysis_changed(obj)
            case "Service" | "VirtualService" if (kind.kind, meta.name(obj)) in self._release.service.routes:
                self._route_changed(kind.kind, obj)
        self.on_change()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _note(self, name: str, weight: int | None = None) -> None:
        self.seen.moments.append(Moment(self._now(), name, weight))

    def _rollout_changed(self, rollout: Object) -> None:
        status = rollout.get("status") or {}
        if not self._changed or str(status.get("observedGeneration")) != str(meta.generation(rollout)):
            return
        step = describe(rollout)
        if step != self._step:
            self._step = step
            self._note(step)
        self._ended(rollout, status)

    def _ended(self, rollout: Object, status: Object) -> None:
        """Promoted, when the new version is stable; rolled back, when the release was aborted."""
        if self.seen.outcome:
            return
        image = rollout["spec"]["template"]["spec"]["containers"][0]["image"]
        asked = image.endswith(f":{self._release.version}")
        if asked and status.get("phase") == "Healthy" and status.get("stableRS") == status.get("currentPodHash"):
            self.seen.outcome = "promoted"
        elif asked and status.get("abort") and status.get("phase") == "Degraded":
            self.seen.outcome = "rolled-back"
        if self.seen.outcome:
            self.seen.ended = self._now()
            self.done.set()

    def _analysis_changed(self, run: Object) -> None:
        phase = (run.get("status") or {}).get("phase", "")
        if not self._changed or self._release.service.rollout not in meta.name(run):
            return
        entry = {"name": meta.name(run), "phase": phase, "message": (run.get("status") or {}).get("message", "")}
        entry["metrics"] = [_metric(result) for result in (run.get("status") or {}).get("metricResults") or ()]
        self.seen.verdicts = [old for old in self.seen.verdicts if old["name"] != entry["name"]] + [entry]
        if phase in FAILED_PHASES and self.seen.verdict_at is None:
            self.seen.verdict_at = self._now()
            self._note(f"verdict: {phase}")

    def _route_changed(self, kind: str, obj: Object) -> None:
        key, generation, route = meta.key(obj), meta.generation(obj), traffic(kind, obj)
        if self._routes.get(key) != route:
            if key in self._routes and self._changed:
                self._written.setdefault(key, []).append((generation, self._now()))
                self._note("switch" if kind == "Service" else "weight", _weight(kind, obj))
            self._routes[key] = route
        found = conditions.find(obj, PROGRAMMED[kind]) or {}
        accepted = int(found.get("observedGeneration") or 0) if found.get("status") == "True" else 0
        written = self._written.get(key) or []
        while written and written[0][0] <= accepted:
            self.seen.switches.append(self._now() - written.pop(0)[1])


def _metric(result: Object) -> dict[str, Any]:
    values = [item.get("value") for item in result.get("measurements") or ()]
    return {"name": result.get("name"), "phase": result.get("phase"), "values": values[-10:]}


def traffic(kind: str, obj: Object) -> object:
    """What of a route decides where traffic goes."""
    spec = obj.get("spec") or {}
    return spec.get("selector") if kind == "Service" else spec.get("http")


def _weight(kind: str, obj: Object) -> int | None:
    """The canary's weight: that of the last destination of the first route."""
    if kind == "Service":
        return None
    destinations = obj["spec"]["http"][0]["route"]
    return int(destinations[-1].get("weight") or 0)


def describe(rollout: Object) -> str:
    """A moment in the life of a Rollout, in a few words."""
    status = rollout.get("status") or {}
    steps = ((rollout["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or []
    if status.get("abort"):
        return "aborted"
    index = status.get("currentStepIndex")
    if steps and index is not None and index < len(steps):
        name, value = next(iter(steps[index].items()))
        detail = value.get("duration", "") if name == "pause" else value if isinstance(value, int) else ""
        return f"step {index + 1}/{len(steps)}: {name} {detail}".rstrip()
    return str(status.get("message") or status.get("phase") or "")
