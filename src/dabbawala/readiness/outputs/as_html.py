"""A page for a go-live meeting: self-contained, no script needed, prints well."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from dabbawala.apimachinery import clock
from dabbawala.readiness import verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.judgement import Category, Item, Judgement, Proof, Result
from dabbawala.readiness.outputs.as_json import level, passes

STYLE = """
:root{--pass:#047857;--warn:#b45309;--fail:#dc2626;--unknown:#6b7280}
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:1040px;margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.4rem;border-top:1px solid #e5e7eb;padding-top:1.2rem}
h3{font-size:1rem;margin:1.8rem 0 .3rem;display:flex;gap:.6rem;align-items:baseline}p.lead{color:#6b7280;margin-top:0}
table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:14px}td code{display:inline-block}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #e5e7eb;vertical-align:top}
td.n{width:3rem;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font-size:12.5px;color:#4b5563;word-break:break-word}td.r{width:5.5rem;font-weight:600;white-space:nowrap}
.verdict{display:flex;gap:1.4rem;align-items:center;border:1px solid #e5e7eb;border-left:.5rem solid var(--c);
border-radius:.5rem;padding:1rem 1.3rem;margin:1.2rem 0}.verdict b{font-size:1.7rem;color:var(--c);line-height:1.1}
.verdict .score{margin-left:auto;text-align:right;white-space:nowrap}.verdict .score b{color:inherit}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr));gap:.8rem;margin:1.2rem 0}
.tile{border:1px solid #e5e7eb;border-radius:.5rem;padding:.6rem .9rem;font-size:13.5px}
.tile b{display:block;font-size:1.4rem;line-height:1.3;font-variant-numeric:tabular-nums}
.bar{height:.35rem;border-radius:1rem;background:#e5e7eb;margin-top:.4rem}.bar i{display:block;height:100%;
border-radius:1rem;background:var(--c)}.good{--c:var(--pass)}.fair{--c:var(--warn)}.poor{--c:var(--fail)}
.pass{color:var(--pass)}.warn{color:var(--warn)}.fail{color:var(--fail)}.unknown{color:var(--unknown)}
.quiet{color:#6b7280}.small{font-size:12.5px}.badge{font-size:11px;font-weight:600;border-radius:1rem;
padding:.05rem .5rem;border:1px solid currentColor;white-space:nowrap}
.do{color:#047857;margin:.15rem 0 0;display:flex;gap:.4rem}
.imported{color:#7c3aed}.attestation{color:#0369a1}.measurement,.record{color:#0f766e}
@media print{body{margin:0;max-width:none}tr,.tile{break-inside:avoid}}
"""
_LEVELS = {"approved": "good", "conditional": "fair", "rejected": "poor"}
_WORDS = {Result.PASS: "✔ pass", Result.WARN: "! warn", Result.FAIL: "✖ fail", Result.UNKNOWN: "? unknown"}
_OF_PEOPLE = ("imported", "attestation", "measurement", "record")
"""Origins that a reader must see at once: not the cluster itself says so."""
PROOFS_SHOWN = 4


def render(found: Assessment) -> bytes:
    where = f"{found.namespace}/{found.service}"
    lead = f"{found.workload}, looked at on {clock.format_time(found.at)}, by the {found.verdict.profile} profile"
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Readiness of {escape(where)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>
<h1>Readiness of {escape(where)}</h1><p class="lead">{escape(lead)}</p>
{_verdict(found)}<div class="tiles">{"".join(_tile(found, category) for category in CATEGORIES)}</div>
{_problems(found)}{_blockers(found)}{_changes(found)}{_steps(found)}
<h2>Items</h2>{"".join(_category(found, category) for category in CATEGORIES)}</html>
"""
    return page.encode()


def _verdict(found: Assessment) -> str:
    said = found.verdict
    reasons = "; ".join(said.reasons)
    return (
        f'<div class="verdict {_LEVELS[said.approval]}"><div><b>{escape(said.word.upper())}</b><br>'
        f'<span class="quiet">{escape(reasons)}</span></div>'
        f'<div class="score"><b>{verdict.shown(said.score)} %</b><br>'
        f'<span class="quiet">{said.passed} of {len(ITEMS)} items pass</span></div></div>'
    )


def _tile(found: Assessment, category: Category) -> str:
    share = found.category_score(category)
    return (
        f'<div class="tile {level(found, category)}"><b>{passes(found, category)}/{len(category.items)}</b>'
        f'{escape(category.title)}<div class="bar"><i style="width:{int(share)}%"></i></div></div>'
    )


def _problems(found: Assessment) -> str:
    if not found.problems:
        return ""
    rows = "".join(f'<tr><td class="fail">{escape(str(problem))}</td></tr>' for problem in found.problems)
    return f"<h2>Evidence is not whole, so none of it counts</h2><table>{rows}</table>"


def _blockers(found: Assessment) -> str:
    rows = "".join(
        f'<tr><td class="r {found.results[name].result}">{_WORDS[found.results[name].result]}</td>'
        f"<td><b>{name}</b><br>{escape(found.results[name].message)}</td></tr>"
        for name in found.verdict.blockers
    )
    return f"<h2>Blockers</h2><p>No score makes up for these.</p><table>{rows}</table>" if rows else ""


def _changes(found: Assessment) -> str:
    rows = "".join(
        f'<tr><td class="n pass">+{verdict.shown(change.gain)}</td><td><b>{change.item.id}</b> '
        f'<span class="quiet">{escape(change.item.title)}</span><br><code>{escape(change.remedy)}</code></td></tr>'
        for change in found.changes
    )
    return f"<h2>What raises the score most</h2><table>{rows}</table>" if rows else ""


def _steps(found: Assessment) -> str:
    accepted = _list(f"{name}: {said}" for name, said in found.excepted.items())
    exceptions = f"<h2>Accepted by exceptions</h2>{accepted}" if found.excepted else ""
    return f"{exceptions}<h2>Next steps</h2>{_list(found.next_steps)}"


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_coded(line)}</li>' for line in lines)}</ul>"


def _coded(line: str) -> str:
    """Text in which `this` is code."""
    parts = escape(line, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _category(found: Assessment, category: Category) -> str:
    rows = "".join(_item(found, item, found.results[item.id]) for item in category.items)
    share = verdict.shown(found.category_score(category))
    count = f"{passes(found, category)} of {len(category.items)}, {share} %"
    return f'<h3>{escape(category.title)}<span class="quiet small">{count}</span></h3><table>{rows}</table>'


def _item(found: Assessment, item: Item, said: Judgement) -> str:
    critical = ' <span class="badge fail">critical</span>' if item.is_critical else ""
    origins = sorted({proof.origin for proof in said.proofs} & set(_OF_PEOPLE))
    labels = "".join(f' <span class="badge {origin}">{origin}</span>' for origin in origins)
    do = "" if said.result is Result.PASS else f'<p class="do">→ <code>{escape(found.remedy(item))}</code></p>'
    return (
        f'<tr><td class="r {said.result}">{_WORDS[said.result]}</td><td><b>{escape(item.title)}</b>{critical}{labels} '
        f"<code>{item.id}</code><br>{escape(said.message)}{_proofs(said.proofs)}{do}</td></tr>"
    )


def _proofs(proofs: tuple[Proof, ...]) -> str:
    lines = [
        f"{escape(proof.reference)} at {escape(proof.at)}, <code>{escape(proof.digest[:19])}…</code>"
        for proof in proofs[:PROOFS_SHOWN]
    ]
    more = [f"and {len(proofs) - PROOFS_SHOWN} more"] if len(proofs) > PROOFS_SHOWN else []
    return f'<div class="quiet small">{"<br>".join([*lines, *more])}</div>' if lines else ""
