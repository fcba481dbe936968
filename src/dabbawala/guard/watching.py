"""A scan that is kept true while files change: the listing says which files do, and what they hold is judged anew where
that is needed (`standing`). Whatever is changed, the state is that of a new scan of the same paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from dabbawala.guard import scanning
from dabbawala.guard.engine import Engine
from dabbawala.guard.findings import Report, Tally
from dabbawala.guard.listing import Listing
from dabbawala.guard.standing import Difference, Standing


class Watched:
    """The state of a scan. `now` is the instant that it is judged by, to its end; `target` the release of Kubernetes
    that must serve the objects."""

    def __init__(
        self, paths: Iterable[str], engine: Engine, *, now: datetime, target: tuple[int, int] | None = None
    ) -> None:
        self._engine = engine
        self._listing = Listing(paths)
        self._standing = Standing(engine, now=now, target=target)
        self.update()

    @property
    def folders(self) -> set[Path]:
        """Where something may change."""
        return self._listing.folders

    def update(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Difference:
        """Look again at all content; or at files that were written to and, with `more`, at what has come, gone or
        changed its state beside them."""
        found = list(self.steps(touched, more=more))
        new, gone = (tuple(chain(*(getattr(step, side) for step in found))) for side in ("new", "gone"))
        return Difference(new, gone)

    def steps(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Iterator[Difference]:
        """As `update`, step by step: first what files say by themselves, then what they mean for each other."""
        different = self._listing.look(None if touched is None else set(touched), more=more)
        if different or not self._standing.begun:
            yield from self._standing.steps(self._listing.parts.values())

    def report(self) -> Report:
        """All that is known now, as a scan reports it."""
        report = Report(
            checks=self._engine.checks, objects=len(self._standing.inventory), files=len(self._listing.parts)
        )
        scanning.collect(report, (judgement for _, judgement in self._standing.judgements()))
        report.problems = [problem for part in self._listing.parts.values() for problem in part.problems]
        report.problems.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.place.column))
        return report

    def tally(self) -> Tally:
        """What the summary of `report` says."""
        found = self._standing.tally
        found.files, found.objects, found.checks = (
            len(self._listing.parts),
            len(self._standing.inventory),
            len(self._engine.checks),
        )
        found.problems = sum(len(part.problems) for part in self._listing.parts.values())
        return found
