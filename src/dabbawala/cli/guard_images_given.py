"""What the commands of `dabba guard images` are given: reports and exceptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dabbawala.cli import guard_reports
from dabbawala.cli.answer import CouldNotTell
from dabbawala.cli.guard_reports import PATH, Told
from dabbawala.guard import scanning
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Problem


@dataclass(frozen=True, slots=True)
class Given(Told):
    """Reports, and files of exceptions."""

    exceptions: tuple[Path, ...] = ()

    def accepted(self) -> list[PolicyException]:
        """The exceptions of files. Raises CouldNotTell for a wrong one."""
        problems: list[Problem] = []
        found = list(scanning.exceptions_of(self.exceptions, problems))
        if problems:
            raise CouldNotTell(f"{problems[0].place}: {problems[0].message}")
        return found


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that is given reports; it gets them as `given`."""

    @guard_reports.declared
    @click.option("-e", "--exceptions", multiple=True, type=PATH, help="PolicyExceptions: a file or folder.")
    @wraps(command)
    def taken(*args: Any, **asked: Any) -> Any:
        own = {name: asked.pop(name) for name in Given.__dataclass_fields__}
        return command(*args, given=Given(**own), **asked)

    return taken
