"""Every form says how far evidence goes, and none promises more."""

from __future__ import annotations

from io import StringIO

import orjson
import pytest

from dabbawala.guard import checks
from dabbawala.guard.findings import Place, Problem, Report, Status
from dabbawala.guard.frameworks import assessment, catalogue
from dabbawala.guard.frameworks.assessment import Assessment, State
from dabbawala.guard.frameworks.outputs import as_html, as_json, as_terminal
from tests.guard.frameworks.given import NOW, assessed, check, clause, finding, record
from tests.guard.frameworks.wording import promises

DIRECT = check("A-1", ("1", "direct"), ("2", "direct"))
ABOUT = clause("3", "evidence")


def small() -> Assessment:
    report = Report([finding(DIRECT, Status.FAIL)], checks=[DIRECT], passed={"A-1": 2}, objects=3)
    return assessed(report, clause(), ABOUT, clause("4", "attestation"), given=(record(ABOUT), record(ABOUT, age=99)))


def everything(passing: bool) -> Assessment:
    known = list(checks.shipped().values())
    failing = [] if passing else [finding(each, Status.FAIL) for each in known]
    report = Report(failing, checks=known, passed={each.id: 1 for each in known} if passing else {})
    return assessment.assess(list(catalogue.shipped().values()), report, now=NOW)


def terminal(found: Assessment) -> str:
    stream = StringIO()
    as_terminal.write(found, stream)
    return stream.getvalue()


@pytest.mark.parametrize("passing", [True, False])
def test_no_form_promises_anything_about_any_clause(passing: bool) -> None:
    found = everything(passing)
    for text in (terminal(found), as_json.render(found).decode(), as_html.render(found).decode()):
        assert not promises(text)
        assert not passing or "supports evidence" in text


def test_a_scan_in_which_all_checks_pass_still_needs_what_only_people_can_give() -> None:
    states = {result.clause.name: result.state for result in everything(True).results}
    assert states["rbi-itg-2023/29(a)"] is State.NEEDS_EVIDENCE
    assert states["rbi-itg-2023/24"] is State.NEEDS_ATTESTATION
    assert states["cis/5.2.2"] is State.SUPPORTS
    assert states["rbi-pso-2024/boundary"] is State.PARTIAL


def test_the_terminal_names_state_checks_objects_and_what_to_keep() -> None:
    text = terminal(small())
    assert "✖ failed       1" in text
    assert "A-1 direct (2 passed, 1 failed)" in text
    assert "failing: Pod shop/web" in text
    assert "to keep: The report" in text
    assert "counted: evidence of asha@example.com, 2026-08-31T00:00:00Z, until 2026-09-30T00:00:00Z" in text
    assert "not counted: " in text
    assert "The mapping is not verified." in text
    assert "test: 3 clauses: 1 supported, 1 failed, 1 need an attestation" in text


def test_json_has_all_of_an_assessment() -> None:
    found = orjson.loads(as_json.render(small()))
    assert found["schema"] == "guard.dabbawala.dev/frameworks/v1"
    (framework,) = found["frameworks"]
    first, second, third = framework["clauses"]
    assert (first["state"], first["statement"]) == ("failed", "speaks against clause test/1")
    assert first["checks"][0] == {
        "id": "A-1", "strength": "direct", "reason": "it looks at this", "asked": True,
        "passed": 2, "failed": 1, "unknown": 0, "excepted": 0,
    }  # fmt: skip
    assert (second["state"], second["statement"]) == ("supports", "supports evidence for clause test/3")
    assert second["refused"][0]["reason"].startswith("it expired at")
    assert third["state"] == "needs-attestation"
    assert framework["counts"]["supports"] == 1


def test_the_page_says_that_a_mapping_is_not_verified_and_counts_only_what_there_is() -> None:
    page = as_html.render(small()).decode()
    assert "The mapping is not verified." in page
    assert "A-1 (direct: it looks at this): 2 passed, 1 failed<" in page


def test_every_form_says_what_to_do_about_what_could_not_be_read() -> None:
    found = small()
    found.report.problems.append(Problem(Place("a.yaml", 2, 1), "binary", "it is binary", "Leave it out."))
    for text in (terminal(found), as_html.render(found).decode()):
        assert "a.yaml:2:1" in text
        assert "it is binary. Leave it out." in text


def test_html_escapes_what_it_shows() -> None:
    page = as_html.render(small()).decode()
    assert "Clause &lt;1&gt;" in page
    assert "<1>" not in page


def test_the_same_assessment_gives_the_same_bytes() -> None:
    assert as_json.render(small()) == as_json.render(small())
    assert as_html.render(small()) == as_html.render(small())
    assert terminal(small()) == terminal(small())
