"""A page for an auditor's browser: self-contained, no script needed, prints well."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator

from dabbawala.guard.checks import SEVERITIES, Check
from dabbawala.guard.findings import Finding, Place, Problem, Report, Status, grouped
from dabbawala.guard.outputs import as_json
from dabbawala.guard.outputs.as_terminal import UNEVALUATED

STYLE = """
:root{--critical:#991b1b;--high:#dc2626;--medium:#d97706;--low:#0369a1;--info:#6b7280}
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:1040px;margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.4rem;border-top:1px solid #e5e7eb;padding-top:1.2rem}
h3{font-size:1rem;margin:1.6rem 0 .3rem}p.lead{color:#6b7280;margin-top:0}
table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:14px}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #e5e7eb;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:12.5px;color:#4b5563;word-break:break-all}
.tiles{display:flex;gap:.8rem;margin:1.2rem 0;flex-wrap:wrap}.tile{flex:1;min-width:7rem;border:1px solid #e5e7eb;
border-radius:.5rem;padding:.6rem .9rem}.tile b{display:block;font-size:1.6rem;line-height:1.2}
.s{font-weight:600;white-space:nowrap}.remedy{color:#047857;margin:.15rem 0 0}.quiet{color:#6b7280}
.critical{color:var(--critical)}.high{color:var(--high)}.medium{color:var(--medium)}.low{color:var(--low)}
.info{color:var(--info)}
.findings,.unread{table-layout:fixed}.findings td:nth-child(1){width:4.8rem}.findings td:nth-child(2){width:4rem}
.findings td:nth-child(3){width:4.8rem}.unread td:nth-child(1){width:16rem}.unread td:nth-child(2){width:8rem}
td,h3{overflow-wrap:anywhere}
@media(max-width:40rem){body{margin:1rem auto}.findings tr,.unread tr{display:flex;flex-wrap:wrap;
border-bottom:1px solid #e5e7eb}.findings td,.unread td{border:0;padding:.2rem .6rem .2rem 0;width:auto!important}
.findings td:last-child,.unread td:last-child{flex-basis:100%}}
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}
"""
_WORDS = {
    Status.FAIL: "",
    Status.ERROR: UNEVALUATED,
    Status.UNKNOWN: "unknown",
    Status.EXCEPTED: "accepted",
}


def render(report: Report) -> bytes:
    counts = as_json.summary(report)
    lead = f"{as_json.inputs(counts)}, {counts['passed']} passed{as_json.undecided(counts)}"
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Guard report</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>
<h1>Guard report</h1><p class="lead">{lead}</p>{_tiles(report)}
{unread(report.problems)}{"".join(_findings(report.findings))}{_checks(report)}</html>
"""
    return page.encode()


def _tiles(report: Report) -> str:
    by_severity = Counter(item.check.severity for item in report.failures)
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b class="{name}">{by_severity[name]}</b>{name}</div>' for name in SEVERITIES
    ) + "</div>"  # fmt: skip


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    yield "<h2>Findings</h2>"
    found = grouped(findings)
    for (file, subject), rows in found.items():
        where = f' <span class="quiet">{html.escape(file)}</span>' if file else ""
        yield f"<h3>{html.escape(str(subject))}{where}</h3>"
        yield f'<table class="findings">{"".join(map(_row, rows))}</table>'
    if not found:
        yield "<p>None.</p>"


def _row(item: Finding) -> str:
    place, severity = item.place, item.check.severity
    state = _WORDS[item.status]
    words = ": ".join(part for part in (state, html.escape(item.reason)) if part)
    said = f'<span class="quiet">{words}</span><br>' if words else ""
    fields = "".join(_field(other, place) for other in (place, *item.also))
    remedy = "" if item.status is Status.EXCEPTED else f'<p class="remedy">→ {html.escape(item.check.remedy)}</p>'
    return (
        f'<tr><td class="quiet">{place.beside(place.file)}</td><td class="s {severity}">{severity}</td>'
        f'<td class="s">{item.check.id}</td><td>{said}{html.escape(item.message)}{fields}{remedy}</td></tr>'
    )


def _field(place: Place, first: Place) -> str:
    """A field at fault, with its place where that is another than the first one's."""
    where = place.beside(first.file)
    words = place.field if where == first.beside(first.file) else f"{place.field} ({where})"
    return f"<br><code>{html.escape(words)}</code>" if place.field else ""


def unread(problems: list[Problem]) -> str:
    if not problems:
        return ""
    rows = "".join(
        f"<tr><td><code>{html.escape(str(item.place))}</code></td><td>{html.escape(item.code)}</td>"
        f"<td>{html.escape(item.text)}</td></tr>"
        for item in problems
    )
    return f'<h2>Could not be read</h2><table class="unread">{rows}</table>'


def _checks(report: Report) -> str:
    failed = Counter(item.check.id for item in report.failures)
    rows = "".join(_check(check, failed[check.id], report.passed.get(check.id, 0)) for check in report.checks)
    head = '<tr><th>Check</th><th></th><th>Severity</th><th class="n">Failed</th><th class="n">Passed</th></tr>'
    return f"<h2>Checks</h2><table>{head}{rows}</table>"


def _check(check: Check, failed: int, passed: int) -> str:
    controls = ", ".join(f"{row.framework} {row.clause}" for row in check.controls if row.strength == "direct")
    note = f'<br><span class="quiet">supports evidence for {html.escape(controls)}</span>' if controls else ""
    return (
        f'<tr><td class="s">{check.id}</td><td>{html.escape(check.title)}{note}</td>'
        f'<td class="s {check.severity}">{check.severity}</td><td class="n">{failed or ""}</td>'
        f'<td class="n">{passed or ""}</td></tr>'
    )
