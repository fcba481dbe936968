"""Jobs as measurements: a Job that completes is a success, one that fails is a failure. Pure.

Source: Argo Rollouts, metricproviders/job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dabbawala.api import batch_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Create, Delete
from dabbawala.rollout import keys
from dabbawala.rollout.analysis import verdict

NAME_MAX = 63
JOB_NAME, JOB_NAMESPACE = "job-name", "job-namespace"
UNPULLABLE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def create(run: Object, metric: Object, number: int) -> Create:
    """The Job of the metric's measurement with this number."""
    wanted = metric["provider"]["job"]
    given = wanted.get("metadata") or {}
    name = job_name(run, str(metric.get("name")), number)
    labels = {**(given.get("labels") or {}), keys.JOB_OWNER_UID: meta.uid(run)}
    annotations = {
        **(given.get("annotations") or {}),
        keys.JOB_RUN_NAME: meta.name(run),
        keys.JOB_RUN_NAMESPACE: meta.namespace(run),
        keys.JOB_METRIC: str(metric.get("name")),
    }
    job: Object = {
        "apiVersion": batch_v1.JOB.api_version,
        "kind": batch_v1.JOB.kind,
        "metadata": {
            "name": name,
            "namespace": meta.namespace(run),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [meta.owner_reference(run)],
        },
        "spec": wanted.get("spec") or {},
    }
    return Create(batch_v1.JOB, job)


def job_name(run: Object, metric: str, number: int) -> str:
    """`<run uid>.<metric>.<number>`, cut with a digest where it would be too long for a label."""
    name = f"{meta.uid(run)}.{metric}.{number}"
    if len(name) <= NAME_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: NAME_MAX - 11].rstrip('.-')}-{digest}"


def begun(job: Create, started_at: str) -> Object:
    """The measurement as it stands while the Job runs."""
    metadata = {JOB_NAME: meta.name(job.object), JOB_NAMESPACE: meta.namespace(job.object)}
    return {"phase": verdict.RUNNING, "startedAt": started_at, "metadata": metadata}


def key(measurement: Object) -> ObjectKey:
    metadata = measurement.get("metadata") or {}
    return ObjectKey(str(metadata.get(JOB_NAMESPACE, "")), str(metadata.get(JOB_NAME, "")))


def finished(measurement: Object, job: Object | None, pods: Iterable[Object], now: str) -> Object:
    """The measurement as the Job has it: finished, or still running."""
    if job is None:
        return {**measurement, "phase": verdict.ERROR, "message": "the Job is gone", "finishedAt": now}
    if conditions.is_true(job, "Complete"):
        return {**measurement, "phase": verdict.SUCCESSFUL, "finishedAt": now}
    failed = conditions.find(job, "Failed")
    if failed is not None and failed.get("status") == "True":
        text = str(failed.get("message") or failed.get("reason") or "")
        return {**measurement, "phase": verdict.FAILED, "message": text, "finishedAt": now}
    stuck = next((reason for pod in pods for reason in _waiting(pod) if reason in UNPULLABLE), "")
    if stuck:
        text = f"a pod of Job {meta.name(job)} cannot start: {stuck}"
        return {**measurement, "phase": verdict.INCONCLUSIVE, "message": text, "finishedAt": now}
    return measurement


def _waiting(pod: Object) -> Iterable[str]:
    status = pod.get("status") or {}
    for item in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        yield str(((item.get("state") or {}).get("waiting") or {}).get("reason") or "")


def stop(measurement: Object, job: Object | None, now: str) -> tuple[Object, Delete | None]:
    """End a running Job: it is deleted, and what it would have said is not known."""
    ended = {**measurement, "phase": verdict.INCONCLUSIVE, "message": "the Job was terminated", "finishedAt": now}
    return ended, Delete(batch_v1.JOB, key(measurement), uid=meta.uid(job)) if job is not None else None
