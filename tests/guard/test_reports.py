"""Where findings are, and what could not be read, as each form of a report tells it."""

from __future__ import annotations

from xml.etree import ElementTree

import orjson
import pytest
import yaml

from dabbawala.cli import guard as command
from dabbawala.guard import checks
from dabbawala.guard.findings import Finding, Place, Problem, Report, Status, Subject, grouped
from dabbawala.guard.outputs import as_terminal

FIELD = "spec.containers[web].securityContext.privileged"
WEB = Subject("v1", "Pod", "shop", "web")
PLACE = Place("chart/templates/web.yaml", 11, 7, 11, FIELD)


def finding(place: Place, subject: Subject = WEB, *also: Place, check: str = "WL-01") -> Finding:
    return Finding(checks.shipped()[check], Status.FAIL, subject, "container web is privileged", place, also)


def said(report: Report, form: str) -> str:
    return command.rendered(report, form).decode()


def printed(*found: Finding) -> str:
    return "\n".join(as_terminal.render(Report(findings=list(found))))


def test_a_rendered_line_is_never_told_as_a_line_of_its_file() -> None:
    report = Report(checks=[checks.shipped()["WL-01"]], findings=[finding(PLACE._replace(rendered=True))])
    lines = [line.strip() for line in as_terminal.render(report)]
    assert lines[1].startswith("✖ critical")
    assert lines[2] == f"{FIELD} (rendered line 11)"
    assert '<td class="quiet">rendered line 11</td>' in said(report, "html")
    assert "chart/templates/web.yaml (rendered line 11)" in said(report, "junit")
    assert "chart/templates/web.yaml (rendered line 11)" in said(report, "policy-report")


def test_code_quality_tells_the_rendered_line_in_words() -> None:
    (issue,) = orjson.loads(said(Report(findings=[finding(PLACE._replace(rendered=True))]), "code-quality"))
    assert issue["location"] == {"path": "chart/templates/web.yaml", "lines": {"begin": 1}}
    assert issue["description"].endswith("is privileged: chart/templates/web.yaml (rendered line 11)")


def test_json_says_that_a_line_is_a_rendered_one_and_only_then() -> None:
    report = Report(findings=[finding(PLACE._replace(rendered=True), WEB, PLACE)])
    (found,) = orjson.loads(said(report, "json"))["findings"]
    assert (found["place"]["line"], found["place"]["rendered"]) == (11, True)
    assert "rendered" not in found["also"][0]


def test_sarif_points_to_the_file_and_tells_the_rendered_line_beside_it() -> None:
    report = Report(checks=[checks.shipped()["WL-01"]], findings=[finding(PLACE._replace(rendered=True))])
    ((location,),) = (item["locations"] for item in orjson.loads(said(report, "sarif"))["runs"][0]["results"])
    assert location["physicalLocation"]["region"] == {"startLine": 1}
    assert location["message"] == {"text": "chart/templates/web.yaml (rendered line 11)"}
    assert location["properties"] == {"renderedLine": 11}


def test_sarif_names_files_by_addresses() -> None:
    report = Report(problems=[Problem(Place("a b%é.yaml", 2, 1), "binary", "it is binary", "Leave it out.")])
    (run,) = orjson.loads(said(report, "sarif"))["runs"]
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "a%20b%25%C3%A9.yaml"}


def test_further_fields_are_told_with_the_line_and_with_the_file_where_it_is_another() -> None:
    patch = Place("overlay/patch.yaml", 3, 5, 3, "spec.hostPID")
    found = finding(PLACE, WEB, PLACE._replace(line=14, field="spec.hostIPC"), patch)
    assert "spec.hostIPC (line 14)" in printed(found)
    assert "spec.hostPID (overlay/patch.yaml:3:5)" in printed(found)
    report = Report(checks=[found.check], findings=[found])
    page = said(report, "html")
    assert "spec.hostIPC (line 14)" in page
    assert "spec.hostPID (overlay/patch.yaml:3:5)" in page
    assert "overlay/patch.yaml:3:5 spec.hostPID" in said(report, "junit")


def test_an_object_has_one_heading_whatever_stands_between_its_lines() -> None:
    namespace = Subject("v1", "Namespace", "", "shop")
    first, between = finding(PLACE._replace(line=3), check="WL-05"), finding(PLACE._replace(line=4), namespace)
    found = grouped([first, between, finding(PLACE)])
    assert [(subject, [row.check.id for row in rows]) for (_, subject), rows in found.items()] == [
        (WEB, ["WL-01", "WL-05"]),
        (namespace, ["WL-01"]),
    ]


def test_junit_is_xml_whatever_an_object_or_a_file_is_called() -> None:
    strange = Subject("v1", "Pod", "shop", "w\x01\x1beb\ufffe")
    report = Report(
        findings=[finding(Place("a\x02.yaml", 1, 1), strange)],
        problems=[Problem(Place("b\x03.yaml"), "unreadable", "gone\x04")],
        checks=[checks.shipped()["WL-01"]],
    )
    root = ElementTree.fromstring(command.rendered(report, "junit"))
    assert [case.get("name") for case in root.iter("testcase")] == [
        "Pod shop/w\\x01\\x1beb\\ufffe a\\x02.yaml:1:1",
        "b\\x03.yaml",
    ]


@pytest.mark.parametrize("message", ["it is binary", "it is binary."])
def test_what_could_not_be_read_is_told_in_sentences_with_what_to_do(message: str) -> None:
    report = Report(problems=[Problem(Place("a.yaml", 2, 1), "binary", message, "Leave it out.")])
    for form in ("sarif", "junit", "code-quality", "html"):
        assert "it is binary. Leave it out." in said(report, form), form
    assert "    it is binary. Leave it out." in list(as_terminal.render(report))


def test_what_could_not_be_read_is_an_error_in_policy_reports_too() -> None:
    problem = Problem(Place("a.yaml", 2, 1), "binary", "it is binary", "Leave it out.")
    whole, shop = yaml.safe_load_all(said(Report(findings=[finding(PLACE)], problems=[problem]), "policy-report"))
    assert (whole["kind"], shop["kind"]) == ("ClusterPolicyReport", "PolicyReport")
    assert whole["summary"] == {"pass": 0, "fail": 0, "warn": 0, "error": 1, "skip": 0}
    (told,) = whole["results"]
    assert (told["policy"], told["result"], told["message"]) == ("binary", "error", "it is binary. Leave it out.")
    assert told["properties"] == {"place": "a.yaml:2:1"}
    assert "resources" not in told


def test_what_could_not_be_evaluated_is_told_with_what_to_do() -> None:
    error = finding(PLACE)._replace(status=Status.ERROR, message="expression resulted in error")
    report = Report(checks=[error.check], findings=[error])
    assert as_terminal.UNEVALUATED in printed(error)
    assert f'<span class="quiet">{as_terminal.UNEVALUATED}</span>' in said(report, "html")
    (told,) = ElementTree.fromstring(said(report, "junit").encode()).iter("error")
    assert told.text == f"{PLACE} {FIELD}\n{as_terminal.UNEVALUATED}"


def test_an_exception_that_has_ended_is_told_on_the_page_too() -> None:
    ended = finding(PLACE)._replace(reason="its exception has expired: until 2026-01-01")
    assert "its exception has expired: until 2026-01-01" in said(Report(findings=[ended]), "html")


def test_the_page_counts_what_neither_passed_nor_failed() -> None:
    unknown = finding(PLACE)._replace(status=Status.UNKNOWN)
    page = said(Report(findings=[unknown], problems=[Problem(Place("a.yaml"), "binary", "it is binary")]), "html")
    assert "0 passed, 1 unknown, 1 unreadable</p>" in page


def test_one_of_a_thing_is_not_told_as_many() -> None:
    assert as_terminal.summary(Report(files=1, objects=1, checks=[checks.shipped()["WL-01"]]).tally()) == (
        "1 file, 1 object, 1 check: nothing failed; 0 passed"
    )
