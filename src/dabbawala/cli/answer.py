"""How a command ends that could not answer. Apart from `command`, because what awaits nothing need not load asyncio."""

from __future__ import annotations

import click


class CouldNotTell(click.ClickException):
    """The question could not be answered: no cluster, no access, no such file."""

    exit_code = 2
