"""How a command ends: yes, no, or without an answer. Apart from `command`, as what awaits nothing needs no asyncio."""

from __future__ import annotations

import click

YES, NO, UNKNOWN = 0, 1, 2


class CouldNotTell(click.ClickException):
    """The question could not be answered: no cluster, no access, no such file."""

    exit_code = UNKNOWN
