"""`dabba guard generate`: manifests made from what is known, with comments that say why.

Exit status: 0 generated (with --diff: nothing would change), 1 nothing to generate (something would change), 2 an input
could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import IO, TYPE_CHECKING, Any

import click

from dabbawala.cli import connection
from dabbawala.cli.answer import NO, YES, CouldNotTell
from dabbawala.guard.generate.faults import BadInput
from dabbawala.guard.generate.profiles import OPERATORS, PROFILES
from dabbawala.guard.wording import counted

if TYPE_CHECKING:
    from dabbawala.guard.generate.isolation import Wish
    from dabbawala.guard.generate.observed import Traffic
    from dabbawala.guard.generate.writing import Piece
    from dabbawala.guard.inventory import Inventory

READABLE = click.Path(dir_okay=False, allow_dash=True)
PATHS = click.Path(allow_dash=True)
QUERY_SECONDS_MAX = 60.0
_WINDOW = re.compile(r"([0-9]+(ms|[smhdwy]))+")
READ_KINDS = frozenset({
    "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Rollout", "Service",
    "NetworkPolicy", "Namespace",
})  # fmt: skip


@click.group()
def generate() -> None:
    """Make manifests from what is known: policies of traffic, a namespace's baseline, a role of an audit log.

    Exit status: 0 generated, 1 nothing to generate, or with --diff something would change, 2 an input could not
    be read.
    """


@dataclass(frozen=True, slots=True)
class Output:
    """Where manifests go, by default to the standard output."""

    file: str

    def write(self, pieces: Iterable[Piece], head: str) -> None:
        from dabbawala.guard.generate.writing import render

        with click.open_file(self.file, "w", encoding="utf-8") as stream:
            stream.write(render(pieces, head))


def writing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option of a command that writes manifests; it gets it as `output`."""

    @click.option("-f", "--file", default="-", type=READABLE, help="Write there instead of to the standard output.")
    @wraps(command)
    def taken(*args: Any, file: str, **rest: Any) -> Any:
        try:
            return command(*args, output=Output(file), **rest)
        except BadInput as wrong:
            raise CouldNotTell(str(wrong)) from wrong
        except OSError as wrong:
            raise CouldNotTell(f"{wrong.filename or file}: {wrong.strerror or wrong}") from wrong

    return taken


@contextmanager
def _lines(file: str, longest: int) -> Iterator[Iterator[bytes]]:
    """The lines of a log; of one that is too long its beginning, which is too long too."""
    with click.open_file(file, "rb") as stream:
        yield iter(lambda: _line(stream, longest), b"")


def _line(stream: IO[bytes], longest: int) -> bytes:
    return stream.readline(longest + 1)


def _named(file: str) -> str:
    return "<stdin>" if file == "-" else file


# Network policies


@dataclass(frozen=True, slots=True)
class Sources:
    """What network policies are made of, and compared with."""

    graph: str | None
    flow_log: tuple[str, ...]
    prometheus: str
    window: str
    objects: tuple[str, ...]
    live: bool

    def check(self, diff: bool) -> None:
        """Raises UsageError for what does not go together."""
        if bool(self.graph) == bool(self.flow_log or self.prometheus):
            raise click.UsageError("give a service graph, or traffic: --flow-log, --prometheus")
        if self.prometheus and not (self.objects or self.live):
            raise click.UsageError("metrics name workloads and Services: add --objects PATH, or --live, to know them")
        if not _WINDOW.fullmatch(self.window):
            raise click.UsageError(f"--window {self.window!r}: give a time as Prometheus writes it, such as 12h or 7d")
        if diff and not (self.objects or self.live):
            raise click.UsageError("--diff compares with policies: add --objects PATH, or --live, to have some")

    def missed(self) -> str:
        """What to do where Prometheus told of nothing."""
        if not self.prometheus:
            return ""
        return f": no metric of a mesh in {self.prometheus} tells of it in the last {self.window}; give a --flow-log"


@generate.command("network-policies")
@click.argument("graph", required=False, type=READABLE)
@click.option("--flow-log", multiple=True, type=READABLE, metavar="FILE",
              help="Connections that were seen, one JSON object a line; may be repeated.")  # fmt: skip
@click.option("--prometheus", default="", metavar="URL", help="Ask this Prometheus for the mesh's metrics.")
@click.option("--window", default="7d", show_default=True, help="How far back the metrics are asked for.")
@click.option("--objects", multiple=True, type=PATHS, metavar="PATH",
              help="Manifests of the workloads, Services and policies that are there; may be repeated.")  # fmt: skip
@click.option("--live", is_flag=True, help="Read these from the cluster instead.")
@click.option("-n", "--namespace", "namespaces", multiple=True,
              help="Isolate this namespace; may be repeated. Otherwise all that traffic was seen in.")  # fmt: skip
@click.option("--diff", is_flag=True, help="Print how the policies that are there would change, and write nothing.")
@connection.options
@writing
@click.pass_context
def network_policies(
    ctx: click.Context, /, namespaces: tuple[str, ...], *, diff: bool, output: Output, **given: Any
) -> None:
    """Make NetworkPolicies of a service GRAPH, or of traffic that was seen.

    In each namespace everything is denied, and then exactly that is allowed. Exit status: 0 generated, 1 nothing to
    generate, or with --diff something would change, 2 an input could not be read.
    """
    from dabbawala.guard.generate import differences, isolation

    sources = Sources(**given)
    sources.check(diff)
    inventory = _inventory(ctx, sources)
    wish = _wish(ctx, sources, inventory, namespaces)
    pieces = isolation.plan(wish)
    _prove(wish, pieces)
    if not pieces:
        click.echo(f"no traffic was seen in a namespace that can be isolated{sources.missed()}", err=True)
        raise click.exceptions.Exit(NO)
    if not diff:
        output.write(
            pieces, "NetworkPolicies, generated. Everything is denied, and what was declared or seen is allowed."
        )
        return
    present = [item.object for item in inventory.select("NetworkPolicy")] if inventory else []
    changes = "".join(differences.lines(present, pieces))
    click.echo(changes, nl=False)
    raise click.exceptions.Exit(NO if changes else YES)


def _prove(wish: Wish, pieces: Sequence[Piece]) -> None:
    """Raises CouldNotTell where the policies would cut what they are to allow; two services of a graph may contradict
    each other."""
    from dabbawala.guard.generate import proof

    for flow in proof.blocked(wish, (piece.object for piece in pieces)):
        raise CouldNotTell(
            f"{flow.source} asks {flow.destination} on {flow.port or 'any port'}, and the policies would not let it: "
            "make sure that no other entry selects the same pods"
        )


def _wish(ctx: click.Context, sources: Sources, inventory: Inventory | None, namespaces: tuple[str, ...]) -> Wish:
    from dabbawala.guard.decoding import FILE_BYTES_MAX
    from dabbawala.guard.generate import observed, service_graph, traffic

    if sources.graph:
        if namespaces:
            raise click.UsageError("a graph says itself which namespaces its services are in: leave out -n")
        with click.open_file(sources.graph, "rb") as stream:
            return service_graph.read(_named(sources.graph), stream.read(FILE_BYTES_MAX + 1))
    sightings: set[observed.Sighting] = set()
    for found in _seen(ctx, sources, inventory):
        sightings |= found.sightings
        for remark in found.remarks:
            click.echo(remark, err=True)
    pods = inventory.pods if inventory else ()
    beside = {traffic.Workload(pod.namespace, traffic.labelled(pod.labels)) for pod in pods}
    return observed.wish(sightings, namespaces=namespaces, beside=beside)


def _seen(ctx: click.Context, sources: Sources, inventory: Inventory | None) -> Iterator[Traffic]:
    from dabbawala.guard.generate import flow_log, mesh
    from dabbawala.guard.generate.lines import LINE_BYTES_MAX

    for file in sources.flow_log:
        with _lines(file, LINE_BYTES_MAX) as lines:
            yield flow_log.read(_named(file), lines)
    if sources.prometheus and inventory:
        answers = connection.asynchronous(_ask)(ctx, sources)
        labels = [each for body in answers for each in mesh.series(sources.prometheus, body)]
        services = tuple(item.object for item in inventory.select("Service", group=""))
        yield mesh.read(labels, mesh.Known(tuple(pod.object for pod in inventory.pods), services))


async def _ask(ctx: click.Context, sources: Sources) -> list[object]:
    """Prometheus' answers. An address of a cluster's Service is reached through its API server."""
    from urllib.parse import urlsplit

    from dabbawala.client import http, prometheus
    from dabbawala.client.dialer import Dialer, DialFailed, service_of
    from dabbawala.client.kubeconfig import Connection
    from dabbawala.guard.generate import mesh

    answers: list[object] = []
    address = sources.prometheus
    inside = service_of(urlsplit(address).hostname or "") is not None
    # Only a Service is reached through the API server; for any other address no cluster has to be known.
    transport = http.HTTPTransport(connection.chosen(ctx) if inside else Connection(address))
    try:
        async with Dialer(transport) as dialer:
            for metric in mesh.METRICS:
                query = mesh.question(metric, sources.window)
                answers.append(await prometheus.ask(dialer, address, query, timeout_seconds=QUERY_SECONDS_MAX))
    except DialFailed as wrong:
        raise CouldNotTell(f"{address} gives no answer as Prometheus does: {wrong}") from wrong
    finally:
        await transport.close()
    return answers


def _inventory(ctx: click.Context, sources: Sources) -> Inventory | None:
    from dabbawala.guard import scanning
    from dabbawala.guard.findings import Report

    if sources.live:
        found: Inventory = connection.asynchronous(_read)(ctx)
        return found
    if not sources.objects:
        return None
    report = Report()
    inventory = scanning.read(sources.objects, report)
    for problem in report.problems:
        raise CouldNotTell(f"{problem.place}: {problem.text}")
    return inventory


async def _read(ctx: click.Context) -> Inventory:
    from dabbawala.guard.live.reading import Reader

    async with connection.looking(ctx) as client:
        found = await Reader(client, kinds=READ_KINDS).read()
    for problem in found.problems:
        raise CouldNotTell(problem.text)
    return found.inventory


# A namespace's baseline


@generate.command()
@click.argument("namespace")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="default", show_default=True,
              help="What is kept in the namespace.")  # fmt: skip
@click.option("--owner", default="", help="The team to call; otherwise the namespace's name.")
@click.option("--operator", type=click.Choice(list(OPERATORS)), default="described", show_default=True,
              help="What operators may do: exactly what is described, or the least that daily work needs.")  # fmt: skip
@click.option("--operator-user", default="", help="A user who operates it.")
@click.option("--operator-group", default="", help="The group that operates it; otherwise NAMESPACE-operators.")
@writing
def baseline(namespace: str, profile: str, *, output: Output, **given: str) -> None:
    """Make what NAMESPACE needs before anything runs in it: labels, quota, limits, isolation, accounts, rights."""
    from dabbawala.guard.generate import baseline as plans

    _check_name(namespace)
    wanted = plans.Namespace(
        namespace, given["owner"] or namespace, user=given["operator_user"],
        group=given["operator_group"] or f"{namespace}-operators", operator=given["operator"],
    )  # fmt: skip
    _check_label(wanted.owner)
    output.write(plans.plan(wanted, PROFILES[profile]), f"What the namespace {namespace} starts from, generated.")


def _check_name(namespace: str) -> None:
    from dabbawala.guard.generate.service_graph import NAME

    if not NAME.match(namespace):
        message = f"{namespace!r} is no name of a namespace: lower case letters, digits and hyphens, at most 63"
        raise click.UsageError(message)


def _check_label(owner: str) -> None:
    from dabbawala.apimachinery.selectors import value_errors

    for wrong in value_errors(owner):
        raise click.UsageError(f"--owner: {owner!r} is no value of a label: {wrong}")


# A role


@generate.command()
@click.option("--audit-log", multiple=True, required=True, type=READABLE, metavar="FILE",
              help="audit.k8s.io/v1 Events, one a line; - for the standard input; may be repeated.")  # fmt: skip
@click.option("--user", default="", help="Whose requests the role shall allow.")
@click.option("--serviceaccount", default="", metavar="NAMESPACE/NAME", help="The same of a service account.")
@click.option("--name", default="", help="The role's name; otherwise made of the user's.")
@click.option("--names", type=click.IntRange(0, 100), default=5, show_default=True,
              help="Name the objects in a rule where at most so many were asked for.")  # fmt: skip
@click.option("--binding/--no-binding", default=True, show_default=True, help="Bind the role as well.")
@writing
def role(audit_log: tuple[str, ...], user: str, *, output: Output, **given: Any) -> None:
    """Make the least role that allows what an audit log shows to have been done and allowed.

    Exit status: 0 generated, 1 the log has no such request, 2 it could not be read.
    """
    from dabbawala.guard.generate import role as plans

    asked = _user(user, given["serviceaccount"])
    requests, remarks = _requests(audit_log, asked)
    for remark in remarks:
        click.echo(remark, err=True)
    if not requests:
        click.echo(f"no request of {asked} was allowed in the log, so there is nothing to give", err=True)
        raise click.exceptions.Exit(NO)
    name = given["name"] or plans.name_of(asked)
    pieces = plans.plan(requests, asked, name, names_max=given["names"], bind=given["binding"])
    bound = pieces if given["binding"] else plans.plan(requests, asked, name, names_max=given["names"])
    for wanted in plans.unproved(requests, plans.user_of(asked), bound):
        raise CouldNotTell(f"the role would not allow {wanted.verb} {wanted.path or wanted.resource}: report this")
    output.write(pieces, f"The least role of {asked}, generated from an audit log: what was done and allowed.")


def _requests(files: Iterable[str], asked: str) -> tuple[Mapping[Any, int], list[str]]:
    """What of all the logs is about the user, and what a reader of the result must know."""
    from collections import Counter

    from dabbawala.guard.generate import audit_log
    from dabbawala.guard.generate.lines import LINE_BYTES_MAX
    from dabbawala.guard.generate.role import user_of

    requests: Counter[Any] = Counter()
    dropped = refused = 0
    for file in files:
        with _lines(file, LINE_BYTES_MAX) as lines:
            found = audit_log.read(_named(file), lines, user_of(asked))
        requests.update(found.requests)
        dropped, refused = dropped + found.dropped, refused + found.refused
    remarks = []
    if dropped:
        remarks.append(
            f"the log lacks {dropped:,} events that the server could not write: the role may lack what they did"
        )
    if refused:
        remarks.append(f"refused to {asked}: {counted(refused, 'request')}; the role does not allow that either")
    return requests, remarks


def _user(user: str, account: str) -> str:
    if bool(user) == bool(account):
        raise click.UsageError("say whose requests: --user NAME, or --serviceaccount NAMESPACE/NAME")
    if user:
        return user
    namespace, slash, name = account.partition("/" if "/" in account else ":")
    if not (namespace and slash and name):
        raise click.UsageError(f"--serviceaccount: {account!r} is not NAMESPACE/NAME")
    return f"system:serviceaccount:{namespace}:{name}"
