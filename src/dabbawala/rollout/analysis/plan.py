"""An AnalysisRun's plan: which measurements are due, and what the run is after they came in. Pure.

    due(run, now)                 -> measurements to take, to resume, to stop
    conclude(run, taken, now)     -> the new status, and when to look again

Between the two the controller asks the providers. Source: Argo Rollouts, analysis/analysis.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.api import argoproj_v1alpha1
from dabbawala.apimachinery import clock, meta, patterns
from dabbawala.apimachinery import patch as patching
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Action, Delete, Patch, Plan, Record
from dabbawala.rollout import spec
from dabbawala.rollout.analysis import arguments, carried, verdict

ERROR_RETRY = timedelta(seconds=10)
MEASUREMENTS_KEPT = 10

NUMBERS = ("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Task:
    """A measurement that is due. `written` is the metric as the user wrote it, for arguments from Secrets to be put in;
    `begun` a measurement that was started earlier; `stop` ends it instead."""

    metric: Object
    written: Object
    begun: Object | None = None
    stop: bool = False

    @property
    def name(self) -> str:
        return str(self.metric.get("name"))


def written(run: Object) -> list[Object]:
    """The metrics as the user wrote them."""
    return list((run.get("spec") or {}).get("metrics") or ())


def metrics(run: Object) -> list[Object]:
    """The metrics with every argument put in but those from Secrets, which nobody may count, wait or write by. Raises
    Unresolved, which `invalid` has found before."""
    known = arguments.public(run)
    return [arguments.substituted(metric, known) for metric in written(run)]


def endless(run: Object) -> list[str]:
    """Names of the metrics that are measured for as long as the run lasts."""
    return [str(metric.get("name")) for metric in metrics(run) if verdict.effective_count(metric) is None]


def results(run: Object) -> dict[str, Object]:
    listed = (run.get("status") or {}).get("metricResults") or ()
    return {str(item.get("name")): item for item in listed}


def is_finished(run: Object) -> bool:
    return (run.get("status") or {}).get("phase") in verdict.FINISHED


def is_terminating(run: Object) -> bool:
    """Asked to end, or ended by a metric that went wrong."""
    if (run.get("spec") or {}).get("terminate"):
        return True
    bad = (verdict.FAILED, verdict.ERROR, verdict.INCONCLUSIVE)
    return any(item.get("phase") in bad and not item.get("dryRun") for item in results(run).values())


def invalid(run: Object) -> str:
    """What makes the run impossible, before anything is measured; empty when nothing does."""
    try:
        listed = metrics(run)
    except arguments.Unresolved as wrong:
        return f"Unable to resolve metric arguments: {wrong}"
    names = [str(metric.get("name")) for metric in listed]
    if not names:
        return "no metrics specified"
    for metric in listed:
        found = _invalid_metric(metric) or carried.refused(metric)
        if found:
            return f"metric '{metric.get('name')}' {found}"
    for field in ("dryRun", "measurementRetention"):
        for rule in run["spec"].get(field) or ():
            pattern = str(rule.get("metricName"))
            if not any(_fits(pattern, name) for name in names):
                return f"{field} rule '{pattern}' matches no metric"
    return ""


def _invalid_metric(metric: Object) -> str:
    for field in NUMBERS:
        given = metric.get(field)
        if given not in (None, "") and not _WHOLE.fullmatch(str(given)):
            return f"is not valid: {field} {given!r} is no whole number"
    for field in ("interval", "initialDelay"):
        try:
            spec.seconds(metric.get(field) or None)
        except ValueError as wrong:
            return f"is not valid: {field} {wrong}"
    count = verdict.number(metric, "count", 0)
    if count > 1 and not metric.get("interval"):
        return f"interval must be specified when count > 1 (count is {count})"
    if 0 < count < verdict.number(metric, "failureLimit", 0):
        return "count must be >= failureLimit"
    return ""


def _fits(pattern: str, name: str) -> bool:
    try:
        return patterns.within(pattern)(name)
    except patterns.BadPattern:
        return False


def is_dry(run: Object, name: str) -> bool:
    return any(_fits(str(rule.get("metricName")), name) for rule in run["spec"].get("dryRun") or ())


# What is due.


def due(run: Object, now: datetime) -> list[Task]:
    """Measurements to take, resume or stop at this moment."""
    found = []
    known, terminating = results(run), is_terminating(run)
    for metric, as_written in zip(metrics(run), written(run), strict=True):
        result = known.get(str(metric.get("name"))) or {}
        if result.get("phase") in verdict.FINISHED:
            continue
        last = (result.get("measurements") or [None])[-1]
        if last is not None and not last.get("finishedAt"):
            found.append(Task(metric, as_written, last, terminating))
        elif not terminating:
            moment = next_measurement(run, metric, result)
            if moment is not None and moment <= now:
                found.append(Task(metric, as_written))
    return found


def next_measurement(run: Object, metric: Object, result: Object) -> datetime | None:
    """When a metric is to be measured next; None when it has been measured often enough."""
    started = (run.get("status") or {}).get("startedAt")
    last = (result.get("measurements") or [None])[-1]
    if last is None:
        begin = clock.parse_time(str(started)) if started else None
        return None if begin is None else begin + timedelta(seconds=spec.seconds(metric.get("initialDelay") or None))
    wanted = verdict.effective_count(metric)
    if wanted is not None and int(result.get("count") or 0) >= wanted:
        return None
    finished = clock.parse_time(str(last["finishedAt"]))
    if last.get("phase") == verdict.ERROR:
        return clock.parse_time(str(last["resumeAt"])) if last.get("resumeAt") else finished + ERROR_RETRY
    return finished + timedelta(seconds=spec.seconds(metric.get("interval") or None))


# What it comes to.


def begin(run: Object, now: datetime) -> Object:
    """The status of a run that has just been seen for the first time, or has become impossible since."""
    wrong, moment = invalid(run), clock.format_time(now)
    if wrong:
        known = run.get("status") or {}
        return {"startedAt": moment, **known, "phase": verdict.ERROR, "message": wrong, "completedAt": moment}
    return {"phase": verdict.RUNNING, "startedAt": moment}


def conclude(run: Object, taken: Mapping[str, Object], now: datetime) -> Object:
    """The status after these measurements came in, by metric name."""
    status = dict(run.get("status") or {})
    known = results(run)
    for metric in metrics(run):
        name = str(metric.get("name"))
        if name in taken:
            known[name] = _with_measurement(run, metric, known.get(name) or {"name": name}, taken[name])
    status["metricResults"] = [known[str(m.get("name"))] for m in metrics(run) if str(m.get("name")) in known]
    run = {**run, "status": status}
    _assess(run, status, now)
    return status


def _with_measurement(run: Object, metric: Object, result: Object, fresh: Object) -> Object:
    """The metric's result with one measurement begun, resumed or finished."""
    name = str(metric.get("name"))
    listed = list(result.get("measurements") or ())
    if listed and not listed[-1].get("finishedAt"):
        listed.pop()
    after = {**result, "name": name, "phase": verdict.RUNNING}
    if is_dry(run, name):
        after["dryRun"] = True
    metadata = fresh.get("metricMetadata")
    if metadata:
        after["metadata"] = metadata
    if fresh.get("finishedAt"):
        after = verdict.counted(after, str(fresh["phase"]))
    listed.append({field: value for field, value in fresh.items() if field != "metricMetadata"})
    return {**after, "measurements": listed[-retention(run, name) :]}


def retention(run: Object, name: str) -> int:
    """Measurements to keep of a metric."""
    for rule in run["spec"].get("measurementRetention") or ():
        if _fits(str(rule.get("metricName")), name):
            return max(1, int(rule.get("limit") or MEASUREMENTS_KEPT))
    return MEASUREMENTS_KEPT


def _assess(run: Object, status: Object, now: datetime) -> None:
    """Verdicts of metrics, then of the run. One that goes wrong ends the others in the same look."""
    verdicts = _metric_verdicts(run, status, terminating=is_terminating(run))
    if is_terminating(run):
        verdicts = _metric_verdicts(run, status, terminating=True)
    status["runSummary"] = _summary(run, status, dry=False)
    if run["spec"].get("dryRun"):
        status["dryRunSummary"] = _summary(run, status, dry=True)
    counting = {name: found for name, found in verdicts.items() if not is_dry(run, name)}
    if any(found.phase not in verdict.FINISHED for found in verdicts.values()):
        status["phase"] = verdict.RUNNING
        return
    phase = verdict.worst(found.phase for found in counting.values())
    status["phase"], status["completedAt"] = phase, clock.format_time(now)
    message = next((found.message for found in counting.values() if found.phase == phase and found.message), "")
    if message:
        status["message"] = message
    elif run["spec"].get("terminate"):
        status["message"] = "Run Terminated"


def _metric_verdicts(run: Object, status: Object, *, terminating: bool) -> dict[str, verdict.Verdict]:
    """Each metric's verdict, written into the status. `run` shares that status."""
    known, found = results(run), {}
    for metric in metrics(run):
        name = str(metric.get("name"))
        result = known.get(name) or {"name": name}
        found[name] = verdict.metric_verdict(metric, result, terminating=terminating)
        known[name] = {**result, "phase": found[name].phase}
        if found[name].message:
            known[name]["message"] = found[name].message
        if is_dry(run, name):
            known[name]["dryRun"] = True
    status["metricResults"] = list(known.values())
    return found


def _summary(run: Object, status: Object, *, dry: bool) -> Object:
    counted: dict[str, int] = {}
    listed = [item for item in status["metricResults"] if is_dry(run, str(item["name"])) == dry]
    for item in listed:
        field = str(item["phase"]).lower()
        if item["phase"] in verdict.FINISHED:
            counted[field] = counted.get(field, 0) + 1
    return {"count": len(listed), **counted}


# As actions.


def write(run: Object, status: Object, now: datetime) -> Plan:
    """The patch that makes the status so, the events that tell of it, and when to look again."""
    before = run.get("status") or {}
    changed = patching.create_merge_patch(before, status)
    actions: list[Action] = []
    if changed:
        # AnalysisRun has no status subresource: the status is written with the object.
        kind, version = argoproj_v1alpha1.ANALYSIS_RUN, meta.resource_version(run)
        actions.append(Patch(kind, meta.key(run), {"status": changed}, resource_version=version))
    actions += _events(run, status)
    return Plan(tuple(actions), look_again({**run, "status": status}, now))


def _events(run: Object, status: Object) -> Iterable[Record]:
    before = results(run)
    for item in status.get("metricResults") or ():
        phase = item.get("phase")
        if phase in verdict.FINISHED and (before.get(str(item["name"])) or {}).get("phase") != phase:
            text = f"Metric '{item['name']}' Completed. Result: {phase}"
            yield Record(run, f"Metric{phase}", text, _type(str(phase)))
    phase = status.get("phase")
    if phase in verdict.FINISHED and (run.get("status") or {}).get("phase") != phase:
        yield Record(run, f"AnalysisRun{phase}", f"Analysis Completed. Result: {phase}", _type(str(phase)))


def _type(phase: str) -> str:
    return "Warning" if phase in (verdict.FAILED, verdict.ERROR) else "Normal"


def look_again(run: Object, now: datetime) -> timedelta | None:
    """Until the next measurement or resumption; None when only a change can bring news."""
    if is_finished(run):
        return expiry(run, now)
    moments: list[datetime] = []
    for metric in metrics(run):
        result = results(run).get(str(metric.get("name"))) or {}
        last = (result.get("measurements") or [None])[-1]
        if result.get("phase") in verdict.FINISHED:
            continue
        if last is not None and not last.get("finishedAt"):
            if last.get("resumeAt"):
                moments.append(clock.parse_time(str(last["resumeAt"])))
        elif (moment := next_measurement(run, metric, result)) is not None:
            moments.append(moment)
    return max(min(moments) - now, timedelta(0)) if moments else None


def expiry(run: Object, now: datetime) -> timedelta | None:
    """Until a finished run's `ttlStrategy` deletes it; None without one."""
    rule = (run.get("spec") or {}).get("ttlStrategy") or {}
    status = run.get("status") or {}
    if not status.get("completedAt"):
        return None
    by_phase = {verdict.SUCCESSFUL: "secondsAfterSuccess", verdict.FAILED: "secondsAfterFailure"}
    given = rule.get(by_phase.get(str(status.get("phase")), ""))
    given = rule.get("secondsAfterCompletion") if given is None else given
    if given is None:
        return None
    return max(clock.parse_time(str(status["completedAt"])) + timedelta(seconds=int(given)) - now, timedelta(0))


def retire(run: Object, now: datetime) -> Plan:
    """A finished run is deleted when its time is up."""
    left = expiry(run, now)
    if left is None or left > timedelta(0):
        return Plan(requeue_after=left)
    return Plan((Delete(argoproj_v1alpha1.ANALYSIS_RUN, meta.key(run), uid=meta.uid(run)),))
