"""Whether an image may go to production, in six stages: vulnerabilities, configuration, what RBI asks for, and of
payment images PCI DSS, recommendations, decision.

The same records, terms and instant give the same bytes. What is unknown is not approved. Frameworks: each line supports
evidence for a clause; none says that anybody complies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.guard.images import configuration
from dabbawala.guard.images.answers import BAD, GOOD, UNKNOWN, Answer, bad, good, unknown
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import SEVERITIES, Vulnerability
from dabbawala.guard.images.state import Due, Reports, State, of

_PAYMENT = re.compile(r"(?i)pay|upi|card|wallet|settle|ledger|acquir|npci")
RBI = {
    "rbi-itg-2023/26(e) fixed in a time-bound manner": "overdue",
    "rbi-itg-2023/26(e) no recurrence": "returned",
    "rbi-itg-2023/9(d) supported software": "support",
    "rbi-itg-2023/13(a) what was built is what runs": "signed",
    "rbi-itg-2023/26(a) scanned lately": "fresh",
}
PCI = {
    "pci-dss-4.0.1/6.3.3 critical fixes within a month": "overdue",
    "pci-dss-4.0.1/6.3.2 inventory of components": "sbom",
    "pci-dss-4.0.1/8.6.2 no secrets in the image": "leaks",
    "pci-dss-4.0.1/7.2.5 least privilege": "user",
    "pci-dss-4.0.1/12.3.4 supported software": "support",
}
_VERDICTS = {GOOD: "pass", BAD: "fail", UNKNOWN: "unknown"}
_ACTIONS = {
    "returned": "Find what brought fixed vulnerabilities back (a pin, an old branch, a cached layer)",
    "support": "Build on a distribution release that is supported",
    "signed": "Sign the image and attest its provenance, and keep what cosign verify and verify-attestation write",
    "fresh": "Rebuild and scan the image",
    "sbom": "Make an SBOM of this digest and keep it",
    "leaks": "Revoke the secret, then build without it",
    "user": "Set USER to a number above 0",
}


def is_payment(name: Name) -> bool:
    """Whether the image's own name says that it has to do with payments."""
    return bool(_PAYMENT.search(name.repository.rpartition("/")[2]))


def decide(name: Name, reports: Reports, now: datetime, *, payment: bool) -> dict[str, Any]:
    """The result as S036 has it."""
    state = of(name, *reports, now)
    vulnerabilities = _vulnerabilities(state)
    issues = [] if state.config is None else configuration.issues(state.config, state.misconfigurations)
    configured = _configuration(state, issues)
    rbi = _compliance(state, RBI)
    pci = _compliance(state, PCI) if payment else {}
    reasons = list(_against(state, configured, {**rbi, **pci}))
    return {
        "image": str(name),
        "timestamp": clock.format_time(now),
        "scanned_at": clock.format_time(state.scanned) if state.scanned else None,
        "vulnerabilities": vulnerabilities,
        "configuration_issues": issues if configured.verdict != UNKNOWN else [configured.reason],
        "compliance_status": {"rbi": _shown(rbi), "pci_dss": _shown(pci) if payment else "not a payment image"},
        "recommendations": list(recommendations(state, issues)),
        "reasons": reasons,
        "approved_for_production": not reasons,
    }


def _vulnerabilities(state: State) -> dict[str, Any]:
    late = {due.vulnerability: due for due in state.overdue}
    waived = dict(state.accepted)
    return {
        "state": state.word,
        "reason": state.reason,
        "counts": {severity: state.count(severity) for severity in SEVERITIES},
        "found": [row(found, late.get(found), waived.get(found, "")) for found in state.vulnerabilities],
    }


def row(found: Vulnerability, due: Due | None, accepted: str) -> dict[str, Any]:
    """A vulnerability in JSON (S037)."""
    return {
        "id": found.id, "severity": found.severity, "package": found.package, "installed": found.installed,
        "fixed": found.fixed or None, "cvss_v3": found.score, "description": found.description,
        "published": clock.format_time(found.published) if found.published else None,
        "overdue_since": clock.format_time(due.until) if due else None, "accepted": accepted or None,
    }  # fmt: skip


def _configuration(state: State, issues: list[str]) -> Answer:
    if state.config is None:
        return unknown("how the image is configured is not known: no report tells")
    return bad(issues[0]) if issues else good()


def _compliance(state: State, table: Mapping[str, str]) -> dict[str, Answer]:
    return {clause: state.answers[question] for clause, question in table.items()}


def _shown(answers: Mapping[str, Answer]) -> dict[str, dict[str, str]]:
    return {clause: {"result": _VERDICTS[one.verdict], "reason": one.reason} for clause, one in answers.items()}


def _against(state: State, configured: Answer, clauses: Mapping[str, Answer]) -> Iterator[str]:
    """What stands against approval, in the order of the stages."""
    waived = {found for found, _ in state.accepted}
    critical = [found.id for found in state.vulnerabilities if found.severity == "critical" and found not in waived]
    if state.word in ("error", "unknown"):
        yield f"vulnerabilities are not known: {state.reason}"
    if critical:
        yield f"critical vulnerabilities: {', '.join(sorted(set(critical)))}"
    if state.exploited:
        yield f"exploited vulnerabilities: {', '.join(sorted({found.id for found, _ in state.exploited}))}"
    if configured.verdict != GOOD:
        yield f"configuration: {configured.reason}"
    for clause, answer in clauses.items():
        if answer.verdict != GOOD:
            yield f"{clause}: {answer.reason}"


def recommendations(state: State, issues: list[str]) -> Iterator[str]:
    """An action for each finding (S044): the worst first, one for each package."""
    packages: dict[tuple[str, str, str], list[str]] = {}
    for found in state.vulnerabilities:
        packages.setdefault((found.package, found.installed, found.fixed), []).append(found.id)
    for (package, installed, fixed), listed in packages.items():
        ids = ", ".join(sorted(set(listed)))
        if fixed:
            yield f"Update {package} from {installed} to {fixed}: {ids}"
        else:
            yield f"Nothing fixes {package} {installed} yet ({ids}): remove it, or accept it until a date"
    for question, action in _ACTIONS.items():
        answer = state.answers[question]
        if answer.verdict == BAD:
            yield f"{action}: {answer.reason}"
    yield from (f"Change the configuration: {issue}" for issue in issues)
    unknown = dict.fromkeys(state.answers[one].reason for one in _ACTIONS if state.answers[one].verdict == UNKNOWN)
    yield from (f"Give what is missing, and ask again: {reason}" for reason in unknown)
