"""What the commands of `dabba guard images` are given: reports, exploits, terms, exceptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dabbawala.cli.answer import CouldNotTell
from dabbawala.guard import scanning
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Problem
from dabbawala.guard.images import folders, terms, waivers
from dabbawala.guard.images.records import Malformed
from dabbawala.guard.images.state import Reports
from dabbawala.guard.images.terms import Exploits, Terms

PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Given:
    """Files and folders of reports, and by what they are judged."""

    scans: tuple[Path, ...]
    sboms: tuple[Path, ...]
    signatures: tuple[Path, ...]
    kev: Path | None
    epss: Path | None
    exceptions: tuple[Path, ...]
    max_age: float
    max_image_age: float
    deadlines: tuple[str, ...]

    def reports(self, now: datetime, accepted: Sequence[PolicyException]) -> Reports:
        """Read anew each time, as scans may have been added. Raises CouldNotTell."""
        exploits = Exploits(_read(self.kev, terms.catalogue), _read(self.epss, terms.probabilities))
        accepting = waivers.accepting(accepted, now)
        known = Terms(self._deadlines(), self.max_age, self.max_image_age, exploits, accepting)
        return Reports(folders.archive((*self.scans, *self.sboms, *self.signatures)), known)

    def accepted(self) -> list[PolicyException]:
        """The exceptions of files. Raises CouldNotTell for a wrong one."""
        problems: list[Problem] = []
        found = list(scanning.exceptions_of(self.exceptions, problems))
        if problems:
            raise CouldNotTell(f"{problems[0].place}: {problems[0].message}")
        return found

    def _deadlines(self) -> dict[str, int]:
        try:
            pairs = [text.split("=", 1) for text in self.deadlines]
            return dict(terms.deadlines({severity: int(days) for severity, days in pairs}))
        except ValueError as wrong:
            raise click.UsageError(f"--deadline {' '.join(self.deadlines)}: write severity=days ({wrong})") from wrong


def _read(file: Path | None, read: Callable[[bytes], Any]) -> Any:
    if file is None:
        return None
    try:
        return read(file.read_bytes())
    except OSError as wrong:
        raise CouldNotTell(f"{file} cannot be read: {wrong.strerror}") from wrong
    except Malformed as wrong:
        raise CouldNotTell(f"{file} cannot be believed: {wrong}") from wrong


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that is given reports; it gets them as `given`."""

    @click.option("--scans", multiple=True, type=PATH, metavar="DIR",
                  help="Reports of Trivy, Grype or ECR: a file or folder; may be repeated.")  # fmt: skip
    @click.option("--sboms", multiple=True, type=PATH, metavar="DIR", help="SBOMs in CycloneDX or SPDX JSON.")
    @click.option("--signatures", multiple=True, type=PATH, metavar="DIR",
                  help="What cosign verify and cosign verify-attestation wrote.")  # fmt: skip
    @click.option("--kev", type=PATH, metavar="FILE", help="CISA's known_exploited_vulnerabilities.json.")
    @click.option("--epss", type=PATH, metavar="FILE", help="The CSV of EPSS scores, unpacked.")
    @click.option("-e", "--exceptions", multiple=True, type=PATH, help="PolicyExceptions: a file or folder.")
    @click.option("--max-age", type=click.FloatRange(min=0), default=terms.SCAN_AGE_DAYS_MAX, show_default=True,
                  metavar="DAYS", help="Older reports tell nothing.")  # fmt: skip
    @click.option("--max-image-age", type=click.FloatRange(min=0), default=terms.IMAGE_AGE_DAYS_MAX, show_default=True,
                  metavar="DAYS", help="Images that were built earlier are old.")  # fmt: skip
    @click.option("--deadline", "deadlines", multiple=True, metavar="SEVERITY=DAYS",
                  help="How long a fix may take.  [default: critical=30, high=90, medium=180]")  # fmt: skip
    @wraps(command)
    def taken(*args: Any, **asked: Any) -> Any:
        own = {name: asked.pop(name) for name in Given.__dataclass_fields__}
        return command(*args, given=Given(**own), **asked)

    return taken
