"""A Rollout as people look at it: where it is, and below it revisions, sets, analyses and pods. Pure: `cli` paints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods
from dabbawala.rollout import keys, phases, spec, state, steps, weights
from dabbawala.rollout.sets import Set, classify

GOOD, BUSY, WAITING, BAD, IDLE = "good", "busy", "waiting", "bad", "idle"
TONES = {phases.HEALTHY: GOOD, phases.PROGRESSING: BUSY, phases.PAUSED: WAITING, phases.DEGRADED: BAD}
RUN_TONES = {"Successful": GOOD, "Running": BUSY, "Pending": BUSY, "Failed": BAD, "Error": BAD, "Inconclusive": WAITING}
PODS_SHOWN_MAX = 12
"""Pods listed under one set; the others are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is, its state in a word and a tone, its age, and anything else worth a few words."""

    name: str
    kind: str
    status: str
    tone: str
    age: str = ""
    info: str = ""
    children: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` steps; weights in percent, None where there are none."""

    done: int
    total: int
    step: str
    wanted: int | None
    actual: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    name: str
    namespace: str
    strategy: str
    phase: str
    message: str
    tone: str
    progress: Progress
    replicas: tuple[tuple[str, int], ...]
    images: tuple[tuple[str, str], ...]
    tree: Row = field(default_factory=lambda: Row("", "", "", IDLE))


PodsOf = Callable[[Object], list[Object]]
"""The pods of a ReplicaSet."""


def summarize(
    rollout: Object, sets: Iterable[Object], runs: Iterable[Object], *, pods_of: PodsOf, now: datetime
) -> Summary:
    phase, message = phases.seen_by_client(rollout) if rollout.get("status") else (phases.PROGRESSING, "not seen yet")
    found = classify(rollout, list(sets))
    ordered = sorted(found.all, key=lambda item: -item.revision)
    status = state.of(rollout)
    counts = [("desired", spec.replicas(rollout))]
    counts += [(name, int(status.get(f"{name}Replicas") or 0)) for name in ("updated", "ready", "available")]
    counts.insert(1, ("current", int(status.get("replicas") or 0)))
    rows = tuple(_revision(rollout, item, list(runs), pods_of=pods_of, now=now) for item in ordered)
    top = Row(meta.name(rollout), "Rollout", phase, TONES[phase], _age(rollout, now), message, rows)
    return Summary(
        name=meta.name(rollout),
        namespace=meta.namespace(rollout),
        strategy="BlueGreen" if spec.blue_green(rollout) is not None else "Canary",
        phase=phase,
        message=message,
        tone=TONES[phase],
        progress=progress(rollout),
        replicas=tuple(counts),
        images=tuple(_images(rollout, ordered)),
        tree=top,
    )


def progress(rollout: Object) -> Progress:
    total, index = len(spec.steps(rollout)), state.step_index(rollout)
    step, shown = state.current_step(rollout), state.weights(rollout)
    actual = int((shown.get("canary") or {}).get("weight") or 0) if shown else None
    if state.is_fully_promoted(rollout):
        actual = spec.max_weight(rollout) if spec.steps(rollout) else actual
    name = steps.describe(step) if step is not None else ""
    return Progress(index or 0, total, name, _wanted(rollout), actual)


def _wanted(rollout: Object) -> int | None:
    return weights.set_weight(rollout) if spec.canary(rollout) is not None and state.stable_hash(rollout) else None


def _images(rollout: Object, ordered: Sequence[Set]) -> Iterable[tuple[str, str]]:
    """(image, roles) of every set that has pods."""
    for item in ordered:
        if item.spec or item.replicas:
            containers = (item.object["spec"]["template"].get("spec") or {}).get("containers") or ()
            for container in containers:
                yield str(container.get("image")), ", ".join(roles(rollout, item))


def roles(rollout: Object, item: Set) -> list[str]:
    """Which parts a set plays."""
    blue_green = spec.blue_green(rollout) is not None
    named = {
        "stable": state.stable_hash(rollout),
        "active": state.active_hash(rollout) if blue_green else "",
        "preview": state.preview_hash(rollout) if blue_green else "",
    }
    found = [role for role, hash_ in named.items() if hash_ and hash_ == item.hash]
    new = state.current_hash(rollout) == item.hash and not state.is_fully_promoted(rollout)
    return found + (["canary"] if new and not blue_green else [])


def _revision(rollout: Object, item: Set, runs: list[Object], *, pods_of: PodsOf, now: datetime) -> Row:
    own = [run for run in runs if meta.labels(run).get(keys.HASH) == item.hash]
    own.sort(key=lambda run: str(meta.metadata(run).get("creationTimestamp")))
    judged = tuple(_run(run, now) for run in own)
    shown = _set(rollout, item, pods_of=pods_of, now=now)
    return Row(f"revision {item.revision}", "", "", IDLE, children=(shown, *judged))


def _set(rollout: Object, item: Set, *, pods_of: PodsOf, now: datetime) -> Row:
    if item.spec == 0 and item.replicas == 0:
        status, tone = "ScaledDown", IDLE
    elif item.available >= item.spec:
        status, tone = "Healthy", GOOD
    else:
        status, tone = "Progressing", BUSY
    info = [*roles(rollout, item), f"{item.available}/{item.spec}"] if item.spec else roles(rollout, item)
    if item.deadline is not None and item.deadline > now:
        info.append(f"goes in {_span((item.deadline - now).total_seconds())}")
    listed = sorted(pods_of(item.object), key=meta.name)
    children = [_pod(pod, now) for pod in listed[:PODS_SHOWN_MAX]]
    if len(listed) > PODS_SHOWN_MAX:
        ready = sum(map(pods.is_ready, listed))
        children.append(Row(f"… {len(listed) - PODS_SHOWN_MAX} more", "Pods", f"{ready} ready in all", IDLE))
    return Row(item.name, "ReplicaSet", status, tone, _age(item.object, now), ", ".join(info), tuple(children))


def _pod(pod: Object, now: datetime) -> Row:
    waiting = next(
        (
            str(item["state"]["waiting"].get("reason"))
            for item in (pod.get("status") or {}).get("containerStatuses") or ()
            if (item.get("state") or {}).get("waiting")
        ),
        "",
    )
    status = "Terminating" if meta.is_deleting(pod) else waiting or pods.phase(pod)
    tone = GOOD if pods.is_ready(pod) else BAD if waiting.endswith(("BackOff", "Err", "Pull")) else BUSY
    restarts = pods.restarts(pod)
    info = ["ready" if pods.is_ready(pod) else "not ready"] + ([f"restarts {restarts}"] if restarts else [])
    return Row(meta.name(pod), "Pod", status, tone, _age(pod, now), ", ".join(info))


def _run(run: Object, now: datetime) -> Row:
    status = run.get("status") or {}
    phase = str(status.get("phase") or "Pending")
    parts = []
    for result in status.get("metricResults") or ():
        last = (result.get("measurements") or [{}])[-1]
        counts = [f"{result[name]} {mark}" for name, mark in _MARKS if result.get(name)]
        value = f" last {last['value']}" if last.get("value") else ""
        parts.append(f"{result.get('name')}: {' '.join(counts) or 'no measurement yet'}{value}")
    children = tuple(Row(part, "Metric", "", IDLE) for part in parts)
    return Row(meta.name(run), "AnalysisRun", phase, RUN_TONES.get(phase, BUSY), _age(run, now), "", children)


_MARKS = (("successful", "ok"), ("failed", "failed"), ("inconclusive", "inconclusive"), ("error", "errors"))


def _age(obj: Object, now: datetime) -> str:
    created = meta.metadata(obj).get("creationTimestamp")
    return _span((now - clock.parse_time(str(created))).total_seconds()) if created else ""


def _span(seconds: float) -> str:
    """As kubectl shows ages: 45s, 12m, 3h, 5d."""
    for limit, size, unit in ((120, 1, "s"), (7_200, 60, "m"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds // 86_400)}d"
