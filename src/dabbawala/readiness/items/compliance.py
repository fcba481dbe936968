"""Compliance: what auditors ask, where data is, what is kept, and what is written down for a bad day.

Nothing here calls a service compliant. An item passes on evidence that somebody answers for, as long as no scan of the
cluster speaks against it.
"""

from __future__ import annotations

from dabbawala.api import admissionregistration_v1, core_v1
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import regions, reports
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.judgement import (
    ATTEST,
    IMPORT,
    MEASURED,
    SAID,
    Category,
    Item,
    Judgement,
    Proof,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import BACKUP_LOCATION
from dabbawala.readiness.standing import Doubt, by_evidence, first_that_knows

REGION = "topology.kubernetes.io/region"
RETENTION_DAYS_MIN = 180
"""Logs are kept for so long within India. Source: CERT-In directions of 28 April 2022, (iv)."""

GUARD_POLICIES = ".guard.dabbawala.dev"


def rbi_compliance_verified(observed: Observed, item: Item) -> Judgement:
    """An audit that somebody answers for, and no critical finding in the cluster against it."""
    return _verified(observed, item, "critical")


def pci_dss_compliant(observed: Observed, item: Item) -> Judgement:
    """An assessment, no high finding against it, and policies that refuse what it would not accept."""
    found = _verified(observed, item, "high")
    if found.result is not Result.PASS:
        return found
    bindings = [
        binding
        for binding in observed.all(admissionregistration_v1.VALIDATING_ADMISSION_POLICY_BINDING)
        if _denies_here(observed, binding)
    ]
    if not bindings:
        message = f"{found.message}; but no policy is enforced in the namespace, so that it need not stay so"
        return Judgement(Result.WARN, message, found.proofs)
    return passed(found.message, *found.proofs, *map(observed.proof, bindings[:3]))


def _verified(observed: Observed, item: Item, worst: str) -> Judgement:
    scan = reports.scan(observed)
    against = [] if scan is None else scan.failures(worst=worst)
    if scan is not None and against:
        first = against[0]
        message = f"{len(against)} {worst} findings of the scan, such as {first.get('policy')}: {first.get('message')}"
        return failed(message, *scan.proofs).advising("dabba guard scan --live")
    return by_evidence(observed, item)


def _denies_here(observed: Observed, binding: Object) -> bool:
    spec = binding.get("spec") or {}
    chosen = (spec.get("matchResources") or {}).get("namespaceSelector")
    labels = {"kubernetes.io/metadata.name": observed.namespace, **meta.labels(observed.home)}
    here = chosen is None or selectors.from_label_selector(chosen).matches(labels)
    return here and "Deny" in (spec.get("validationActions") or ()) and GUARD_POLICIES in str(spec.get("policyName"))


def data_localization_confirmed(observed: Observed, item: Item) -> Judgement:
    """Where the pods run and where their backups are put, by every provider's names for the places of India."""
    nodes = {meta.name(node): node for node in observed.all(core_v1.NODE)}
    used = {str((pod.get("spec") or {}).get("nodeName", "")) for pod in observed.pods} - {""}
    places: list[tuple[str, Proof]] = [
        (meta.labels(nodes[name]).get(REGION, ""), observed.proof(nodes[name]))
        for name in sorted(used)
        if name in nodes
    ]
    for location in observed.all(BACKUP_LOCATION):
        region = str(((location.get("spec") or {}).get("config") or {}).get("region", ""))
        places.append((region, observed.proof(location)))
    abroad = [(region, proof) for region, proof in places if region and not regions.is_indian(region)]
    if abroad:
        region, proof = abroad[0]
        return failed(f"{proof.reference} is in {region}, which is no region of India that we know", proof)
    nameless = [proof for region, proof in places if not region]
    if nameless:
        return unknown(f"{nameless[0].reference} does not say its region")
    unseen = observed.hidden.get(BACKUP_LOCATION.resource, "")
    if unseen:
        return first_that_knows([by_evidence(observed, item), unknown(unseen)])
    if not used or not used <= nodes.keys():  # where it runs is not known, wherever its backups are
        return by_evidence(observed, item)
    found = ", ".join(sorted({regions.place(region) for region, _ in places}))
    kept = "runs and is backed up" if observed.all(BACKUP_LOCATION) else "no backup location is known; it runs"
    return passed(f"{kept} in {found}", *(proof for _, proof in places))


def audit_trail_enabled(observed: Observed, item: Item) -> Judgement:
    return by_evidence(observed, item, _kept_long_enough)


def _kept_long_enough(record: Evidence) -> Doubt | None:
    days = record.number("retentionDays")
    if days is None:
        return Result.UNKNOWN, "the record does not say retentionDays"
    if days < RETENTION_DAYS_MIN:
        return Result.FAIL, f"logs are kept for {days:g} days, and {RETENTION_DAYS_MIN} are needed"
    return None


def written_down(observed: Observed, item: Item) -> Judgement:
    """A document that somebody answers for."""
    found = by_evidence(observed, item)
    unbacked = found.result is Result.PASS and not _has_document(observed, found)
    return warned(f"{found.message}; but no document backs it", *found.proofs) if unbacked else found


def _has_document(observed: Observed, found: Judgement) -> bool:
    hashes = {proof.digest for proof in found.proofs}
    return any(record.hash in hashes and record.spec.get("documentHash") for record in observed.chain.records)


CATEGORY = Category("compliance", "Compliance", (
    Item(
        "rbi_compliance_verified", "Verified against RBI's directions", "critical", rbi_compliance_verified,
        "an audit that somebody answers for, with its report; no critical finding of the scan against it",
        ATTEST, SAID, 365,
    ),
    Item(
        "pci_dss_compliant", "Assessed against PCI DSS", "high", pci_dss_compliant,
        "an assessment that somebody answers for, no high finding of the scan, and enforced policies",
        ATTEST, SAID, 365,
    ),
    Item(
        "data_localization_confirmed", "Data stays in India", "high", data_localization_confirmed,
        "the regions of its nodes and of backup locations, or signed evidence",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "audit_trail_enabled", "Business events are kept for 180 days", "high", audit_trail_enabled,
        "evidence of the log store (details: retentionDays)",
        IMPORT, SAID, 180,
    ),
    Item(
        "incident_response_plan", "There is an incident response plan", "medium", written_down,
        "the plan, and somebody who answers for it",
        ATTEST, SAID, 365,
    ),
    Item(
        "business_continuity_plan", "There is a business continuity plan", "medium", written_down,
        "the plan, and somebody who answers for it",
        ATTEST, SAID, 365,
    ),
))  # fmt: skip
