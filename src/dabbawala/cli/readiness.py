"""`dabba readiness`: whether a service may go to production, on what that stands, and what is missing.

Exit status: 0 approved, 1 not or not without conditions, 2 could not tell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cli import connection
from dabbawala.cli.answer import NO, YES, CouldNotTell
from dabbawala.client.client import Client
from dabbawala.readiness import assessment, measuring, verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.signing import BadKey, Signer, Trust, read_public
from dabbawala.readiness.verdict import Approval

TERMINAL = "terminal"
PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PROFILE = click.option("--profile", type=click.Choice(verdict.PROFILES), default=verdict.STANDARD, show_default=True,
                       help="The rule of the verdict.")  # fmt: skip
TRUST = click.option(
    "--trust",
    "keys",
    multiple=True,
    type=FILE,
    metavar="NAME.pub",
    help="A public key that counts; may be repeated. Otherwise the cluster's ConfigMap names them.",
)


@click.group()
def readiness() -> None:
    """Whether a service may go to production, on what that stands, and what is missing.

    Exit status: 0 approved, 1 not or not without conditions, 2 could not tell.
    """


@dataclass(frozen=True, slots=True)
class Look:
    """What a command looks at: a service in a cluster, or a record of an earlier look."""

    service: str
    namespace: str
    prometheus: str
    offline: Path | None
    keys: tuple[Path, ...]

    async def observed(self) -> Observed:
        """Raises CouldNotTell."""
        from dabbawala.readiness import reading, records

        trust = trust_of(self.keys) if self.keys else None
        if self.offline is not None:
            found: Observed = _recorded(lambda: records.observed_in(document(self.offline), trust or Trust()))
            if self.service not in ("", found.service):
                raise CouldNotTell(f"{self.offline} is about {found.service}, not about {self.service}")
            return found
        async with AsyncExitStack() as stack:
            client, namespace = await opened(stack, self.namespace)
            try:
                return await reading.look(
                    client, self.service, namespace, now=SystemClock().now(), prometheus=self.prometheus, trust=trust
                )
            except (reading.NoSuchService, BadKey) as error:
                raise CouldNotTell(str(error)) from error


def looking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options of a command that looks at a service; it gets them as `look`."""

    @click.argument("service")
    @click.option("-n", "--namespace", default="", help="Namespace; otherwise the context's.")
    @click.option("--prometheus", default=measuring.ADDRESS, show_default=True, help="Whom to ask for measurements.")
    @click.option("--offline", type=FILE, help="Judge what this record has seen, instead of a cluster.")
    @TRUST
    @connection.options
    @wraps(command)
    def taken(
        *args: Any,
        service: str,
        namespace: str,
        prometheus: str,
        offline: Path | None,
        keys: tuple[Path, ...],
        **rest: Any,
    ) -> Any:
        return command(*args, look=Look(service, namespace, prometheus, offline, keys), **rest)

    return taken


async def opened(stack: AsyncExitStack, namespace: str) -> tuple[Client, str]:
    """A client, and the namespace that is meant."""
    ctx = click.get_current_context()
    chosen = namespace or connection.chosen(ctx).namespace
    return await stack.enter_async_context(connection.looking(ctx)), chosen


def trust_of(keys: tuple[Path, ...]) -> Trust:
    try:
        return Trust.of(dict(map(read_public, keys)))
    except BadKey as error:
        raise CouldNotTell(str(error)) from error


def signer_of(path: Path) -> Signer:
    try:
        return Signer.read(path)
    except BadKey as error:
        raise CouldNotTell(str(error)) from error


def document(path: Path | None) -> Any:
    """A JSON document. Raises CouldNotTell."""
    import orjson

    assert path is not None, "asked only where a file was given"
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CouldNotTell(f"{path} is no JSON: {error}") from error


def _recorded(read: Callable[[], Any]) -> Any:
    from dabbawala.readiness.records import BadRecord

    try:
        return read()
    except BadRecord as error:
        raise CouldNotTell(str(error)) from error


def write(file: Path | None, data: bytes) -> None:
    with click.open_file(str(file or "-"), "wb") as stream:
        stream.write(data)


def status_of(found: Assessment) -> int:
    return YES if found.verdict.approval is Approval.APPROVED else NO


@readiness.command()
@looking
@PROFILE
@click.option("-o", "--output", "form", type=click.Choice((TERMINAL, "json", "html")), default=TERMINAL,
              show_default=True, help="The form of the report.")  # fmt: skip
@click.option("-f", "--file", type=PATH, help="Write the report there instead of to the standard output.")
@connection.asynchronous
async def check(look: Look, profile: str, form: str, file: Path | None) -> None:
    """Judge the 42 items of SERVICE: a workload, or a Service that leads to one."""
    observed = await look.observed()
    found = assessment.assess(observed, profile)
    if form == TERMINAL:
        _print(observed, found, file)
    else:
        write(file, importlib.import_module(f"dabbawala.readiness.outputs.as_{form}").render(found))
    raise click.exceptions.Exit(status_of(found))


def _print(observed: Observed, found: Assessment, file: Path | None) -> None:
    from rich.console import Console

    from dabbawala.readiness import guide
    from dabbawala.readiness.outputs import as_terminal

    lines = guide.render(observed, found).count("\n")
    with click.open_file(str(file or "-"), "w") as stream:
        console = Console(file=stream, soft_wrap=True)
        console.print(as_terminal.render(found))
        console.print(
            f"\nThe deployment guide has {lines} lines: dabba readiness guide {found.service} -n {found.namespace}"
        )


@readiness.command()
@looking
@connection.asynchronous
async def checklist(look: Look) -> None:
    """The 17 points of going live, each ticked only with evidence. Exit status 0 when all are."""
    from rich.console import Console

    from dabbawala.readiness import checklist
    from dabbawala.readiness.outputs import as_terminal

    observed = await look.observed()
    ticks = checklist.ticks(observed, assessment.assess(observed))
    Console(soft_wrap=True).print(as_terminal.checklist(ticks))
    raise click.exceptions.Exit(YES if all(tick.done for tick in ticks) else NO)


@readiness.command()
@looking
@connection.asynchronous
async def roadmap(look: Look) -> None:
    """Twelve weeks to production, and what of each is still open. Exit status 0 when nothing is."""
    from rich.console import Console

    from dabbawala.readiness import roadmap
    from dabbawala.readiness.outputs import as_terminal

    found = assessment.assess(await look.observed())
    Console(soft_wrap=True).print(as_terminal.roadmap(found))
    raise click.exceptions.Exit(NO if any(roadmap.open_items(found, phase) for phase in roadmap.PHASES) else YES)


@readiness.command()
@looking
@click.option("-f", "--file", type=PATH, help="Write the guide there instead of to the standard output.")
@connection.asynchronous
async def guide(look: Look, file: Path | None) -> None:
    """The deployment guide of SERVICE, in Markdown, from what its cluster really contains."""
    from dabbawala.readiness import guide

    observed = await look.observed()
    write(file, guide.render(observed, assessment.assess(observed)).encode())


@readiness.command()
@looking
@click.option("--item", required=True, help="The item that is to be put right.")
@connection.asynchronous
async def propose(look: Look, item: str) -> None:
    """Print the objects that would put an item right, to be read and applied."""
    import yaml

    from dabbawala.readiness import proposals

    try:
        objects = proposals.propose(await look.observed(), item)
    except proposals.NothingToPropose as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(NO) from error
    click.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)


# Evidence.


@readiness.command()
@click.argument("service")
@click.argument("item")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--expires", required=True, help="From when on it counts no more: a date, or RFC 3339.")
@click.option("--document", "backing", required=True, type=FILE, help="What backs it; only its hash is kept.")
@click.option("--statement", default="", help="What is said, in a sentence.")
@connection.options
@click.option("-n", "--namespace", default="", help="Namespace; otherwise the context's.")
@connection.asynchronous
async def attest(service: str, item: str, namespace: str, **said: Any) -> None:
    """Append somebody's word about an item, with the hash of the document that backs it."""
    from dabbawala.readiness import appending

    spec = _possible(lambda: appending.attestation(service, item, SystemClock().now(), **said))
    async with AsyncExitStack() as stack:
        client, chosen = await opened(stack, namespace)
        await _append(client, chosen, spec)


@readiness.command("import")
@click.argument("file", type=FILE)
@TRUST
@click.option("-n", "--namespace", default="", help="Namespace; otherwise the context's.")
@connection.options
@connection.asynchronous
async def import_evidence(file: Path, keys: tuple[Path, ...], namespace: str) -> None:
    """Append signed evidence that was measured elsewhere. It stays labelled as imported.

    What is unsigned, signed by nobody who is trusted, altered or stale is refused, and then nothing of FILE is taken.
    """
    from dabbawala.readiness import appending, reading

    async with AsyncExitStack() as stack:
        client, chosen = await opened(stack, namespace)
        trust = trust_of(keys) if keys else await reading.trusted(client)
        found = _possible(lambda: appending.read(file))
        refused = [line for spec in found for line in appending.refusals(spec, chosen, trust, SystemClock().now())]
        for line in refused:
            click.echo(f"refused: {line}", err=True)
        if refused or not found:
            raise click.exceptions.Exit(NO)
        for spec in found:
            await _append(client, chosen, spec)


async def _append(client: Client, namespace: str, spec: Object) -> None:
    from dabbawala.readiness import appending

    try:
        made = await appending.append(client, namespace, spec)
    except appending.Refused as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(NO) from error
    click.echo(f"appended Evidence {made['metadata']['name']}: {spec['type']} of {spec['item']}, {spec['result']}")


def _possible(make: Callable[[], Any]) -> Any:
    from dabbawala.readiness.appending import Refused

    try:
        return make()
    except Refused as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(NO) from error


@readiness.command()
@click.argument("file", type=FILE)
@click.option("--key", required=True, type=FILE, help="The private key; its file's name is the key's name.")
@click.option("-n", "--namespace", required=True, help="Namespace of the service.")
def sign(file: Path, key: Path, namespace: str) -> None:
    """Sign evidence about a service, for `import`: one document or more, in YAML or JSON."""
    import yaml

    from dabbawala.readiness import appending

    signer = signer_of(key)
    found = _possible(lambda: appending.read(file))
    click.echo(
        yaml.safe_dump_all([appending.signed(spec, namespace, signer) for spec in found], sort_keys=False), nl=False
    )


@readiness.command()
@click.argument("path", type=PATH, metavar="NAME")
def key(path: Path) -> None:
    """Make a key: NAME.key, which nobody else may read, and NAME.pub, by which others trust it."""
    signer = Signer.make(path.name)
    private, public = path.with_name(f"{path.name}.key"), path.with_name(f"{path.name}.pub")
    if private.exists() or public.exists():
        raise CouldNotTell(f"{private} or {public} is there already; take another name")
    private.touch(mode=0o600)
    private.write_bytes(signer.private_pem())
    public.write_bytes(signer.public_pem())
    click.echo(f"{private} {public}")


@readiness.command()
@looking
@PROFILE
@click.option("--key", required=True, type=FILE, help="The private key that signs it.")
@click.option("-f", "--file", type=PATH, help="Write the record there instead of to the standard output.")
@connection.asynchronous
async def export(look: Look, profile: str, key: Path, file: Path | None) -> None:
    """Write the signed record of a check: all that it saw, all evidence, and what it said. It holds no secrets."""
    import orjson

    from dabbawala.readiness import records

    signer = signer_of(key)
    observed = await look.observed()
    made = records.made(observed, assessment.assess(observed, profile), signer)
    write(file, orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n")


@readiness.command()
@click.argument("file", type=FILE)
@TRUST
@click.option("--earlier", type=FILE, help="An earlier record of the same service: none of its evidence may be gone.")
@click.option("--at", "moment", default="", help="Judge ages at this instant, RFC 3339; otherwise now.")
def verify(file: Path, keys: tuple[Path, ...], earlier: Path | None, moment: str) -> None:
    """Judge a record again, without a cluster: hashes, signatures, the chain of evidence, ages, and the verdict.

    Exit status: 0 it holds and approves, 1 it does not hold or does not approve, 2 could not tell.
    """
    from dabbawala.readiness import records

    record = document(file)
    before = document(earlier) if earlier is not None else None
    now = _moment(moment)
    problems = _recorded(lambda: records.problems_of(record, trust_of(keys), now, before))
    for problem in problems:
        click.echo(f"refused: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(NO)
    said = record["verdict"]
    click.echo(
        f"{said['namespace']}/{said['service']}: {said['verdict']}, {said['passed']} of {said['total']}, as of "
        f"{said['checkedAt']}; every hash, signature and age holds, and the verdict follows"
    )
    raise click.exceptions.Exit(YES if said["approval"] == Approval.APPROVED else NO)


def _moment(text: str) -> Any:
    try:
        return clock.parse_time(text) if text else SystemClock().now()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
