"""Prometheus metrics of a scan, for a textfile collector or a push gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dabbawala.guard.findings import Report

_FINDINGS = "dabbawala_guard_findings"
_PASSED = "dabbawala_guard_passed"
_PROBLEMS = "dabbawala_guard_problems"


def render(report: Report) -> bytes:
    return ("\n".join(_lines(report)) + "\n").encode()


def _lines(report: Report) -> Iterator[str]:
    counts = Counter(
        (item.check.id, item.check.severity, item.status.value, item.subject.namespace) for item in report.findings
    )
    yield f"# HELP {_FINDINGS} Objects that a check does not pass, by check, severity, status and namespace."
    yield f"# TYPE {_FINDINGS} gauge"
    for (check, severity, status, namespace), count in sorted(counts.items()):
        labels = f'check="{check}",severity="{severity}",status="{status}",namespace="{_escaped(namespace)}"'
        yield f"{_FINDINGS}{{{labels}}} {count}"
    yield f"# HELP {_PASSED} Objects that passed a check."
    yield f"# TYPE {_PASSED} gauge"
    for check_id, count in sorted(report.passed.items()):
        yield f'{_PASSED}{{check="{check_id}"}} {count}'
    yield f"# HELP {_PROBLEMS} Inputs that could not be read."
    yield f"# TYPE {_PROBLEMS} gauge"
    yield f"{_PROBLEMS} {len(report.problems)}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
