"""What follows from reports: by digest, by age, by deadline, by exploitation; and nothing follows from none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import exceptions
from dabbawala.guard.images import approval, configuration, gate, support, terms, waivers
from dabbawala.guard.images.answers import BAD, GOOD, UNKNOWN
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import Config, Distribution, Malformed
from dabbawala.guard.images.terms import Exploits, Terms
from tests.guard.images.worlds import DIGEST, NOW, OTHER, SWITCH, known, report, state


def found(id: str = "CVE-2025-1", severity: str = "CRITICAL", **changed: Any) -> Object:
    given = {"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "1", "FixedVersion": "2"}
    given |= {"Severity": severity, "PublishedDate": "2025-12-20T00:00:00Z", **changed}
    return {field: value for field, value in given.items() if value is not None}


def trivy(
    *vulnerabilities: Object, digest: str = DIGEST, built: str = "2025-12-01T00:00:00Z", **changed: Any
) -> Object:
    """A good report, of an image without root, leaks or anything but these vulnerabilities."""
    config = {"User": "1000", "Entrypoint": ["/app"]}
    metadata = {
        "OS": {"Family": "debian", "Name": "12.5"}, "RepoDigests": [f"registry.example.com/upi-switch@{digest}"],
        "ImageConfig": {"created": built, "config": config},
    }  # fmt: skip
    results = [{"Target": "x", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": list(vulnerabilities)}]
    extra = {"dabbawala.dev/scanners": ["vuln", "misconfig", "secret"]}
    return report("trivy", **{"Metadata": metadata, "Results": results, **extra, **changed})


def test_an_image_without_findings_is_clean_only_by_a_report_of_its_digest() -> None:
    assert state(trivy()).word == "clean"
    assert state(trivy(), name=Name.of("registry.example.com/upi-switch:2.3")).word == "clean"
    other = state(trivy(), name=SWITCH._replace(digest=OTHER))
    assert other.word == "unknown"
    assert "is of another digest" in other.reason


def test_a_report_that_does_not_say_of_which_digest_it_is_does_not_count_for_one() -> None:
    metadata = {"OS": {"Family": "debian", "Name": "12.5"}}
    assert "does not say of which digest" in state(trivy(Metadata=metadata)).reason


@pytest.mark.parametrize(("days", "word"), [(0, "clean"), (6, "clean"), (8, "unknown"), (400, "unknown")])
def test_a_report_counts_for_some_days(days: int, word: str) -> None:
    assert state(trivy(), now=datetime(2025, 12, 31, tzinfo=UTC) + timedelta(days=days)).word == word


def test_a_report_from_the_future_does_not_count() -> None:
    assert state(trivy(CreatedAt="2027-01-01T00:00:00Z")).word == "unknown"


def test_a_report_without_packages_does_not_say_that_there_is_no_vulnerability() -> None:
    results = [{"Target": "Dockerfile", "Class": "config", "Type": "dockerfile"}]
    assert state(trivy(Results=results)).word == "unknown"


@pytest.mark.parametrize(
    ("severity", "days", "overdue"),
    [("CRITICAL", 29, False), ("CRITICAL", 31, True), ("HIGH", 89, False), ("HIGH", 91, True), ("MEDIUM", 181, True),
     ("LOW", 900, False), ("UNKNOWN", 900, False)],
)  # fmt: skip
def test_a_fix_is_overdue_after_the_days_of_its_severity(severity: str, days: int, overdue: bool) -> None:
    published = (NOW - timedelta(days=days)).isoformat()
    seen = state(trivy(found(severity=severity, PublishedDate=published)))
    assert (seen.word == "overdue") is overdue
    assert (seen.answers["overdue"].verdict == BAD) is overdue


def test_deadlines_can_be_set() -> None:
    strict = Terms(deadline_days=terms.deadlines({"critical": 5}))
    assert state(trivy(found())).word == "vulnerable"
    assert state(trivy(found()), terms=strict).word == "overdue"
    with pytest.raises(ValueError, match="name one of"):
        terms.deadlines({"severe": 1})


def test_what_has_no_fix_has_no_deadline() -> None:
    assert state(trivy(found(FixedVersion=None, PublishedDate="2020-01-01T00:00:00Z"))).word == "vulnerable"


def test_without_a_date_age_counts_from_the_first_scan_that_saw_it() -> None:
    undated = found(PublishedDate=None)
    earlier = trivy(undated, digest=OTHER, CreatedAt="2025-11-01T00:00:00Z")
    assert state(trivy(undated)).word == "vulnerable"
    assert state(trivy(undated), earlier).word == "overdue"


def test_two_scanners_are_heard_together() -> None:
    seen = state(trivy(found()), report("grype"))
    assert {one.id for one in seen.vulnerabilities} >= {"CVE-2025-1", "CVE-2023-32681"}
    assert seen.word == "exploited"


def test_exploitation_is_known_by_the_catalogue_by_probability_or_not_at_all() -> None:
    silent = state(trivy(found()))
    assert silent.answers["exploited"].verdict == UNKNOWN
    listed = Terms(exploits=Exploits(known=frozenset({"CVE-2025-1"})))
    likely = Terms(exploits=Exploits(epss={"CVE-2025-1": 0.9}))
    neither = Terms(exploits=Exploits(known=frozenset(), epss={"CVE-2025-1": 0.1}))
    said = [state(trivy(found()), terms=one).answers["exploited"].verdict for one in (listed, likely, neither)]
    assert said == [BAD, BAD, GOOD]


def test_the_catalogue_and_the_scores_are_read_or_refused() -> None:
    assert terms.catalogue(b'{"vulnerabilities": [{"cveID": "CVE-1"}]}') == {"CVE-1"}
    assert terms.probabilities(b"#model\ncve,epss,percentile\nCVE-1,0.5,0.9\n") == {"CVE-1": 0.5}
    for read, data in (
        (terms.catalogue, b"{}"), (terms.catalogue, b'{"vuln'), (terms.catalogue, b"[]"),
        (terms.probabilities, b""), (terms.probabilities, b"cve,epss\nCVE-1,many\n"), (terms.probabilities, b"<html>"),
    ):  # fmt: skip
        with pytest.raises(Malformed):
            read(data)


def test_a_vulnerability_returns_when_a_build_in_between_did_not_have_it() -> None:
    first = trivy(found(), digest=OTHER, built="2025-10-01T00:00:00Z")
    between = trivy(digest="sha256:" + "c" * 64, built="2025-11-01T00:00:00Z")
    now = trivy(found())
    assert state(now, between, first).returned == ("CVE-2025-1",)
    assert not state(now, first).returned
    assert not state(now, between).returned


def test_two_builds_that_run_side_by_side_are_no_return() -> None:
    """The older one goes on being scanned, and has what the newer one never had."""
    older = [trivy(found(), digest=OTHER, built="2025-10-01T00:00:00Z", CreatedAt=f"2025-12-{n}T00:00:00Z")
             for n in (29, 31)]  # fmt: skip
    assert not state(trivy(CreatedAt="2025-12-30T00:00:00Z"), *older).returned


@pytest.mark.parametrize(
    ("family", "version", "verdict"),
    [("debian", "12.5", GOOD), ("debian", "10.13", BAD), ("alpine", "3.18.4", BAD), ("alpine", "3.22.0", GOOD),
     ("redhat", "8.10", GOOD), ("rhel", "7.9", BAD), ("wolfi", "20230201", GOOD), ("amazon", "2 (Karoo)", GOOD),
     ("centos", "7.9.2009", BAD), ("ubuntu", "99.04", UNKNOWN), ("", "", UNKNOWN), ("alpine", "", UNKNOWN)],
)  # fmt: skip
def test_ends_of_support_are_looked_up_by_release(family: str, version: str, verdict: str) -> None:
    assert support.answer(Distribution(family, version), NOW).verdict == verdict


# The gate


def accepted(expires: str, **match: Any) -> Terms:
    spec = {
        "checks": ["IMG-07"], "match": {"kinds": ["Vulnerability"], **match}, "reason": "not reachable",
        "owner": "asha", "ticket": "SEC-1", "expires": expires,
    }  # fmt: skip
    obj = {"apiVersion": "guard.dabbawala.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": "x"}}
    assert not exceptions.wrong_with({**obj, "spec": spec})
    return Terms(accepting=waivers.accepting([exceptions.of({**obj, "spec": spec})], NOW))


@pytest.mark.parametrize(
    ("severity", "asked", "status"),
    [("CRITICAL", "critical", 1), ("HIGH", "critical", 0), ("HIGH", "high", 1), ("UNKNOWN", "critical", 1),
     ("LOW", "medium", 0)],
)  # fmt: skip
def test_the_gate_stops_a_severity_and_worse_and_what_nobody_rated(severity: str, asked: str, status: int) -> None:
    assert gate.of([state(trivy(found(severity=severity)))], asked).status == status


def test_the_gate_can_let_through_what_nobody_can_fix() -> None:
    seen = state(trivy(found(FixedVersion=None)))
    assert gate.of([seen], "critical").status == 1
    assert gate.of([seen], "critical", only_fixable=True).status == 0


def test_the_gate_honours_an_exception_until_its_end() -> None:
    lasting, ended = (accepted(day, names=["CVE-2025-1"]) for day in ("2026-02-01", "2025-12-31"))
    passage = gate.of([state(trivy(found()), terms=lasting)], "critical")
    assert passage.status == 0
    assert "asha" in passage.accepted[0][2]
    assert gate.of([state(trivy(found()), terms=ended)], "critical").status == 1


def test_an_exception_can_be_for_one_package_of_one_image() -> None:
    fits = accepted("2026-02-01", selector={"matchLabels": {"package": "openssl", "image": "upi-switch"}})
    other = accepted("2026-02-01", selector={"matchLabels": {"image": "web"}})
    said = [gate.of([state(trivy(found()), terms=one)], "critical").status for one in (fits, other)]
    assert said == [0, 1]


def test_an_image_of_which_nothing_is_known_does_not_pass_the_gate() -> None:
    assert gate.of([state()], "critical").status == 2
    assert gate.of([state(trivy(Results=[]))], "critical").status == 2


# Approval


def signed() -> list[Object]:
    import base64

    identity = {"docker-reference": "registry.example.com/upi-switch"}
    signature = {"critical": {"identity": identity, "image": {"docker-manifest-digest": DIGEST}}}
    subject = {"name": "registry.example.com/upi-switch", "digest": {"sha256": "a" * 64}}
    statement = {"predicateType": "https://slsa.dev/provenance/v1", "subject": [subject]}
    payload = base64.b64encode(orjson.dumps(statement)).decode()
    return [signature, {"payloadType": "application/vnd.in-toto+json", "payload": payload}]


def decided(*reports: object, payment: bool = True) -> dict[str, Any]:
    return approval.decide(SWITCH, known(*reports), NOW, payment=payment)


def test_a_payment_image_with_nothing_against_it_is_approved() -> None:
    made = decided(trivy(), report("cyclonedx"), *signed())
    assert made["reasons"] == []
    assert made["approved_for_production"] is True
    assert set(made["compliance_status"]["pci_dss"]) == set(approval.PCI)


def test_the_result_has_the_fields_and_the_order_of_the_six_stages() -> None:
    made = decided(report("trivy"))
    assert list(made) == [
        "image", "timestamp", "scanned_at", "vulnerabilities", "configuration_issues", "compliance_status",
        "recommendations", "reasons", "approved_for_production",
    ]  # fmt: skip
    assert made["approved_for_production"] is False
    issues = " ".join(made["configuration_issues"])
    assert all(word in issues for word in ("root", "SSH", "DB_PASSWORD", "downloads"))
    assert "changeme" not in orjson.dumps(made).decode()
    assert "Update openssl from 3.0.11-1 to 3.0.15-1: CVE-2024-5535" in made["recommendations"]


def test_pci_dss_is_asked_of_payment_images_only() -> None:
    without_sbom = (trivy(), *signed())
    assert decided(*without_sbom)["approved_for_production"] is False
    plain = decided(*without_sbom, payment=False)
    assert plain["compliance_status"]["pci_dss"] == "not a payment image"
    assert plain["approved_for_production"] is True
    assert approval.is_payment(SWITCH)
    assert not approval.is_payment(Name.of("payments.example.com/blog:1"))


def test_what_is_unknown_is_asked_for_and_not_taken_for_wrong() -> None:
    asked = decided(trivy(digest=OTHER))["recommendations"]
    assert not any(line.startswith(("Revoke", "Set USER", "Sign", "Make an SBOM")) for line in asked)
    assert "Give what is missing, and ask again: no SBOMs were given" in asked
    assert len(asked) == len(set(asked))


def test_nothing_unknown_is_approved() -> None:
    whole = [trivy(), report("cyclonedx"), *signed()]
    for missing in range(len(whole)):
        made = decided(*(one for n, one in enumerate(whole) if n != missing))
        assert made["approved_for_production"] is False
        assert made["reasons"]


def test_the_same_reports_give_the_same_bytes_in_any_order() -> None:
    given = [report("trivy"), report("grype"), report("spdx"), *signed()]
    assert orjson.dumps(decided(*given)) == orjson.dumps(decided(*given))
    first, second = decided(*given), decided(*given)
    assert first == second
    assert first["reasons"] == decided(*reversed(given))["reasons"]


def test_a_user_above_zero_a_high_port_and_a_plain_entrypoint_are_no_issue() -> None:
    config = Config("1000", ("8443/tcp",), ("PATH=/bin", "API_KEY="), ("/app",))
    assert configuration.issues(config) == []
