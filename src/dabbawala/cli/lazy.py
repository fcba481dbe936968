"""A group of commands that imports a command's module only to run it, so that its list of them is quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Lazy(click.Group):
    """`table` has the commands by name: a module of `dabbawala.cli`, and a help line (a command without one is not
    listed). Commands that are added as usual come after those."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return super().get_command(ctx, name)
        module = importlib.import_module(f"dabbawala.cli.{self.table[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, line) for name, (_, line) in self.table.items() if line]
        rows += [(name, command.get_short_help_str(limit=90)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
