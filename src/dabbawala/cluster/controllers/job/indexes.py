"""Completion indexes: in an Indexed Job every pod works on one number from 0 to completions - 1. KEP-2214."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods

INDEX = "batch.kubernetes.io/job-completion-index"
ENVIRONMENT = "JOB_COMPLETION_INDEX"


def next_pods(job: Object, observed: Sequence[Object], count: int) -> list[int | None]:
    """The indexes that the next pods work on; None for each pod of a Job that is not Indexed."""
    if job["spec"].get("completionMode") != "Indexed":
        return [None] * count
    busy = {index_of(pod) for pod in observed if pods.is_active(pod)} | _done(job, observed)
    free = (index for index in range(int(job["spec"]["completions"])) if index not in busy)
    return [index for index, _ in zip(free, range(count), strict=False)]


def surplus(job: Object, active: Sequence[Object], wanted: int) -> list[Object]:
    """The pods to stop: those that are least far, and of an Indexed Job the highest indexes."""

    def worth(pod: Object) -> tuple[object, ...]:
        started = bool(pods.node_name(pod)), pods.phase(pod) == "Running", pods.is_ready(pod)
        return (*started, -index_of(pod), meta.name(pod))

    return sorted(active, key=worth)[: len(active) - wanted]


def index_of(pod: Object) -> int:
    """-1 for a pod without an index."""
    text = meta.annotations(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else -1


def completed(job: Object, observed: Sequence[Object]) -> str:
    """status.completedIndexes, such as `0-3,5`."""
    runs: list[list[int]] = []
    for index in sorted(_done(job, observed)):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _done(job: Object, observed: Iterable[Object]) -> set[int]:
    done = {index_of(pod) for pod in observed if pods.phase(pod) == "Succeeded" and index_of(pod) >= 0}
    return done | _reported(job)


def _reported(job: Object) -> set[int]:
    done: set[int] = set()
    for run in filter(None, ((job.get("status") or {}).get("completedIndexes") or "").split(",")):
        first, _, last = run.partition("-")
        done.update(range(int(first), int(last or first) + 1))
    return done


def again(job: Object, succeeded: Iterable[Object]) -> list[Object]:
    """Of the pods that have just succeeded, those whose index was complete already: they do not count twice."""
    done, found = _reported(job), []
    for pod in succeeded:
        index = index_of(pod)
        if index in done:
            found.append(pod)
        elif index >= 0:
            done.add(index)
    return found


def with_index(job: Object, pod: Object, index: int) -> Object:
    """The pod with its index as annotation, label, host name and environment variable."""
    metadata, mark = pod["metadata"], {INDEX: str(index)}
    field = {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}
    spec = {**pod["spec"], "hostname": f"{meta.name(job)}-{index}"}
    for group in ("containers", "initContainers"):
        if spec.get(group):
            spec[group] = [_with_variable(item, {"name": ENVIRONMENT, "valueFrom": field}) for item in spec[group]]
    marked = {kind: {**metadata.get(kind, {}), **mark} for kind in ("annotations", "labels")}
    return {**pod, "metadata": {**metadata, **marked}, "spec": spec}


def _with_variable(container: Object, variable: Object) -> Object:
    present = container.get("env") or []
    if any(item.get("name") == ENVIRONMENT for item in present):
        return container
    return {**container, "env": [*present, variable]}
