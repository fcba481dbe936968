"""Reports about images, and by what they are judged: the options of `dabba guard images` and of `dabba guard scan`.

Loaded by every scan, so that it imports what it needs only when there are reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dabbawala.cli.answer import CouldNotTell
from dabbawala.guard.findings import Place, Problem, Report
from dabbawala.guard.images import limits

if TYPE_CHECKING:
    from dabbawala.guard.exceptions import PolicyException
    from dabbawala.guard.images.state import Reports

PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Told:
    """Files and folders of reports, and by what they are judged."""

    scans: tuple[Path, ...] = ()
    sboms: tuple[Path, ...] = ()
    signatures: tuple[Path, ...] = ()
    kev: Path | None = None
    epss: Path | None = None
    max_age: float = limits.SCAN_AGE_DAYS_MAX
    max_image_age: float = limits.IMAGE_AGE_DAYS_MAX
    deadlines: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        return (*self.scans, *self.sboms, *self.signatures)

    def reports(self, now: datetime, accepted: Sequence[PolicyException]) -> Reports:
        """Read anew each time, as scans may have been added. Raises CouldNotTell."""
        from dabbawala.guard.images import folders, terms, waivers
        from dabbawala.guard.images.state import Reports

        exploits = terms.Exploits(_read(self.kev, terms.catalogue), _read(self.epss, terms.probabilities))
        accepting = waivers.accepting(accepted, now)
        known = terms.Terms(self._deadlines(), self.max_age, self.max_image_age, exploits, accepting)
        return Reports(folders.archive(self.sources), known)

    def beside(self, report: Report, now: datetime, accepted: Sequence[PolicyException]) -> Reports | None:
        """For a scan: None where no reports are given, and those that tell nothing are problems of its report. Raises
        UsageError and CouldNotTell."""
        if not self.sources:
            if self != NOTHING_TOLD:
                raise click.UsageError("--kev, --epss, --deadline and ages are about reports: add --scans")
            return None
        found = self.reports(now, accepted)
        remedy = "Have the scanner write it anew, or leave it out."
        for one in found.archive.problems:
            report.problems.append(Problem(Place(one.source), "bad-image-report", one.reason, remedy))
        return found

    def _deadlines(self) -> dict[str, int]:
        from dabbawala.guard.images import terms

        try:
            pairs = [text.split("=", 1) for text in self.deadlines]
            return dict(terms.deadlines({severity: int(days) for severity, days in pairs}))
        except ValueError as wrong:
            raise click.UsageError(f"--deadline {' '.join(self.deadlines)}: write severity=days ({wrong})") from wrong


NOTHING_TOLD = Told()


def _read(file: Path | None, read: Callable[[bytes], Any]) -> Any:
    from dabbawala.guard.images.records import Malformed

    if file is None:
        return None
    try:
        return read(file.read_bytes())
    except OSError as wrong:
        raise CouldNotTell(f"{file} cannot be read: {wrong.strerror}") from wrong
    except Malformed as wrong:
        raise CouldNotTell(f"{file} cannot be believed: {wrong}") from wrong


def declared(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options that fill a `Told`, one by one."""
    for option in reversed((
        click.option("--scans", multiple=True, type=PATH, metavar="DIR",
                     help="Reports of Trivy, Grype or ECR: a file or folder; may be repeated."),
        click.option("--sboms", multiple=True, type=PATH, metavar="DIR", help="SBOMs in CycloneDX or SPDX JSON."),
        click.option("--signatures", multiple=True, type=PATH, metavar="DIR",
                     help="What cosign verify and cosign verify-attestation wrote."),
        click.option("--kev", type=PATH, metavar="FILE", help="CISA's known_exploited_vulnerabilities.json."),
        click.option("--epss", type=PATH, metavar="FILE", help="The CSV of EPSS scores, unpacked."),
        click.option("--max-age", type=click.FloatRange(min=0), default=limits.SCAN_AGE_DAYS_MAX, show_default=True,
                     metavar="DAYS", help="Older reports tell nothing."),
        click.option("--max-image-age", type=click.FloatRange(min=0), default=limits.IMAGE_AGE_DAYS_MAX,
                     show_default=True, metavar="DAYS", help="Images that were built earlier are old."),
        click.option("--deadline", "deadlines", multiple=True, metavar="SEVERITY=DAYS",
                     help="How long a fix may take.  [default: critical=30, high=90, medium=180]"),
    )):  # fmt: skip
        command = option(command)
    return command


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a scan that may be given reports; it gets them as `told`."""

    @declared
    @wraps(command)
    def taken(*args: Any, **asked: Any) -> Any:
        own = {name: asked.pop(name) for name in Told.__dataclass_fields__}
        return command(*args, told=Told(**own), **asked)

    return taken
