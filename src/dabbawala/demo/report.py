"""The report on paper: `demo-report.json` for machines and a self-contained `demo-report.html` for people."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, float]
WIDTH, HEIGHT, LEFT, BOTTOM = 860, 150, 44, 18
COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed")
FAILED = "#dc2626"

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:940px;margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.4rem;border-top:1px solid #e5e7eb;padding-top:1.2rem}
p.lead{color:#6b7280;margin-top:0}table{border-collapse:collapse;width:100%;margin:.8rem 0;font-size:14px}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e5e7eb;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:#047857;font-weight:600}
.bad{color:#b91c1c;font-weight:600}figure{margin:1rem 0}figcaption{font-size:13px;color:#4b5563;margin-bottom:.2rem}
.key{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin:0 .3em 0 .9em}svg text{font-size:10px;fill:#6b7280}
"""


def page(report: dict[str, Any], plots: Sequence[list[Row]]) -> str:
    """The HTML page; `plots` holds the per-second rows of each release."""
    releases = report["releases"]
    sections = "".join(_release(release, rows) for release, rows in zip(releases, plots, strict=True))
    result = (
        '<span class="good">every promise held</span>'
        if report["passed"]
        else '<span class="bad">a promise broke</span>'
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>dabbawala demo report</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>
<h1>Three releases under live traffic</h1>
<p class="lead">{html.escape(report["finished"])} · {html.escape(report["machine"])} · {result}</p>
{_cluster(report)}{sections}
<h2>How this was measured</h2><ul>{"".join(f"<li>{html.escape(line)}</li>" for line in report["method"])}</ul></html>
"""


def shown(value: object, unit: str = "") -> str:
    """A measured value, or the plain statement that there is none."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><td>{html.escape(a)}</td><td class="n">{html.escape(b)}</td></tr>' for a, b in rows)
    return f"<table>{cells}</table>"


def _cluster(report: dict[str, Any]) -> str:
    rows = [
        ("API ready after", shown(report["cluster_ready_seconds"], "s")),
        ("First pod Ready after", shown(report["first_pod_ready_seconds"], "s")),
        ("First answer of a Service after", shown(report["first_answer_seconds"], "s")),
        ("Traffic through the edge", shown(report["rate"], "requests/s, open loop")),
        *((f"Scaled: {name}", str(value)) for name, value in report["scaling"].items()),
    ]
    return _table(rows)


def outcome_rows(release: dict[str, Any]) -> list[tuple[str, str]]:
    """The outcome table of a release, for the page and for the terminal."""
    return [
        ("Outcome", release["outcome"] or "none"),
        ("Requests", shown(release["requests_total"])),
        ("Requests failed", shown(release["requests_failed"])),
        ("… of which answered by the bad version", shown(release["requests_failed_by_bad_version"])),
        ("p99 before / during", f"{shown(release['p99_ms_before'])} / {shown(release['p99_ms_during'], 'ms')}"),
        ("Route written to accepted by every node, longest", shown(release["switch_seconds"], "s")),
        ("First bad answer to failed verdict", shown(release["detect_seconds"], "s")),
        ("Verdict to last answer of the bad version", shown(release["rollback_seconds"], "s")),
        ("Counted by Envoy", shown(release["envoy"].get("requests"))),
        ("Release took", shown(release["seconds"], "s")),
    ]


def _release(release: dict[str, Any], rows: list[Row]) -> str:
    versions = [release["from"], release["to"]]
    title = f"{release['name']}: {release['from']} → {release['to']}"
    state = "good" if not release["wrong"] else "bad"
    wrong = "".join(f'<p class="bad">{html.escape(line)}</p>' for line in release["wrong"])
    steps = "".join(_step(step) for step in release["steps"])
    head = "".join(
        f'<th class="n">{name}</th>' for name in ("at s", "weight", "requests", "new version %", "failed", "p99 ms")
    )
    return f"""<h2>{html.escape(title)} <span class="{state}">{html.escape(release["outcome"] or "no outcome")}</span></h2>
{wrong}{_table(outcome_rows(release))}
{_figure("Answers a second, by version", rows, versions, release["steps"])}
{_figure("p99 latency, ms from the intended send time", rows, ["p99_ms"], release["steps"])}
<table><tr><th>step</th>{head}</tr>{steps}</table>"""


def _step(step: dict[str, Any]) -> str:
    cells = (step["at"], step["weight"], step["requests"], step["share_percent"], step["failed"], step["p99_ms"])
    inside = "".join(f'<td class="n">{"" if cell is None else f"{cell:,}"}</td>' for cell in cells)
    return f"<tr><td>{html.escape(step['name'])}</td>{inside}</tr>"


def _figure(title: str, rows: list[Row], names: list[str], steps: list[dict[str, Any]]) -> str:
    drawn = [*names, "failed"] if "p99_ms" not in names else names
    seconds = max((row["second"] for row in rows), default=1) or 1
    highest = max((row.get(name, 0) for row in rows for name in drawn), default=1) or 1

    def x(second: float) -> float:
        return LEFT + second / seconds * (WIDTH - LEFT)

    def y(value: float) -> float:
        return (HEIGHT - BOTTOM) * (1 - value / highest) + 4

    lines = "".join(_line(rows, name, colour, x, y) for name, colour in zip(drawn, _colours(drawn), strict=True))
    first = rows[0]["second"] if rows else 0
    marks = "".join(
        f'<line x1="{x(s["at"] + first):.1f}" x2="{x(s["at"] + first):.1f}" y1="4" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>'
        for s in steps
    )
    keys = "".join(
        f'<span class="key" style="background:{colour}"></span>{html.escape(name.replace("p99_ms", "p99"))}'
        for name, colour in zip(drawn, _colours(drawn), strict=True)
    )
    return f"""<figure><figcaption>{title}{keys}</figcaption>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="{title}">{marks}{lines}
<text x="0" y="12">{highest:,.4g}</text><text x="0" y="{HEIGHT - BOTTOM}">0</text>
<text x="{LEFT}" y="{HEIGHT - 4}">0 s</text><text x="{WIDTH - 34}" y="{HEIGHT - 4}">{seconds:.0f} s</text></svg></figure>"""


def _colours(names: list[str]) -> list[str]:
    return [FAILED if name == "failed" else COLOURS[index % len(COLOURS)] for index, name in enumerate(names)]


def _line(rows: list[Row], name: str, colour: str, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = " ".join(f"{x(row['second']):.1f},{y(row.get(name, 0)):.1f}" for row in rows)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>'
