"""A page for an auditor: self-contained, no script needed, prints well."""

from __future__ import annotations

import html
from collections.abc import Iterable

from dabbawala.apimachinery import clock
from dabbawala.guard.frameworks.assessment import (
    SENTENCES,
    Assessment,
    ClauseResult,
    NamedResult,
    Seen,
    State,
    counts,
)
from dabbawala.guard.frameworks.catalogue import Framework
from dabbawala.guard.frameworks.outputs.as_terminal import NOTE, WORDS, counted
from dabbawala.guard.outputs.as_html import STYLE, unread

MORE = """
.supports{color:#047857}.partial{color:#0369a1}.failed{color:#dc2626}.unknown,.needs-evidence,.needs-attestation{color:#d97706}
td small{display:block;color:#6b7280;font-size:12.5px}
.clauses{table-layout:fixed}.clauses th:nth-child(1){width:8rem}.clauses th:nth-child(3){width:9.5rem}
.clauses th:nth-child(4){width:46%}.clauses .s:first-child,.named .s:first-child{white-space:normal}
@media(max-width:40rem){.clauses tr:first-child{display:none}.clauses tr,.named tr{display:flex;flex-wrap:wrap;
border-bottom:1px solid #e5e7eb}.clauses td,.named td{border:0;padding:.2rem .6rem .2rem 0;flex-basis:100%}}
"""


def render(found: Assessment) -> bytes:
    when = clock.format_time(found.now)
    body = "".join(_framework(framework, results) for framework, results in found.frameworks)
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Evidence by clause</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}{MORE}</style>
<h1>Evidence by clause</h1><p class="lead">{when}, {found.report.objects} objects, {len(found.report.checks)} checks</p>
<p>{html.escape(NOTE)}</p>{_named(found.named)}{body}{unread(found.report.problems)}</html>
"""
    return page.encode()


def _framework(framework: Framework, results: Iterable[ClauseResult]) -> str:
    rows = list(results)
    tiles = "".join(
        f'<div class="tile"><b class="{state.value}">{count}</b>{WORDS[state]}</div>'
        for state, count in counts(rows).items()
    )
    whole = "" if framework.whole else " Only clauses that a cluster or a record can show something about are here."
    about = html.escape(f"{framework.about}{whole} {framework.standing}")
    head = "<tr><th>Clause</th><th></th><th>State</th><th>Checks and records</th></tr>"
    return (
        f'<h2>{html.escape(framework.title)}</h2><p class="quiet">{about}</p><div class="tiles">{tiles}</div>'
        f'<table class="clauses">{head}{"".join(map(_clause, rows))}</table>'
    )


def _clause(result: ClauseResult) -> str:
    about = result.clause
    statement = f"{SENTENCES[result.state]} {about.name}"
    return (
        f'<tr><td class="s">{html.escape(about.id)}</td>'
        f"<td>{html.escape(about.title)}<small>{html.escape(statement)}</small></td>"
        f'<td class="s {result.state.value}">{WORDS[result.state]}</td><td>{_shown(result)}</td></tr>'
    )


def _shown(result: ClauseResult) -> str:
    parts = [_seen(each) for each in result.seen]
    if result.against:
        parts.append("failing: " + html.escape(", ".join(map(str, result.against))))
    if result.state in (State.NEEDS_EVIDENCE, State.NEEDS_ATTESTATION):
        parts.append("to keep: " + html.escape(result.clause.keep))
    parts += [html.escape(f"counted: {record}") for record in result.records]
    parts += [html.escape(f"not counted: {record}: {reason}") for record, reason in result.refused]
    return "".join(f"<small>{part}</small>" for part in parts)


def _seen(each: Seen) -> str:
    control = each.support.control
    return html.escape(f"{each.support.check} ({control.strength}: {control.reason}): {counted(each)}")


def _named(found: Iterable[NamedResult]) -> str:
    rows = "".join(map(_question, sorted(found, key=lambda result: not result.named.flag)))
    return f'<h2>Questions by name</h2><table class="named">{rows}</table>' if rows else ""


def _question(result: NamedResult) -> str:
    named, state = result.named, result.state
    return (
        f'<tr><td class="s">{html.escape(named.name)}</td><td>{html.escape(named.title)}{_declared(result)}</td>'
        f'<td class="s {state.value}">{WORDS[state]}</td></tr>'
    )


def _declared(result: NamedResult) -> str:
    return "".join(
        f"<small>declared: {html.escape(item.setting)} by {html.escape(str(item.subject))} "
        f"{html.escape(str(item.place))}</small>"
        for item in result.declared
    )
