"""What the demo shows while it runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dabbawala.apimachinery.clock import Clock
from dabbawala.demo import measure, report
from dabbawala.demo.load import Sample
from dabbawala.demo.outcome import Observation

SHOWN_SECONDS = 5.0
MOMENTS_SHOWN = 6
REFRESH_PER_SECOND = 5


class View:
    """`say` is for milestones; between `watch` and `watched` the live part shows one release."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._seen: Observation | None = None
        self._rollout: dict[str, Any] = {}
        self._recent: deque[Sample] = deque()
        self._shown = 0
        self.requests = 0
        self.failed = 0
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESH_PER_SECOND, transient=True
        )

    def __enter__(self) -> View:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def watch(self, seen: Observation) -> None:
        self._seen, self._shown, self.requests, self.failed = seen, 0, 0, 0

    def rollout_changed(self, rollout: dict[str, Any]) -> None:
        self._rollout = rollout
        if not self._console.is_terminal:
            self._print_moments()

    def samples(self, batch: Sequence[Sample]) -> None:
        self.requests += len(batch)
        self.failed += sum(sample.failed for sample in batch)
        self._recent.extend(batch)
        horizon = self._clock.now().timestamp() - SHOWN_SECONDS
        while self._recent and self._recent[0].intended < horizon:
            self._recent.popleft()

    def watched(self) -> None:
        self._print_moments()
        self._seen = None

    def _print_moments(self) -> None:
        if self._seen is None:
            return
        for moment in self._seen.moments[self._shown :]:
            weight = "" if moment.weight is None else f" → {moment.weight} %"
            self.say(f"  {moment.at - self._seen.started:7.2f} s  {moment.name}{weight}")
        self._shown = len(self._seen.moments)

    def _render(self) -> RenderableType:
        seen = self._seen
        if seen is None:
            return Text("")
        title = f"{seen.name}  {seen.from_version} → {seen.to_version}  ({seen.strategy})"
        body = Group(self._progress(), Text(""), self._versions(seen), Text(""), self._moments(seen))
        return Panel(body, title=title, border_style="red" if seen.verdict_at else "cyan", width=88)

    def _progress(self) -> RenderableType:
        status = self._rollout.get("status") or {}
        strategy = (self._rollout.get("spec") or {}).get("strategy") or {}
        total = len((strategy.get("canary") or {}).get("steps") or ())
        line = Table.grid(padding=(0, 2))
        phase = f"{status.get('phase', '')}  {status.get('message', '') or ''}".strip()
        if total:
            done = int(status.get("currentStepIndex") or 0)
            line.add_row(ProgressBar(total, done, width=32), f"step {done}/{total}", phase)
        else:
            line.add_row(phase)
        return line

    def _versions(self, seen: Observation) -> Table:
        recent = list(self._recent)
        table = Table(box=None, pad_edge=False)
        for heading in ("version", "share", "requests/s", "failed", "p50 ms", "p99 ms"):
            table.add_column(heading, justify="left" if heading == "version" else "right")
        for version in (seen.from_version, seen.to_version):
            mine = [sample for sample in recent if sample.version == version]
            middle = measure.percentile((sample.latency for sample in mine), 0.5)
            cells = (
                f"{measure.share(recent, version):.1f} %",
                f"{len(mine) / SHOWN_SECONDS:.0f}",
                str(len(measure.failed(mine))),
                "" if middle is None else f"{middle * 1000:.1f}",
                report.shown(measure.p99_ms(mine)) if mine else "",
            )
            table.add_row(version, *cells)
        table.add_row("all", "", f"{len(recent) / SHOWN_SECONDS:.0f}", f"{self.failed} of {self.requests:,}", "", "")
        return table

    def _moments(self, seen: Observation) -> RenderableType:
        lines = []
        for moment in seen.moments[-MOMENTS_SHOWN:]:
            weight = "" if moment.weight is None else f" → {moment.weight} %"
            lines.append(Text(f"{moment.at - seen.started:7.2f} s  {moment.name}{weight}", style="dim"))
        return Group(*lines)
