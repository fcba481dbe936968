"""The 17 points of going live: seven of technique, six of business, four of decision. Ticked only with evidence.

A point stands on items of the check, or on a word of its own that somebody answers for, with a document. Source: S074.
"""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import ITEMS
from dabbawala.readiness.items.compliance import written_down
from dabbawala.readiness.judgement import ATTEST, SAID, Item, Result
from dabbawala.readiness.observed import Observed

TECHNICAL, BUSINESS, DECISION = "Technical", "Business", "Decision"


@dataclass(frozen=True, slots=True)
class Point:
    """`items` are those of the check that it stands on; without any it stands on evidence about `own`."""

    group: str
    title: str
    items: tuple[str, ...] = ()
    own: str = ""


POINTS = (
    Point(TECHNICAL, "Runs in several regions", ("multi_region_deployment",)),
    Point(TECHNICAL, "Scales by itself", ("auto_scaling_configured", "auto_scaling_tested")),
    Point(TECHNICAL, "Images are scanned", ("container_image_scanned",)),
    Point(
        TECHNICAL,
        "Compliance is verified",
        ("rbi_compliance_verified", "pci_dss_compliant", "data_localization_confirmed"),
    ),
    Point(TECHNICAL, "It is monitored", ("prometheus_metrics_configured", "alerting_rules_defined")),
    Point(TECHNICAL, "A backup was restored", ("backup_restoration_tested",)),
    Point(TECHNICAL, "A disaster was rehearsed", ("disaster_recovery_tested",)),
    Point(BUSINESS, "The return is reckoned", own="return_on_investment"),
    Point(BUSINESS, "The team is trained", own="team_trained"),
    Point(BUSINESS, "It is documented", own="documentation_complete"),
    Point(BUSINESS, "There is an incident plan", ("incident_response_plan",)),
    Point(BUSINESS, "Escalation is defined", ("escalation_matrix_defined",)),
    Point(BUSINESS, "Success is defined", own="success_metrics_defined"),
    Point(DECISION, "All critical items pass", tuple(item.id for item in ITEMS if item.is_critical)),
    Point(DECISION, "Stakeholders have approved", own="stakeholder_approval"),
    Point(DECISION, "There is a communication plan", ("communication_plan_ready",)),
    Point(DECISION, "A rollback was tested", ("rollback_procedures_verified",)),
)
OWN = {
    point.own: Item(point.own, point.title, "low", written_down, "somebody who answers for it", ATTEST, SAID, 365)
    for point in POINTS
    if point.own
}
"""What the list asks beyond the 42."""


@dataclass(frozen=True, slots=True)
class Tick:
    point: Point
    done: bool
    message: str


def ticks(observed: Observed, found: Assessment) -> list[Tick]:
    return [_tick(observed, found, point) for point in POINTS]


def _tick(observed: Observed, found: Assessment, point: Point) -> Tick:
    if point.own:
        said = OWN[point.own].judge(observed, OWN[point.own])
        return Tick(point, said.result is Result.PASS, said.message)
    lacking = [name for name in point.items if found.results[name].result is not Result.PASS]
    if lacking:
        return Tick(point, False, f"{lacking[0]}: {found.results[lacking[0]].message}")
    return Tick(point, True, found.results[point.items[0]].message)
