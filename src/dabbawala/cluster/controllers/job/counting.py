"""How many pods of a Job have succeeded and failed, each counted once. Source: KEP-2307."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.job import indexes
from dabbawala.cluster.controllers.job.failure_policy import IGNORE, ruling
from dabbawala.reconcile import pods

TRACKING = "batch.kubernetes.io/job-tracking"


@dataclass(frozen=True, slots=True)
class Tally:
    """`counted_*` are final; `*_uids` are named in the status but not yet part of the numbers. Their pods are
    `to_release` while they still carry the finalizer, and so are those that do not count: failures to be ignored, and
    successes of an index that another pod has completed."""

    counted_succeeded: int
    counted_failed: int
    succeeded_uids: tuple[str, ...]
    failed_uids: tuple[str, ...]
    to_release: tuple[Object, ...]
    terminating: int

    @property
    def succeeded(self) -> int:
        return self.counted_succeeded + len(self.succeeded_uids)

    @property
    def failed(self) -> int:
        return self.counted_failed + len(self.failed_uids)

    @property
    def is_settled(self) -> bool:
        """Everything that has ended is part of the numbers."""
        return not self.succeeded_uids and not self.failed_uids

    def uncounted(self) -> Object:
        """batch/v1 UncountedTerminatedPods."""
        named = {"succeeded": list(self.succeeded_uids), "failed": list(self.failed_uids)}
        return {field: uids for field, uids in named.items() if uids}


def is_failed(job: Object, pod: Object) -> bool:
    """A pod that was deleted before it succeeded counts as failed, so that its replacement is not free; where only
    failed pods are replaced, it counts when it has ended, or was never given a node on which it could."""
    if pods.phase(pod) == "Failed":
        return True
    ends_later = replaces_only_failed(job) and bool(pods.node_name(pod))
    return meta.is_deleting(pod) and pods.phase(pod) != "Succeeded" and not ends_later


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod that is being deleted keeps its place until it has ended. Source: KEP-3939."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def tally(job: Object, observed: Sequence[Object]) -> Tally:
    status = job.get("status") or {}
    named = status.get("uncountedTerminatedPods") or {}
    held = {meta.uid(pod): pod for pod in observed if TRACKING in meta.finalizers(pod)}
    known = {field: list(named.get(field) or ()) for field in ("succeeded", "failed")}
    settled = {field: [uid for uid in uids if uid not in held] for field, uids in known.items()}
    waiting = {field: [uid for uid in uids if uid in held] for field, uids in known.items()}
    fresh = [pod for uid, pod in held.items() if uid not in {*known["succeeded"], *known["failed"]}]
    failed = [pod for pod in fresh if is_failed(job, pod)]
    succeeded = [pod for pod in fresh if pods.phase(pod) == "Succeeded"]
    ignored = [pod for pod in failed if ruling(job, pod).action == IGNORE] + indexes.again(job, succeeded)
    waiting["succeeded"] += [meta.uid(pod) for pod in succeeded if pod not in ignored]
    waiting["failed"] += [meta.uid(pod) for pod in failed if pod not in ignored]
    leaving = [pod for pod in observed if meta.is_deleting(pod) and not pods.is_finished(pod)]
    return Tally(
        counted_succeeded=int(status.get("succeeded") or 0) + len(settled["succeeded"]),
        counted_failed=int(status.get("failed") or 0) + len(settled["failed"]),
        succeeded_uids=tuple(waiting["succeeded"]),
        failed_uids=tuple(waiting["failed"]),
        to_release=(*(held[uid] for uid in (*waiting["succeeded"], *waiting["failed"])), *ignored),
        terminating=len(leaving),
    )
