"""Backup and recovery: what is saved, whether it comes back, and how long that takes, by measurement only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import regions
from dabbawala.readiness.evidence import CLOCK_SKEW, Evidence
from dabbawala.readiness.judgement import (
    IMPORT,
    MEASURED,
    Category,
    Item,
    Judgement,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import BACKUP, BACKUP_LOCATION, RESTORE, SCHEDULE
from dabbawala.readiness.standing import Doubt, by_evidence, needs

RTO_SECONDS, RPO_SECONDS = 300.0, 0.0
"""Targets where the annotations `rto-seconds` and `rpo-seconds` name no others. Source: scenario S078."""

BACKUP_AGE_MAX = timedelta(hours=26)
"""A daily backup, and two hours for it to be late in."""

COMPLETED = "Completed"


def automated_backup_configured(observed: Observed, item: Item) -> Judgement:
    schedules = [obj for obj in observed.all(SCHEDULE) if _covers(obj, observed.namespace, "template")]
    if observed.unseen(SCHEDULE) or not schedules:
        found = by_evidence(observed, item)
        seen = not observed.unseen(SCHEDULE) and found.result is Result.UNKNOWN
        return failed(f"no Velero Schedule saves the namespace {observed.namespace}") if seen else found
    schedule = schedules[0]
    proof, where = observed.proof(schedule), f"Velero Schedule {meta.name(schedule)}"
    if (schedule.get("spec") or {}).get("paused"):
        return failed(f"{where} is paused", proof)
    made = max(_backups(observed), default=None, key=lambda pair: pair[0])
    if made is None:
        return warned(f"{where} is there, but no backup of the namespace has been completed", proof)
    if observed.now - made[0] > BACKUP_AGE_MAX:
        return failed(f"the last backup is of {clock.format_time(made[0])}", proof, observed.proof(made[1]))
    return passed(f"{where}; the last backup is of {clock.format_time(made[0])}", proof, observed.proof(made[1]))


def _covers(obj: Object, namespace: str, part: str = "") -> bool:
    spec = obj.get("spec") or {}
    spec = (spec.get(part) or {}) if part else spec
    included, excluded = spec.get("includedNamespaces") or ["*"], spec.get("excludedNamespaces") or ()
    return bool({"*", namespace} & set(included)) and namespace not in excluded


def _backups(observed: Observed) -> Iterator[tuple[datetime, Object]]:
    """Backups of the namespace that were completed, with the moment."""
    yield from _completed(observed, (obj for obj in observed.all(BACKUP) if _covers(obj, observed.namespace)))


def _completed(observed: Observed, found: Iterator[Object]) -> Iterator[tuple[datetime, Object]]:
    for obj in found:
        state = obj.get("status") or {}
        try:
            moment = clock.parse_time(str(state.get("completionTimestamp")))
        except ValueError:
            continue
        if state.get("phase") == COMPLETED and moment <= observed.now + CLOCK_SKEW:
            yield moment, obj


def cross_region_backup_verified(observed: Observed, item: Item) -> Judgement:
    """Two places that are far apart, both of them in India, and a completed backup in each."""
    locations = {meta.name(obj): obj for obj in observed.all(BACKUP_LOCATION)}
    held: dict[str, list[Object]] = {}
    for moment, backup in _backups(observed):
        location = locations.get(str((backup.get("spec") or {}).get("storageLocation") or "default"))
        region = str(((location or {}).get("spec") or {}).get("config", {}).get("region", ""))
        if region and observed.now - moment <= timedelta(days=item.days):
            held.setdefault(regions.place(region), []).append(backup)
    abroad = [place for place in held if not regions.is_indian(place)]
    proofs = [observed.proof(backups[-1]) for _, backups in sorted(held.items())]
    if abroad:
        return failed(f"a backup is kept in {abroad[0]}, and this data stays in India", *proofs)
    if len(held) > 1:
        return passed(f"backups are kept in {' and '.join(sorted(held))}", *proofs)
    found = by_evidence(observed, item)
    if held and found.result is Result.UNKNOWN:
        return failed(f"backups are kept in {next(iter(held))} alone", *proofs)
    return found


def disaster_recovery_tested(observed: Observed, item: Item) -> Judgement:
    return by_evidence(observed, item)


def rto_rpo_validated(observed: Observed, item: Item) -> Judgement:
    """A drill's own numbers against the targets of the service."""
    try:
        rto = observed.target("rto-seconds", RTO_SECONDS)
        rpo = observed.target("rpo-seconds", RPO_SECONDS)
    except ValueError:
        return unknown("the annotations rto-seconds and rpo-seconds must be numbers of seconds")
    return by_evidence(observed, item, lambda record: needs(record, rtoSeconds=rto, rpoSeconds=rpo))


def backup_restoration_tested(observed: Observed, item: Item) -> Judgement:
    own = {meta.name(backup) for _, backup in _backups(observed)}
    restores = list(_completed(observed, (obj for obj in observed.all(RESTORE) if _restores(obj, own))))
    recent = [pair for pair in restores if observed.now - pair[0] <= timedelta(days=item.days)]
    if recent:
        moment, restore = max(recent, key=lambda pair: pair[0])
        return passed(f"a backup was restored on {moment:%Y-%m-%d}", observed.proof(restore))
    found = by_evidence(observed, item)
    if restores and found.result is Result.UNKNOWN:
        return Judgement(Result.UNKNOWN, f"the last restore is older than {item.days} days", stale=True)
    return found


def _restores(restore: Object, backups: set[str]) -> bool:
    return str((restore.get("spec") or {}).get("backupName", "")) in backups


def data_integrity_verified(observed: Observed, item: Item) -> Judgement:
    return by_evidence(observed, item, _same_sums)


def _same_sums(record: Evidence) -> Doubt | None:
    return needs(record, mismatches=0)


CATEGORY = Category("backup_recovery", "Backup and recovery", (
    Item(
        "automated_backup_configured", "Backups are made by themselves", "high", automated_backup_configured,
        "a Velero Schedule for the namespace and a backup of the last day, or signed evidence of another tool's",
        IMPORT, MEASURED, 2,
    ),
    Item(
        "cross_region_backup_verified", "Backups are kept in two regions", "high", cross_region_backup_verified,
        "completed backups in locations of two regions, both in India, or signed evidence",
        IMPORT, MEASURED, 30,
    ),
    Item(
        "disaster_recovery_tested", "A disaster was rehearsed within half a year", "critical",
        disaster_recovery_tested,
        "the signed record of a drill; nobody's word stands for it",
        IMPORT, MEASURED, 182,
    ),
    Item(
        "rto_rpo_validated", "It came back as fast, and with as much, as promised", "high", rto_rpo_validated,
        "the signed record of a drill (details: rtoSeconds, rpoSeconds) within the service's targets",
        IMPORT, MEASURED, 182,
    ),
    Item(
        "backup_restoration_tested", "A backup was restored", "high", backup_restoration_tested,
        "a completed Velero Restore of one of its backups, or signed evidence",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "data_integrity_verified", "What came back was the same", "high", data_integrity_verified,
        "signed evidence of a comparison (details: mismatches)",
        IMPORT, MEASURED, 90,
    ),
))  # fmt: skip
