"""JUnit XML, as pipelines show tests: a suite per check, a case per object that failed it.

Passes are counted, one case for all of a check; 200 lines of green cases help nobody.
"""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree as xml

from dabbawala.guard.checks import Check
from dabbawala.guard.findings import Finding, Place, Report, Status
from dabbawala.guard.outputs.as_terminal import UNEVALUATED


def render(report: Report) -> bytes:
    root = xml.Element("testsuites", name="dabbawala guard")
    by_check: dict[str, list[Finding]] = defaultdict(list)
    for item in report.findings:
        by_check[item.check.id].append(item)
    for check in report.checks:
        found = by_check[check.id]
        passed = report.passed.get(check.id, 0)
        if found or passed:
            root.append(_suite(check, found, passed))
    if report.problems:
        root.append(_problems(report))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    xml.indent(root)
    text: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(check: Check, found: list[Finding], passed: int) -> xml.Element:
    suite = xml.Element("testsuite", name=f"{check.id} {check.title}")
    counts = {"tests": len(found) + bool(passed), "failures": 0, "errors": 0, "skipped": 0}
    if passed:
        xml.SubElement(suite, "testcase", classname=check.id, name=f"{passed} passed")
    for item in found:
        name = _clean(f"{item.subject} {item.place}".strip())
        case = xml.SubElement(suite, "testcase", classname=check.id, name=name)
        if item.status is Status.FAIL:
            counts["failures"] += 1
            node = xml.SubElement(case, "failure", type=check.severity, message=_clean(item.message))
            node.text = _clean("\n".join((*map(_told, (item.place, *item.also)), check.remedy)))
        elif item.status is Status.ERROR:
            counts["errors"] += 1
            node = xml.SubElement(case, "error", type="error", message=_clean(item.message))
            node.text = _clean(f"{_told(item.place)}\n{UNEVALUATED}")
        else:
            counts["skipped"] += 1
            xml.SubElement(case, "skipped", message=_clean(item.reason or item.message))
    for name, count in counts.items():
        suite.set(name, str(count))
    return suite


def _problems(report: Report) -> xml.Element:
    count = str(len(report.problems))
    suite = xml.Element("testsuite", name="Input", tests=count, failures="0", errors=count, skipped="0")
    for item in report.problems:
        case = xml.SubElement(suite, "testcase", classname=item.code, name=_clean(str(item.place) or item.code))
        xml.SubElement(case, "error", type=item.code, message=_clean(item.text))
    return suite


def _told(place: Place) -> str:
    return f"{place} {place.field}".strip()


def _clean(text: str) -> str:
    """What XML 1.0 cannot carry is shown escaped. Source: XML 1.0 section 2.2."""
    return "".join(
        char if char in "\t\n" or (char >= " " and char not in "\ufffe\uffff") else repr(char)[1:-1] for char in text
    )
