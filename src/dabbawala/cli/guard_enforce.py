"""`dabba guard enforce`: the checks as admission policies of a cluster, stage by stage.

Exit status: 0 done, or nothing to do; 1 refused: live objects would be, or a name is taken; 2 could not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest
from dabbawala.cli import connection, guard_enforce_view
from dabbawala.cli.answer import NO, YES, CouldNotTell
from dabbawala.client.client import Client
from dabbawala.guard import checks, scanning, sources
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle, installing, plan
from dabbawala.guard.enforcement.bundle import Staged, Terms
from dabbawala.guard.enforcement.plan import Installed, Plan
from dabbawala.guard.enforcement.preview import Preview, Rehearsal
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.guard.findings import Problem
from dabbawala.guard.live import rehearsal, scan
from dabbawala.guard.wording import counted

FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. Without `stage`, the next one of each check."""

    checks: tuple[Check, ...]
    all_checks: bool
    stage: Stage | None
    namespaces: Object | None
    exceptions: tuple[Path, ...]
    parameters: Path | None
    dry_run: bool
    force: bool
    form: str

    def terms(self, more: Iterable[Any] = ()) -> Terms:
        """Raises CouldNotTell for files that cannot be used."""
        problems: list[Problem] = []
        given = [*scanning.exceptions_of(self.exceptions, problems), *more]
        _refuse(problems)
        return Terms(tuple(given), None if self.parameters is None else _data(self.parameters), self.namespaces)

    def staged(self, installed: Installed) -> list[Staged]:
        return [Staged(check, self.stage or installed.next_stage(check)) for check in self.checks]


@click.command()
@click.option("-c", "--check", "only", multiple=True, metavar="ID", help="Only this check; may be repeated.")
@click.option("--stage", type=click.Choice([str(stage) for stage in Stage]),
              help="How far to go; otherwise to the next stage, each check from where it is.")  # fmt: skip
@click.option("--namespace-selector", "selector", default="", help="Only namespaces with such labels.")
@click.option("-e", "--exceptions", multiple=True, type=FILE,
              help="PolicyExceptions, beside those in the cluster: a file or folder; may be repeated.")  # fmt: skip
@click.option("--parameters", type=FILE, help="A ConfigMap with the parameters of checks that take some.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and refused, and change nothing.")
@click.option("--force", is_flag=True, help="Deny although live objects would be refused; take over names.")
@click.option("--remove", is_flag=True, help="Take back what was installed, and nothing else.")
@click.option("--static", type=FILE, metavar="DIRECTORY",
              help="Write static manifests for API servers of 1.36 and later instead.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(["yaml"]), help="Print the objects; change nothing.")
@connection.options
@connection.asynchronous
async def enforce(
    only: Sequence[str], stage: str | None, selector: str, *, remove: bool, static: Path | None, **rest: Any
) -> None:
    """Install the checks as policies of a cluster, and one binding each: audit, then warn, then deny.

    What the last stage would refuse of what is there already is shown first, and stands in its way. Namespaces that
    came with Kubernetes are left alone, and so are updates that change nothing that the check looks at.
    """
    _refuse_together(rest, remove=remove, static=static is not None)
    order = Order(
        tuple(_chosen(only)), not only, Stage(stage) if stage else None, _selector(selector),
        exceptions=tuple(rest["exceptions"]), parameters=rest["parameters"], dry_run=rest["dry_run"],
        force=rest["force"], form=rest["form"] or "",
    )  # fmt: skip
    if static is not None:
        _write_static(order, static)
        return
    async with connection.looking(click.get_current_context()) as client:
        raise click.exceptions.Exit(await (_remove if remove else _install)(client, order))


def _refuse_together(given: Mapping[str, Any], *, remove: bool, static: bool) -> None:
    """Raises UsageError for options of which one would be ignored: who asks for a look must not get an act."""
    if given["form"] and (remove or static):
        raise click.UsageError("-o prints what would be installed: leave out --remove and --static")
    if static and (remove or given["dry_run"] or given["force"]):
        raise click.UsageError("--static writes files for API servers, whatever a cluster has: leave out the rest")


async def _install(client: Client, order: Order) -> int:
    try:
        await installing.check_release(client)
    except installing.TooOld as too_old:
        raise CouldNotTell(str(too_old)) from too_old
    problems: list[Problem] = []
    terms = order.terms(await scan.cluster_exceptions(client, problems))
    _refuse(problems)
    installed = await installing.observe(client)
    staged = order.staged(installed)
    planned = plan.install(bundle.documents(staged, terms), installed, all_checks=order.all_checks)
    if order.form:
        click.echo(_yaml(step.object for step in planned.steps if step.act is not plan.Act.REMOVE), nl=False)
        return YES
    rehearsed = await rehearsal.over_cluster(
        client, Rehearsal([check for check, _ in staged], terms, now=SystemClock().now())
    )
    for line in guard_enforce_view.preview(rehearsed.preview, rehearsed.problems):
        click.echo(line)
    refused = _stands_in_the_way(planned, staged, rehearsed.preview)
    if refused and not order.force:
        click.echo(refused, err=True)
        return NO
    if rehearsed.problems and _denying(planned, staged) and not order.force:
        raise CouldNotTell(
            "not installed: what could not be looked at may be refused; let it be read, or go on with --force"
        )
    return await _carry_out(client, planned, order)


def _stands_in_the_way(planned: Plan, staged: Sequence[Staged], preview: Preview) -> str:
    """Why the plan is not carried out; empty where nothing is against it. What denies already and stays as it is goes
    on."""
    if planned.conflicts:
        names = ", ".join(meta.name(obj) for obj in planned.conflicts)
        return f"not installed: somebody else has {names}; delete them, or take them over with --force"
    new = _denying(planned, staged)
    against = {item.subject for item in preview.refusals if item.check.id in new}
    if against:
        listed = counted(len(against), "live object")
        return (
            f"not installed: {listed} would be refused; repair what fails, except it with a date, leave out its "
            "checks, or go on with --force"
        )
    return ""


def _denying(planned: Plan, staged: Sequence[Staged]) -> set[str]:
    """The checks that would deny from now on, or deny otherwise than until now."""
    changed = {meta.name(step.object) for step in planned.changes}
    return {check.id for check, stage in staged if stage is Stage.DENY and check.name in changed}


async def _remove(client: Client, order: Order) -> int:
    installed = await installing.observe(client)
    return await _carry_out(client, plan.remove(order.checks, installed, all_checks=order.all_checks), order)


async def _carry_out(client: Client, planned: Plan, order: Order) -> int:
    if order.dry_run:
        for line in guard_enforce_view.intended(planned):
            click.echo(line)
    else:
        async for step in installing.carry_out(client, planned):
            click.echo(guard_enforce_view.done(step))
    click.echo(guard_enforce_view.summary(planned, dry_run=order.dry_run))
    return YES


def _write_static(order: Order, folder: Path) -> None:
    stage = order.stage or Stage.AUDIT
    files = bundle.static([Staged(check, stage) for check in order.checks], order.terms())
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in files.items():
        (folder / name).write_text(_yaml(objects))
    click.echo(f"{len(files)} files in {folder}, one check each, in stage {stage}")


def _chosen(only: Sequence[str]) -> list[Check]:
    """Raises CouldNotTell for what cannot be enforced."""
    known = checks.shipped()
    for name in only:
        if name not in known:
            raise CouldNotTell(f"there is no check {name!r}; `dabba guard checks` lists them")
        if not known[name].native:
            raise CouldNotTell(f"{name} cannot be enforced: it needs more than one object; scan with --live instead")
    return [check for name, check in known.items() if check.native and (not only or name in only)]


def _selector(text: str) -> Object | None:
    """A LabelSelector from the form that kubectl takes. Raises CouldNotTell."""
    try:
        found = selectors.parse_label_selector(text)
    except BadRequest as wrong:
        raise CouldNotTell(f"--namespace-selector: {wrong}") from wrong
    terms = []
    for term in found.requirements:
        if term.op in (selectors.GREATER, selectors.LESS):
            raise CouldNotTell("--namespace-selector: namespaces cannot be selected by comparing numbers")
        values = {"values": sorted(term.values)} if term.values else {}
        terms.append({"key": term.key, "operator": term.op, **values})
    return {"matchExpressions": terms} if terms else None


def _data(path: Path) -> dict[str, str]:
    """The data of the ConfigMap in a file. Raises CouldNotTell."""
    readings = [source.read() for source in sources.find([str(path)])]
    _refuse([problem for reading in readings for problem in reading.problems])
    found = [document.object for reading in readings for document in reading.documents]
    maps = [obj for obj in found if obj.get("kind") == "ConfigMap"]
    if len(maps) != 1 or not isinstance(maps[0].get("data"), dict):
        raise CouldNotTell(f"--parameters: {path} must hold one ConfigMap with data")
    return {str(key): str(value) for key, value in maps[0]["data"].items()}


def _refuse(problems: Sequence[Problem]) -> None:
    """Raises CouldNotTell: policies that lack an exception or a parameter would refuse what is accepted."""
    if problems:
        first = problems[0]
        raise CouldNotTell(f"{first.place} {first.text}".lstrip())


def _yaml(objects: Iterable[Object]) -> str:
    text: str = yaml.safe_dump_all(list(objects), sort_keys=False, allow_unicode=True, width=120)
    return text
