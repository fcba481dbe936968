"""`dabba guard runtime`: what happens in the pods of this machine, held against rules as it happens."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cli import connection
from dabbawala.cli.answer import NO, CouldNotTell
from dabbawala.guard.wording import counted

if TYPE_CHECKING:
    from dabbawala.guard.runtime.alerts import Alert
    from dabbawala.guard.runtime.detector import Detector
    from dabbawala.guard.runtime.main import Outcome, Settings
    from dabbawala.guard.runtime.rules import Rule

_COLOURS = {"Emergency": "red", "Alert": "red", "Critical": "red", "Error": "red", "Warning": "yellow"}


@click.command("runtime")
@connection.options
@click.option("--rules", "files", multiple=True, type=click.Path(path_type=Path), help="A further Falco rule file.")
@click.option("--shipped/--no-shipped", default=True, help="Use the rules that come with dabbawala.")
@click.option("--coverage", "asked_coverage", is_flag=True, help="Say which attacks are seen here, and by what.")
@click.option("--list", "asked_rules", is_flag=True, help="List the rules, and why some are not covered.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="What is printed: lines for a person, or Falco's JSON.")  # fmt: skip
@click.option("--json-file", type=click.Path(path_type=Path), help="Append alerts to this file, as Falco's JSON.")
@click.option("--webhook", default="", metavar="URL", help="Post each alert there, as Falco's JSON.")
@click.option("--program", default="", metavar="COMMAND", help="Hand each alert to this command as a line of JSON.")
@click.option("--events/--no-events", default=True, help="Write an Event on the pod.")
@click.option("--api/--no-api", default=True, help="Ask the cluster whose containers these are.")
@click.option("--node", default="", help="Watch the pods of this node only.  [default: all that run here]")
@click.option("--listen", default="", metavar="HOST:PORT", help="Serve /metrics, and take Falco's posts.")
@click.option("--falco-events", "reported", default="", metavar="FILE|-", help="Handle these events of Falco instead.")
@click.option("--audit-log", type=click.Path(path_type=Path), help="Follow this audit log of an API server.")
@click.option("--for", "seconds", type=float, metavar="SECONDS", help="End after this time.  [default: at a signal]")
@click.pass_context
def runtime(ctx: click.Context, /, **asked: Any) -> None:
    """Watch the pods of this machine for attacks, by rules in Falco's language.

    Exit status 1 when there was an alert.
    """
    from dabbawala.guard.runtime import main

    output, with_api = asked.pop("output"), asked.pop("api")
    show_coverage, show_rules = asked.pop("asked_coverage"), asked.pop("asked_rules")
    settings = main.Settings(**asked)
    try:
        if show_coverage or show_rules:
            known = main.load(settings)
            (_show_coverage if show_coverage else _show_rules)(known, output)
            return
        outcome = _run(ctx, settings, output, with_api=with_api)
    except (main.BadRules, main.CannotListen, main.CouldNotWatch) as error:
        raise CouldNotTell(str(error)) from error
    if outcome.alerts:
        sys.exit(NO)


def _run(ctx: click.Context, settings: Settings, output: str, *, with_api: bool) -> Outcome:
    from dabbawala.client import http
    from dabbawala.client.client import Client
    from dabbawala.guard.runtime import main, sinks

    chosen = connection.chosen(ctx) if with_api and not settings.reported else None
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname).1s %(name)s: %(message)s")

    @connection.asynchronous
    async def watched() -> Outcome:
        client = Client(http.HTTPTransport(chosen)) if chosen is not None else None
        try:
            shown = sinks.Lines("terminal", sys.stdout.buffer, sinks.line if output == "json" else _line)
            return await main.run(settings, client, SystemClock(), shown=shown, watch=_Told())
        finally:
            if client is not None:
                await client.close()

    return watched()


class _Told:
    """Says on standard error what begins, and at any end what was missed."""

    def begun(self, detector: Detector) -> None:
        for source, why in detector.absent.items():
            click.echo(f"without {source}: {why}", err=True)
        click.echo(f"watching {counted(len(detector.containers), 'container')}", err=True)

    def over(self, outcome: Outcome) -> None:
        for source, count in outcome.losses.items():
            if count:
                click.echo(f"{source}: the kernel dropped events {count} times because they came too fast", err=True)
        seen = ", ".join(f"{kind} {count:,}" for kind, count in sorted(outcome.events.items()))
        events = counted(sum(outcome.events.values()), "event") + (f" ({seen})" if seen else "")
        gone = counted(outcome.gone, "program")
        click.echo(f"{counted(outcome.alerts, 'alert')} of {events}; {gone} of this machine ended unread", err=True)


def _line(alert: Alert) -> bytes:
    """An alert for a person: when, how bad, which check, what."""
    checks = ",".join(alert.ids)
    priority = click.style(f"{alert.priority:<8}", fg=_COLOURS.get(alert.priority)) if sys.stdout.isatty() else None
    shown = priority or f"{alert.priority:<8}"
    return f"{alert.at.strftime('%H:%M:%S')} {shown} {checks or '-':<7} {alert.sentence}\n".encode()


def _show_coverage(rules: tuple[Rule, ...], output: str) -> None:
    from dabbawala.guard.runtime import coverage

    rows = coverage.table(coverage.probe(), rules)
    if output == "json":
        listed = [
            {"attack": row.attack.name, "checks": row.attack.ids, "covered": row.verdict, "source": row.source,
             "limits": row.limits}
            for row in rows
        ]  # fmt: skip
        click.echo(json.dumps(listed, indent=2))
        return
    for row in rows:
        by = f" by {row.source}" if row.source else ""
        click.echo(f"{row.verdict:<7} {','.join(row.attack.ids):<7} {row.attack.name}{by}\n{'':<16}{row.limits}")
    missing = [rule for rule in rules if rule.enabled and not rule.covered]
    click.echo(f"{len(rules) - len(missing)} of {len(rules)} rules can be held; --list says what the others lack")


def _show_rules(rules: tuple[Rule, ...], output: str) -> None:
    if output == "json":
        listed = [
            {"rule": rule.name, "priority": rule.priority, "enabled": rule.enabled, "covered": rule.covered,
             "lacks": rule.lacks, "unseen": rule.unseen, "source": rule.source, "tags": rule.tags}
            for rule in rules
        ]  # fmt: skip
        click.echo(json.dumps(listed, indent=2))
        return
    for rule in rules:
        state = "off" if not rule.enabled else "not covered" if not rule.covered else "active"
        partly = f"; nothing sees {', '.join(rule.unseen)}" if rule.covered and rule.unseen else ""
        lacks = f": {rule.lacks}" if rule.lacks else partly
        click.echo(f"{state:<12} {rule.priority:<13} {rule.name}{lacks}")
