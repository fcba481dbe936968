"""`dabba guard images`: which images run, what is known of them, and whether that is good enough.

Exit status: 0 nothing is wrong, 1 something is, 2 something is not known.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import orjson

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import StatusError
from dabbawala.cli import connection, guard_images_given
from dabbawala.cli.answer import NO, UNKNOWN, YES, CouldNotTell
from dabbawala.cli.guard_images_given import Given
from dabbawala.guard import checks, scanning
from dabbawala.guard.engine import Engine
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Problem, Report
from dabbawala.guard.images import approval, gate, listing, running, runs, schedule, state, timetable, uploads
from dabbawala.guard.images.archive import Archive
from dabbawala.guard.images.gate import Passage
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import SEVERITIES, Scan, Unreadable
from dabbawala.guard.images.running import Use
from dabbawala.guard.images.state import Reports, State
from dabbawala.guard.inventory import Inventory
from dabbawala.guard.live import scan
from dabbawala.guard.live.reading import Reader
from dabbawala.guard.world import World

TERMINAL, JSON = "terminal", "json"
FORMATS = (TERMINAL, JSON, "sarif", "junit", "code-quality", "html", "policy-report", "metrics")
CHECKS = ("IMG-06", "IMG-07", "IMG-08", "IMG-09", "IMG-10", "IMG-11", "IMG-12", "IMG-13", "IMG-17")
"""What can be said of images only with reports about them."""
LISTING = "list"


class _Images(click.Group):
    """`list` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [LISTING, *args])


@click.group(cls=_Images)
def images() -> None:
    """The images of running pods, or of manifests, and what reports say of them. `list` may be left out.

    Exit status: 0 nothing is wrong, 1 something is, 2 something is not known.
    """


@dataclass(frozen=True, slots=True)
class Asked:
    """What `list` is asked to do."""

    paths: tuple[str, ...]
    live: bool
    namespaces: tuple[str, ...]
    form: str
    file: Path | None
    gate: bool
    severity: str
    ignore_unfixed: bool
    scan: bool
    trivy: str
    timeout: float
    compliance: str
    every: str
    at: str
    timezone: str
    keep: int
    upload: str
    rounds: int | None

    def check(self, given: Given) -> None:
        """Raises UsageError for options that do not go together."""
        if self.live and self.paths:
            raise click.UsageError("list the images of files or, with --live, of the cluster")
        if not (self.live or self.paths or given.scans):
            raise click.UsageError("name files, or --live, or reports by --scans")
        if self.scan and not given.scans:
            raise click.UsageError("--scan writes reports into a folder: name it by --scans")
        if self.every and self.at:
            raise click.UsageError("scan by --every or --at, not both")

    @property
    def schedule(self) -> schedule.Schedule | None:
        """Raises UsageError."""
        if not (self.every or self.at):
            return None
        try:
            return schedule.parse(self.every, self.at, self.timezone)
        except ValueError as wrong:
            raise click.UsageError(str(wrong)) from wrong


@images.command(LISTING)
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True))
@connection.options
@guard_images_given.options
@click.option("--live", is_flag=True, help="The images of the pods that run in the cluster.")
@click.option("-n", "--namespace", "namespaces", multiple=True,
              help="Only the images of this namespace; may be repeated.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(FORMATS), default=TERMINAL, show_default=True,
              help="The images and their state, or, in the other forms, the findings of the checks.")  # fmt: skip
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Write there instead of to the standard output.")
@click.option("--gate", is_flag=True, help="Exit status 1 if there is any vulnerability of the severity.")
@click.option("--severity", type=click.Choice(SEVERITIES[:-1]), default="critical", show_default=True,
              help="Of the gate: this severity and worse.")  # fmt: skip
@click.option("--ignore-unfixed", is_flag=True, help="Of the gate: only what can be fixed.")
@click.option("--scan", is_flag=True, help="First scan each image with the Trivy that is installed here.")
@click.option("--trivy", default="trivy", show_default=True, metavar="PROGRAM", help="The Trivy to scan with.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=runs.SECONDS_MAX, show_default=True,
              metavar="SECONDS", help="Of one scan.")  # fmt: skip
@click.option("--compliance", default="", metavar="NAME",
              help="Have Trivy make this compliance report too, such as docker-cis-1.6.0.")  # fmt: skip
@click.option("--every", default="", metavar="24h", help="Do it again and again, so far apart.")
@click.option("--at", default="", metavar="02:00", help="Do it every day at this time.")
@click.option("--timezone", default="", metavar="ZONE", help="Of --at, such as Asia/Kolkata.  [default: UTC]")
@click.option("--keep", type=click.IntRange(1, 1000), default=timetable.KEPT_MAX, show_default=True,
              help="Scans that are kept of each image.")  # fmt: skip
@click.option("--upload", default="", metavar="URL", help="Post each namespace's results there, as JSON.")
@click.option("--rounds", type=click.IntRange(min=1), hidden=True)
@click.pass_context
def list_images(ctx: click.Context, /, given: Given, **asked: Any) -> None:
    """List the unique images and their state; scan them before, hold them against a gate, upload what is found."""
    wanted = Asked(**asked)
    wanted.check(given)
    planned = wanted.schedule

    @connection.asynchronous
    async def work() -> int:
        if planned is None:
            return await _once(ctx, wanted, given)
        rounds = timetable.Rounds(planned, SystemClock(), at_once=bool(wanted.every), rounds_max=wanted.rounds)
        return await rounds.run(lambda: _tolerant(ctx, wanted, given))

    raise click.exceptions.Exit(work())


async def _tolerant(ctx: click.Context, asked: Asked, given: Given) -> int:
    """A round that cannot be answered is told, and the next one begins in its time."""
    try:
        return await _once(ctx, asked, given)
    except (CouldNotTell, StatusError, OSError) as wrong:
        click.echo(f"Error: {wrong}", err=True)
        return UNKNOWN


@dataclass(frozen=True, slots=True)
class _Seen:
    """The objects, the images among them with who runs each, and what could not be read. `accepted` are the exceptions
    that are objects of the cluster."""

    inventory: Inventory
    uses: dict[Name, list[Use]]
    problems: list[Problem]
    whole: bool = False
    accepted: tuple[PolicyException, ...] = ()

    def of(self, namespaces: Sequence[str]) -> _Seen:
        """Only the images of some namespaces; of all where none is named."""
        if not namespaces:
            return self
        uses = {name: [use for use in users if use.namespace in namespaces] for name, users in self.uses.items()}
        return replace(self, uses={name: users for name, users in uses.items() if users})


async def _once(ctx: click.Context, asked: Asked, given: Given) -> int:
    now = SystemClock().now()
    seen = (await _of_cluster(ctx, asked, now) if asked.live else _of_files(asked, now)).of(asked.namespaces)
    accepted = [*given.accepted(), *seen.accepted]
    scanned = await _scan(seen, asked, given, now) if asked.scan else []
    now = SystemClock().now()
    reports = given.reports(now, accepted)
    uses: dict[Name, list[Use]] = seen.uses if asked.live or asked.paths else {name: [] for name in _told(reports)}
    listed = [(state.of(name, *reports, now), users) for name, users in uses.items()]
    passage = gate.of((one for one, _ in listed), asked.severity, only_fixable=asked.ignore_unfixed)
    shown = passage if asked.gate else None
    if asked.form in (TERMINAL, JSON):
        _write(asked, _listing(asked, listed, reports.archive, now, shown))
    else:
        _write(asked, _findings(asked, seen, reports, accepted, now=now))
    for problem in seen.problems:
        click.echo(f"{problem.place}: {problem.message}".removeprefix(": "), err=True)
    unsent = await _upload(asked, listed, now)
    known = not (seen.problems or reports.archive.problems or unsent or any(one.failure for one in scanned))
    return _status([one for one, _ in listed], shown, known=known)


def _listing(asked: Asked, listed: listing.Listed, archive: Archive, now: datetime, passage: Passage | None) -> bytes:
    if asked.form == JSON:
        return listing.as_json(listed, archive, now, passage)
    return "".join(f"{line}\n" for line in listing.lines(listed, archive, passage)).encode()


def _write(asked: Asked, data: bytes) -> None:
    with click.open_file(str(asked.file or "-"), "wb") as stream:
        stream.write(data)


def _findings(
    asked: Asked, seen: _Seen, reports: Reports, accepted: Sequence[PolicyException], *, now: datetime
) -> bytes:
    """What the checks of images say of the objects."""
    known = [checks.shipped()[name] for name in CHECKS]
    report = Report(checks=known, problems=list(seen.problems))
    world = World(seen.inventory, now=now, whole=seen.whole, images=reports)
    scanning.judge(world, Engine(known, accepted, now=now), report)
    if asked.namespaces:
        report.findings = [one for one in report.findings if one.subject.namespace in asked.namespaces]
    module = importlib.import_module(f"dabbawala.guard.outputs.as_{asked.form.replace('-', '_')}")
    parts: Iterable[bytes] = module.parts(report) if hasattr(module, "parts") else [module.render(report)]
    return b"".join(parts)


def _status(states: Sequence[State], passage: Passage | None, *, known: bool) -> int:
    if passage is not None:
        return NO if passage.blocking else YES if known and not passage.unknown else UNKNOWN
    if any(one.word in ("exploited", "overdue") for one in states):
        return NO
    return YES if known and not any(one.word in ("error", "unknown") for one in states) else UNKNOWN


def _of_files(asked: Asked, now: datetime) -> _Seen:
    report = Report()
    inventory = scanning.read(asked.paths, report)
    return _Seen(inventory, running.of_files(World(inventory, now=now)), report.problems)


async def _of_cluster(ctx: click.Context, asked: Asked, now: datetime) -> _Seen:
    only = asked.namespaces[0] if len(asked.namespaces) == 1 else ""
    async with connection.looking(ctx) as client:
        found = await Reader(client, only).read()
        accepted = await scan.cluster_exceptions(client, found.problems)
    world = World(found.inventory, now=now, whole=found.whole)
    return _Seen(found.inventory, running.of_cluster(world), found.problems, found.whole, tuple(accepted))


def _told(reports: Reports) -> list[Name]:
    """Without objects: the images that reports are about. Of the digests that one has, the one that most name."""
    about = [one for one in reports.archive.records if isinstance(one, Scan | Unreadable) and one.image]
    named = Counter(digest for one in about for digest in one.digests)
    found, seen = set(), set[str]()
    for one in sorted(about, key=lambda one: (isinstance(one, Unreadable), one.source)):
        digest = min(one.digests, key=lambda digest: (-named[digest], digest), default="")
        if digest not in seen:
            found.add(Name.of(one.image)._replace(digest=digest))
        seen |= one.digests
    return sorted(found)


async def _scan(seen: _Seen, asked: Asked, given: Given, now: datetime) -> list[runs.Ran]:
    """Raises CouldNotTell where there is no Trivy."""
    try:
        program = runs.Program(runs.program(asked.trivy), asked.timeout, asked.compliance)
    except runs.NoTrivy as wrong:
        raise CouldNotTell(str(wrong)) from wrong
    found = {name: sorted({use.namespace for use in users}) for name, users in seen.uses.items()}
    folder = timetable.folder(given.scans[0], now)
    ran = await runs.scan(found, folder, program)
    timetable.prune(given.scans[0], asked.keep)
    for one in ran:
        if one.failure:
            click.echo(f"{one.name} was not scanned: {one.failure}", err=True)
    return ran


async def _upload(asked: Asked, listed: listing.Listed, now: datetime) -> list[str]:
    """The namespaces whose results were not taken."""
    unsent = []
    for namespace, data in listing.of_namespaces(listed, now) if asked.upload else ():
        try:
            await uploads.post(asked.upload, data, SystemClock())
        except uploads.NotUploaded as wrong:
            click.echo(f"the results of namespace {namespace} were not uploaded: {wrong}", err=True)
            unsent.append(namespace)
    return unsent


@images.command()
@click.argument("image")
@guard_images_given.options
@click.option("--payment/--no-payment", default=None, help="It has to do with payments.  [default: by its name]")
@click.option("-o", "--output", "form", type=click.Choice((TERMINAL, JSON)), default=TERMINAL, show_default=True,
              help="The form of the decision.")  # fmt: skip
def approve(image: str, given: Given, *, payment: bool | None, form: str) -> None:
    """Whether an image may go to production: vulnerabilities, configuration, RBI, PCI DSS, what to do, decision."""
    now = SystemClock().now()
    name = Name.of(image)
    asked = approval.is_payment(name) if payment is None else payment
    decision = approval.decide(name, given.reports(now, given.accepted()), now, payment=asked)
    if form == JSON:
        click.echo(orjson.dumps(decision, option=orjson.OPT_INDENT_2))
    else:
        _show(decision)
    raise click.exceptions.Exit(YES if decision["approved_for_production"] else NO)


def _show(decision: Object) -> None:
    verdict = "approved" if decision["approved_for_production"] else "rejected"
    click.echo(f"{decision['image']}: {verdict}")
    for title in ("reasons", "recommendations"):
        for line in decision[title]:
            click.echo(f"  {title[:-1]:<15} {line}")
