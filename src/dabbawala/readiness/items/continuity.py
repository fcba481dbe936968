"""Business continuity: whether a release can be switched, taken back, talked about and learnt from."""

from __future__ import annotations

from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import contacts, releases
from dabbawala.readiness.items.compliance import written_down
from dabbawala.readiness.judgement import (
    ATTEST,
    SAID,
    Category,
    Item,
    Judgement,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed, is_recent
from dabbawala.readiness.standing import by_evidence

ABORTED = "RolloutAborted"
SET_IMAGE = "dabba rollout set-image {service} CONTAINER=IMAGE -n {namespace}"
UNDO = "dabba rollout undo {service} -n {namespace}"


def blue_green_deployment_tested(observed: Observed, item: Item) -> Judgement:
    """A switch that its controller has made: a later revision that all traffic goes to."""
    workload = observed.workload
    strategy = ((workload or {}).get("spec") or {}).get("strategy") or {}
    if workload is None or not (strategy.get("blueGreen") or strategy.get("canary")):
        found = by_evidence(observed, item)
        plain = workload is not None and found.result is Result.UNKNOWN
        return (
            failed("it replaces its pods in place: no second version is ever tried beside the first")
            if plain
            else found
        )
    serving, known = releases.serving(observed), releases.revisions(observed)
    if serving is None:
        return unknown("a release is under way, or none has ended", observed.proof(workload))
    others = [item for item in known if item.number != serving.number]
    switched = serving.number > 1 and (bool(others) or bool(serving.earlier))
    if not switched:
        return failed(
            f"revision {serving.number} is its first: nothing has been switched yet", observed.proof(workload)
        )
    moment = _switched_at(observed) or serving.made
    if not is_recent(observed, moment, timedelta(days=item.days)):
        return Judgement(Result.UNKNOWN, f"the last switch is of {moment:%Y-%m-%d}", stale=moment < observed.now)
    proofs = [
        observed.proof(workload),
        observed.proof(serving.object),
        *map(observed.proof, releases.runs(observed)[:3]),
    ]
    return passed(f"traffic was switched to revision {serving.number}, last at {clock.format_time(moment)}", *proofs)


def _switched_at(observed: Observed) -> datetime | None:
    found = conditions.find(observed.workload or {}, "Completed") or conditions.find(observed.workload or {}, "Healthy")
    moment = str((found or {}).get("lastTransitionTime") or (found or {}).get("lastUpdateTime") or "")
    return clock.parse_time(moment) if moment else None


def rollback_procedures_verified(observed: Observed, item: Item) -> Judgement:
    """A way back that was really taken: an old revision made the newest again, or an update that was aborted."""
    workload = observed.workload
    if workload is None:
        return unknown("there is no workload")
    recent = observed.now - timedelta(days=item.days)
    serving = releases.serving(observed)
    if serving is not None and serving.earlier:
        numbers = ", ".join(map(str, serving.earlier))
        message = f"revision {numbers} was taken up again, and serves as revision {serving.number}"
        return passed(message, observed.proof(serving.object), observed.proof(workload))
    taken = [found for found in releases.revisions(observed) if found.earlier]
    if taken:
        return passed(f"revision {taken[0].earlier[0]} was taken up again", observed.proof(taken[0].object))
    state = workload.get("status") or {}
    if state.get("abort") and serving is not None:
        return passed("its last update was aborted, and traffic is with the stable revision", observed.proof(workload))
    failures = [run for run in releases.runs(observed) if (run.get("status") or {}).get("phase") in ("Failed", "Error")]
    back = [run for run in failures if _made(run) >= recent]
    if back and serving is not None:
        return passed(
            "an update was refused by its analysis, and traffic is with the stable revision", observed.proof(back[0])
        )
    found = by_evidence(observed, item)
    return (
        failed("no update of it was ever taken back") if found.result is Result.UNKNOWN and not found.stale else found
    )


def _made(obj: Object) -> datetime:
    return clock.parse_time(str(meta.metadata(obj).get("creationTimestamp")))


def escalation_matrix_defined(observed: Observed, item: Item) -> Judgement:
    """Four contacts that can be called, and the document that says in which order."""
    wrong = contacts.faults(observed)
    found = written_down(observed, item)
    if wrong:
        return failed(wrong[0], *found.proofs).advising(
            "kubectl annotate {workload} {service} -n {namespace} readiness.dabbawala.dev/contact-on-call=NUMBER"
        )
    if found.result is Result.UNKNOWN:
        return warned("four contacts can be called, but nobody answers for the order", *found.proofs)
    return found


CATEGORY = Category("business_continuity", "Business continuity", (
    Item(
        "blue_green_deployment_tested", "A release was switched", "medium", blue_green_deployment_tested,
        "the revisions of its Rollout, as the controller left them, and their analyses",
        SET_IMAGE, SAID, 90,
    ),
    Item(
        "rollback_procedures_verified", "A release was taken back", "high", rollback_procedures_verified,
        "a revision that was taken up again, an aborted update, or one that its analysis refused",
        UNDO, SAID, 90,
    ),
    Item(
        "incident_response_drills", "Incidents are rehearsed", "medium", by_evidence,
        "the record of a drill within half a year, and somebody who answers for it",
        ATTEST, SAID, 182,
    ),
    Item(
        "communication_plan_ready", "Who tells whom is written down", "low", written_down,
        "the plan, and somebody who answers for it",
        ATTEST, SAID, 365,
    ),
    Item(
        "escalation_matrix_defined", "Whom to call, and then whom", "low", escalation_matrix_defined,
        "four contacts that can be called (annotations), and the document with their order",
        ATTEST, SAID, 365,
    ),
    Item(
        "post_mortem_process_defined", "What went wrong is learnt from", "low", written_down,
        "the process, and somebody who answers for it",
        ATTEST, SAID, 365,
    ),
))  # fmt: skip
