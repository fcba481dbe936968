"""An assessment for a person at a terminal: the verdict, the categories, what stands in the way, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dabbawala.apimachinery import clock
from dabbawala.readiness import verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.checklist import Tick
from dabbawala.readiness.judgement import Result
from dabbawala.readiness.outputs.as_json import level, passes
from dabbawala.readiness.roadmap import PHASES, open_items
from dabbawala.readiness.verdict import Approval

ICONS = {"good": ("●", "green"), "fair": ("◐", "yellow"), "poor": ("○", "red")}
MARKS = {
    Result.PASS: ("✔", "green"),
    Result.WARN: ("!", "yellow"),
    Result.FAIL: ("✖", "red"),
    Result.UNKNOWN: ("?", "bright_black"),
}
COLORS = {Approval.APPROVED: "bold green", Approval.CONDITIONAL: "bold yellow", Approval.REJECTED: "bold red"}


def render(found: Assessment) -> RenderableType:
    parts: list[RenderableType] = [_head(found), _categories(found)]
    if found.problems:
        parts += [_title("Evidence is not whole, so none of it counts"), _lines(map(str, found.problems))]
    parts += [_title("Items"), _items(found)]
    if found.verdict.blockers:
        parts += [_title("Blockers"), _blockers(found)]
    changes = found.changes
    if changes:
        parts += [_title("What raises the score most"), _changes(found)]
    if found.excepted:
        lines = (f"{name}: {said}" for name, said in found.excepted.items())
        parts += [_title("Accepted by exceptions"), _lines(lines)]
    return Group(*parts, _title("Next steps"), _lines(found.next_steps))


def _head(found: Assessment) -> Text:
    said = found.verdict
    where = f"{found.namespace}/{found.service}"
    text = Text.assemble(
        (where, "bold"), f" ({found.workload})  ", (said.word.upper(), COLORS[said.approval]),
        f"  score {verdict.shown(said.score)}, {said.passed} of {len(ITEMS)} pass  ",
        (f"{said.profile}, {clock.format_time(found.at)}", "bright_black"),
    )  # fmt: skip
    return text.append("\n" + "; ".join(said.reasons) + "\n")


def _categories(found: Assessment) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "CATEGORY", "PASSED", "SHARE"):
        grid.add_column(name, justify="right" if name in ("PASSED", "SHARE") else "left", no_wrap=True)
    for category in CATEGORIES:
        icon, color = ICONS[level(found, category)]
        share = f"{verdict.shown(found.category_score(category))} %"
        grid.add_row(Text(icon, style=color), category.title, f"{passes(found, category)}/{len(category.items)}", share)
    return grid


def _items(found: Assessment) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, min_width=max(len(item.id) for item in ITEMS))
    grid.add_column(overflow="fold")
    for category in CATEGORIES:
        for item in category.items:
            said = found.results[item.id]
            mark, color = MARKS[said.result]
            name = Text(item.id, style="bold" if item.is_critical else "")
            grid.add_row(Text(f"{mark} {said.result}", style=color), name, Text(said.message))
    return Padding(grid, (0, 0, 0, 2))


def _blockers(found: Assessment) -> Text:
    lines = [
        Text.assemble("  ", ("✖", "red"), "  ", (name, "bold"), f"  {found.results[name].message}")
        for name in found.verdict.blockers
    ]
    return Text("\n").join(lines)


def _changes(found: Assessment) -> Text:
    """Commands stand on lines of their own and are never broken, so that they can be taken as they are."""
    lines = []
    for change in found.changes:
        blocks = " (blocks)" if change.item.id in found.verdict.blockers else ""
        points = Text(f"  +{verdict.shown(change.gain):5}", style="green")
        lines.append(Text.assemble(points, (change.item.id, "bold"), blocks, f"  {change.item.title}"))
        lines.append(Text(f"        {change.remedy}", style="cyan"))
    return Text("\n").join(lines)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _lines(lines: Iterable[str]) -> Text:
    return Text("\n".join(f"  {line}" for line in lines))


def checklist(ticks: list[Tick]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    group = ""
    for tick in ticks:
        if tick.point.group != group:
            group = tick.point.group
            grid.add_row(Text(group, style="bold"), "", "")
        mark = Text("☑", style="green") if tick.done else Text("☐", style="red")
        grid.add_row(mark, tick.point.title, Text(tick.message, style="bright_black"))
    done = sum(tick.done for tick in ticks)
    return Group(grid, Text(f"\n{done} of {len(ticks)} are ticked", style="bold"))


def roadmap(found: Assessment) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WEEKS", "PHASE", "DONE", "OPEN"):
        grid.add_column(name, no_wrap=name != "OPEN")
    for phase in PHASES:
        left = open_items(found, phase)
        count = f"{len(phase.items) - len(left)}/{len(phase.items)}"
        grid.add_row(phase.weeks, phase.title, Text(count, style="red" if left else "green"), ", ".join(left))
    return grid
