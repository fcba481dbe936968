"""How checks look in a terminal: the table of all, the page of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from dabbawala.guard.checks import Check
from dabbawala.guard.frameworks.catalogue import KINDS, Framework, Support
from dabbawala.guard.outputs.as_terminal import COLORS

PIPED_WIDTH = 240
"""Characters of a line that a program reads: a list that is searched by line must not be wrapped."""


def show(made: RenderableType) -> None:
    """Print as wide as the terminal; for a program wide, and without spaces at the ends of lines."""
    console = Console()
    if console.is_terminal:
        console.print(made)
        return
    console.width = PIPED_WIDTH
    with console.capture() as text:
        console.print(made)
    console.file.writelines(f"{line.rstrip()}\n" for line in text.get().splitlines())


def table(checks: Iterable[Check]) -> Table:
    found = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("CHECK", "SEVERITY", "AREA", "ENFORCEABLE", "TITLE"):
        found.add_column(title, no_wrap=title != "TITLE")
    for check in checks:
        severity = Text(check.severity, style=COLORS[check.severity])
        found.add_row(check.id, severity, check.area, "yes" if check.native else "scan only", check.title)
    return found


def page(check: Check) -> RenderableType:
    """Everything about one check, its expressions included."""
    head = Text.assemble(
        (f"{check.id} ", "bold"), (check.title, "bold"), "  ", (check.severity, COLORS[check.severity])
    )
    parts: list[RenderableType] = [head]
    for title, text in (("Why", check.rationale), ("What to do", check.remedy), ("Repair", _repair(check))):
        if text:
            parts += [Text(f"\n{title}", style="bold"), Padding(Text(text), (0, 2))]
    if check.controls:
        parts += [Text("\nSupports evidence for", style="bold"), Padding(_controls(check), (0, 2))]
    parts += [Text("\nWhat it asks", style="bold"), Padding(_expressions(check), (0, 2))]
    return Group(*parts, Text(""))


def _repair(check: Check) -> str:
    fix = check.fix
    if fix.by_hand:
        return f"By hand. {fix.by_hand}"
    if not fix.steps:
        return ""
    return f"`dabba guard fix --risky` makes it. {fix.risk}" if fix.risk else "`dabba guard fix` makes it."


def _controls(check: Check) -> Table:
    grid = Table.grid(padding=(0, 2))
    for row in check.controls:
        grid.add_row(f"{row.framework} {row.clause}", row.strength, row.reason)
    return grid


def _expressions(check: Check) -> Syntax:
    spec = check.spec
    named = [f"{item['name']} = {item['expression'].strip()}" for item in spec.get("variables") or ()]
    asked = [item["expression"].strip() for item in spec.get("validations") or ()]
    return Syntax("\n".join([*named, "", *asked]), "javascript", background_color="default", word_wrap=True)


Supports = Mapping[str, Sequence[Support]]


def frameworks(found: Iterable[Framework], supports: Supports) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("FRAMEWORK", *(kind.upper() for kind in KINDS), "CHECKS", "TITLE"):
        made.add_column(
            title, no_wrap=title != "TITLE", justify="right" if title.lower() in (*KINDS, "checks") else "left"
        )
    for each in found:
        kinds = [str(sum(clause.kind == kind for clause in each.clauses)) for kind in KINDS]
        looking = {support.check for clause in each.clauses for support in supports.get(clause.name, ())}
        made.add_row(each.name, *kinds, str(len(looking)), each.title)
    return made


def clauses(framework: Framework, supports: Supports) -> RenderableType:
    """Everything about one framework."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("CLAUSE", "KIND", "TITLE", "CHECKS", "TO KEEP"):
        made.add_column(title, no_wrap=title in ("CLAUSE", "KIND"))
    for clause in framework.clauses:
        looking = ", ".join(f"{each.check} {each.control.strength}" for each in supports.get(clause.name, ()))
        made.add_row(Text(clause.id), clause.kind, Text(clause.title), looking, Text(clause.keep))
    about = Text(f"{framework.about}\n{framework.standing}\n")
    return Group(Text(framework.title, style="bold"), about, made, Text(""))
