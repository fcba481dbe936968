"""A rollout played before it happens: the production planner on a small simulated cluster and virtual time.

What comes out is a timeline: every moment at which a step, a weight or a pod count changed, with the peak of pods and
the duration, and what was assumed about pods and analyses. Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import plan as planning
from dabbawala.rollout import routing, spec, state, steps
from dabbawala.rollout.draft import SOON, Draft
from dabbawala.rollout.observed import Observed, Situation, situate
from dabbawala.rollout.stage import Stage

START = datetime(2026, 1, 1, tzinfo=UTC)
PASSES_MAX = 20_000
HORIZON = timedelta(days=30)


class Restless(Exception):
    """A Rollout that goes on for ever; the message says in which state."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What held from `at` on. `weight` is the canary's or, for blue-green, 0 or 100 by the active door."""

    at: timedelta
    step: str
    weight: int
    new: int
    stable: int
    others: int
    phase: str
    message: str

    @property
    def pods(self) -> int:
        return self.new + self.stable + self.others


@dataclass(frozen=True, slots=True)
class Timeline:
    """`decisions` are the moments at which a person has to promote; the rehearsal does so at once. `ended` is the
    phase at the end, with its message."""

    moments: tuple[Moment, ...]
    decisions: tuple[timedelta, ...]
    ended: str

    @property
    def duration(self) -> timedelta:
        return self.moments[-1].at if self.moments else timedelta(0)

    @property
    def peak(self) -> int:
        return max((moment.pods for moment in self.moments), default=0)


class Rehearsal:
    """One Rollout on one stage. `play` runs until it rests; change the Rollout in between with `edit`."""

    def __init__(self, rollout: Object, others: Iterable[tuple[Kind, Object]] = (), *, stage: Stage | None = None):
        self.stage = stage or Stage(START)
        self.key = meta.key(rollout)
        self.moments: list[Moment] = []
        self.draft: Draft | None = None
        self._began = self.stage.now
        self._due: datetime | None = None
        for kind, obj in others:
            self.stage.put(kind, obj)
        self.stage.put(argoproj_v1alpha1.ROLLOUT, {**rollout, "status": rollout.get("status") or {}})

    @property
    def rollout(self) -> Object:
        found = self.stage.get(argoproj_v1alpha1.ROLLOUT, self.key)
        assert found is not None, "the Rollout stays on its stage"
        return found

    def edit(self, **changes: Object) -> None:
        """Replace top-level parts of the Rollout, such as `spec` or `status`, as a user would."""
        self.stage.put(argoproj_v1alpha1.ROLLOUT, {**self.rollout, **changes})

    @property
    def elapsed(self) -> timedelta:
        return self.stage.now - self._began

    def restart_clock(self) -> None:
        """What follows is timed from now."""
        self._began = self.stage.now

    def observe(self) -> Observed:
        """All that the stage shows of this Rollout."""
        stage, namespace = self.stage, self.key.namespace
        services = {meta.name(item): item for item in stage.all(core_v1.SERVICE) if meta.namespace(item) == namespace}
        named = spec.services(self.rollout).values()
        templates = {
            (kind.kind, meta.name(item)): item
            for kind in (argoproj_v1alpha1.ANALYSIS_TEMPLATE, argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE)
            for item in stage.all(kind)
        }
        return Observed(
            replica_sets=tuple(stage.all(apps_v1.REPLICA_SET)),
            services={name: services[name] for name in named if name in services},
            slices={name: stage.slices(services[name]) for name in named if name in services},
            virtual_services={meta.key(item): item for item in stage.all(istio_networking_v1.VIRTUAL_SERVICE)},
            destination_rules={meta.key(item): item for item in stage.all(istio_networking_v1.DESTINATION_RULE)},
            templates=templates,
            analysis_runs=tuple(stage.all(argoproj_v1alpha1.ANALYSIS_RUN)),
        )

    def turn(self) -> bool:
        """One pass of the planner; False when it had nothing to write."""
        self.stage.settle()
        self.draft = planning.decide(self.rollout, self.observe(), self.stage.now)
        made = self.draft.finish()
        for action in made.actions:
            self.stage.act(action)
        self.stage.settle()
        self._note()
        self._due = None if made.requeue_after is None else self.stage.now + made.requeue_after
        return bool(made.actions)

    def play(self, *, until: timedelta = HORIZON) -> None:
        """Turn until nothing happens any more, or until so much time has passed."""
        end = self.stage.now + until
        for _ in range(PASSES_MAX):
            if self.turn():
                continue
            moments = [moment for moment in (self._due, self.stage.next_change()) if moment is not None]
            if not moments or min(moments) > end:
                if until < HORIZON:
                    self.stage.now = end
                return
            self.stage.now = max(min(moments), self.stage.now + SOON)
        last = self.moments[-1]
        why = f"{last.phase}: {last.message}" if last.message else last.phase
        raise Restless(f"Rollout {self.key} does not come to rest; it is {why}")

    def _note(self) -> None:
        moment = self._moment()
        if not self.moments or _shown(self.moments[-1]) != _shown(moment):
            self.moments.append(moment)

    def _moment(self) -> Moment:
        seen = situate(self.rollout, self.observe(), self.stage.now)
        sets, status = seen.sets, state.of(self.rollout)
        stable = sets.stable if sets.two_sided else None
        return Moment(
            at=self.stage.now - self._began,
            step=step_name(self.rollout),
            weight=_weight(seen, sets.new.hash if sets.new is not None else ""),
            new=sets.new.replicas if sets.new is not None else 0,
            stable=stable.replicas if stable is not None else 0,
            others=sum(item.replicas for item in sets.others),
            phase=str(status.get("phase") or "Progressing"),
            message=str(status.get("message") or ""),
        )


def _shown(moment: Moment) -> tuple[object, ...]:
    return (moment.step, moment.weight, moment.new, moment.stable, moment.others, moment.phase, moment.message)


def _weight(seen: Situation, new: str) -> int:
    """The new set's share of traffic in percent: by route, by the active door, or by its share of pods."""
    rollout = seen.rollout
    if spec.routing(rollout) is not None:
        return routing.look(seen).seen
    if spec.blue_green(rollout) is not None:
        return 100 if new and state.active_hash(rollout) == new else 0
    status = state.of(rollout)
    total = int(status.get("replicas") or 0)
    return round(100 * int(status.get("updatedReplicas") or 0) / total) if total else 0


def step_name(rollout: Object) -> str:
    """Where a Rollout is: `3/7 setWeight: 20`, or what a blue-green one does."""
    step, index = state.current_step(rollout), state.step_index(rollout)
    if step is not None and index is not None:
        return f"{index + 1}/{len(spec.steps(rollout))} {steps.describe(step)}"
    if state.is_fully_promoted(rollout):
        return "promoted"
    return "promoting" if spec.steps(rollout) else str(state.of(rollout).get("message") or "")


DECISIONS_MAX = 100


def release(before: Object, after: Object, world: Iterable[tuple[Kind, Object]], stage: Stage) -> Timeline:
    """The timeline of changing a Rollout that is healthy as `before` into `after`."""
    show = Rehearsal(before, world, stage=stage)
    show.play()
    show.moments.clear()
    show.restart_clock()
    show.edit(spec=after["spec"])
    decisions: list[timedelta] = []
    show.play()
    while _waits_for_a_person(show.rollout) and len(decisions) < DECISIONS_MAX:
        decisions.append(show.elapsed)
        show.edit(status={name: value for name, value in state.of(show.rollout).items() if name != "pauseConditions"})
        show.play()
    final = state.of(show.rollout)
    ended = ": ".join(str(part) for part in (final.get("phase"), final.get("message")) if part)
    return Timeline(tuple(show.moments), tuple(decisions), ended)


def _waits_for_a_person(rollout: Object) -> bool:
    return bool(state.pause_conditions(rollout)) and not state.is_aborted(rollout)
