"""How rollouts look in a terminal: the panel of one, the table of many, the timeline of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import phases, spec, tree
from dabbawala.rollout.rehearsal import Moment, Timeline
from dabbawala.rollout.tree import BAD, BUSY, GOOD, IDLE, WAITING, Row, Summary

COLORS = {GOOD: "green", BUSY: "yellow", WAITING: "cyan", BAD: "red", IDLE: "bright_black"}
MARKS = {GOOD: "✔", BUSY: "◌", WAITING: "॥", BAD: "✖", IDLE: "•"}
BAR_WIDTH = 30


def panel(summary: Summary) -> Panel:
    """Everything about one rollout."""
    parts: list[RenderableType] = [_head(summary)]
    bars = _bars(summary)
    if bars is not None:
        parts += [Text(""), bars]
    parts += [Text(""), _tree(summary.tree)]
    color = COLORS[summary.tone]
    return Panel(Group(*parts), title=f"{summary.namespace}/{summary.name}", border_style=color, title_align="left")


def _head(summary: Summary) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("Status", _status(summary.tone, summary.phase, summary.message))
    grid.add_row("Strategy", summary.strategy)
    grid.add_row("Images", Text("\n".join(f"{image}  ({role})" if role else image for image, role in summary.images)))
    grid.add_row("Replicas", "  ".join(f"{name} {count}" for name, count in summary.replicas))
    return grid


def _status(tone: str, phase: str, message: str) -> Text:
    text = Text(f"{MARKS[tone]} {phase}", style=COLORS[tone])
    return text.append(f"  {message}", style="default") if message else text


def _bars(summary: Summary) -> Table | None:
    """Steps done and the canary's share of traffic, as bars."""
    progress = summary.progress
    if not progress.total and progress.actual is None:
        return None
    grid = Table.grid(padding=(0, 2))
    if progress.total:
        share = progress.done / progress.total
        grid.add_row("Step", _bar(share, "blue"), f"{progress.done}/{progress.total} {progress.step}")
    if progress.actual is not None:
        wanted = f", step asks for {progress.wanted}" if progress.wanted not in (None, progress.actual) else ""
        text = f"{progress.actual} % to the new revision{wanted}"
        grid.add_row("Weight", _bar(progress.actual / 100, "magenta"), text)
    return grid


def _bar(share: float, color: str) -> Text:
    filled = round(max(0.0, min(1.0, share)) * BAR_WIDTH)
    return Text("█" * filled, style=color).append("░" * (BAR_WIDTH - filled), style="bright_black")


def _tree(row: Row) -> Tree:
    root = Tree(_line(row), guide_style="bright_black")
    _grow(root, row.children)
    return root


def _grow(branch: Tree, rows: Iterable[Row]) -> None:
    for row in rows:
        _grow(branch.add(_line(row)), row.children)


def _line(row: Row) -> Text:
    text = Text(row.name, style="bold" if not row.kind else "default")
    if row.kind:
        text.append(f"  {row.kind}", style="bright_black")
    if row.status:
        text.append(f"  {MARKS[row.tone]} {row.status}", style=COLORS[row.tone])
    for extra in (row.age, row.info):
        if extra:
            text.append(f"  {extra}", style="default")
    return text


def table(rollouts: Sequence[Object], *, with_namespace: bool) -> Table:
    """Many rollouts, one a line."""
    shown = Table(box=None, pad_edge=False)
    names = ("NAME", "STRATEGY", "STATUS", "STEP", "WEIGHT", "READY", "DESIRED", "UP-TO-DATE", "AVAILABLE")
    for name in ("NAMESPACE", *names) if with_namespace else names:
        shown.add_column(name)
    for item in sorted(rollouts, key=meta.key):
        shown.add_row(*([meta.namespace(item)] if with_namespace else []), *_cells(item))
    return shown


def _cells(item: Object) -> list[str | Text]:
    status, progress = item.get("status") or {}, tree.progress(item)
    phase, _ = phases.seen_by_client(item) if status else (phases.PROGRESSING, "")
    ready = f"{int(status.get('readyReplicas') or 0)}/{int(status.get('replicas') or 0)}"
    return [
        meta.name(item),
        "BlueGreen" if spec.blue_green(item) is not None else "Canary",
        Text(phase, style=COLORS[tree.TONES[phase]]),
        f"{progress.done}/{progress.total}" if progress.total else "-",
        "-" if progress.actual is None else str(progress.actual),
        ready,
        str(spec.replicas(item)),
        str(int(status.get("updatedReplicas") or 0)),
        str(int(status.get("availableReplicas") or 0)),
    ]


def timeline(rollout: Object, found: Timeline, pod_seconds: float, assumed: Sequence[str]) -> Group:
    """A plan: each moment at which something is different from then on."""
    shown = Table(box=None, pad_edge=False)
    for name, side in (("AT", "right"), ("STEP", "left"), ("WEIGHT", "right"), ("NEW", "right"), ("STABLE", "right"),
                       ("OLDER", "right"), ("PODS", "right"), ("STATUS", "left")):  # fmt: skip
        shown.add_column(name, justify="right" if side == "right" else "left")
    for moment in _last_of_each(found):
        color = COLORS[tree.TONES.get(moment.phase, BUSY)]
        counts = (f"{moment.weight} %", str(moment.new), str(moment.stable), str(moment.others), str(moment.pods))
        shown.add_row(_time(moment.at), moment.step, *counts, Text(moment.phase, style=color))
    whole = f"{_time(found.duration)} in all, at most {found.peak} pods at once, ends {found.ended}"
    notes = [f"{meta.key(rollout)}: {whole}"]
    notes.append(f"assumed: a pod is available after {pod_seconds:g} s; every analysis passes")
    if found.decisions:
        moments = ", ".join(map(_time, found.decisions))
        notes.append(f"waits for a person at {moments} (promoted at once here)")
    if assumed:
        notes.append(f"assumed, as the files do not hold them: {', '.join(assumed)}")
    return Group(shown, *(Text(note) for note in notes))


def _last_of_each(found: Timeline) -> list[Moment]:
    """One line for each moment in time, step and count: what holds when it has settled."""
    kept: list[Moment] = []
    for moment in found.moments:
        if kept and kept[-1].at == moment.at and kept[-1].step == moment.step:
            kept.pop()
        kept.append(moment)
    return kept


def _time(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
