"""`dabba rollout`: look at rollouts, act on them, and know beforehand what they will do.

Every act is one plain patch, the same that Argo's plugin sends. Exit status: 0 yes, 1 no, 2 could not tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cli import connection, rollout_view
from dabbawala.cli.answer import NO, UNKNOWN, YES, CouldNotTell
from dabbawala.client.client import Client
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import actions, explain, files, phases, reading, rehearsal, spec, tree
from dabbawala.rollout.stage import Stage

REFRESH_SECONDS = 1.0
WATCH_SECONDS = 0

ROLLOUT = argoproj_v1alpha1.ROLLOUT


@click.group()
def rollout() -> None:
    """Progressive delivery: look at rollouts, act on them, and know beforehand what they will do.

    Exit status: 0 yes, 1 no, 2 could not tell.
    """


def namespaced(command: Callable[..., object]) -> Callable[..., object]:
    """The options of a command that asks a cluster."""
    option = click.option("-n", "--namespace", default="", help="Namespace; otherwise the context's.")
    return connection.options(option(command))


@dataclass(frozen=True, slots=True)
class Session:
    client: Client
    namespace: str


async def session(stack: AsyncExitStack, namespace: str) -> Session:
    ctx = click.get_current_context()
    chosen = namespace or connection.chosen(ctx).namespace
    return Session(await stack.enter_async_context(connection.client(ctx)), chosen)


async def _summary(at: Session, name: str) -> tree.Summary:
    found, observed, snapshot = await reading.look(at.client, name, at.namespace)

    def pods_of(replica_set: Object) -> list[Object]:
        return reading.pods_of(snapshot, replica_set)

    now = SystemClock().now()
    return tree.summarize(found, observed.replica_sets, observed.analysis_runs, pods_of=pods_of, now=now)


@rollout.command()
@click.argument("name")
@click.option("-w", "--watch", is_flag=True, help="Keep showing it until interrupted.")
@namespaced
@connection.asynchronous
async def get(name: str, watch: bool, namespace: str) -> None:
    """Show a rollout: its step, weights, verdicts, and the tree of revisions, sets and pods."""
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        console = Console()
        if not watch:
            console.print(rollout_view.panel(await _summary(at, name)))
            return
        await _show_until(at, name, console, lambda summary: False)


@rollout.command()
@click.argument("name")
@click.option("--timeout", default=WATCH_SECONDS, help="Seconds to wait; 0 waits for ever.", show_default=True)
@namespaced
@connection.asynchronous
async def watch(name: str, timeout: int, namespace: str) -> None:
    """Show a rollout until it is healthy (exit 0) or degraded (exit 1); exit 2 when time is up first."""
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        ended = (phases.HEALTHY, phases.DEGRADED)
        try:
            async with asyncio.timeout(timeout or None):
                found = await _show_until(at, name, Console(), lambda summary: summary.phase in ended)
        except TimeoutError:
            click.echo(f"Rollout {name} has not ended within {timeout} s", err=True)
            raise click.exceptions.Exit(UNKNOWN) from None
        raise click.exceptions.Exit(YES if found.phase == phases.HEALTHY else NO)


async def _show_until(at: Session, name: str, console: Console, done: Callable[[tree.Summary], bool]) -> tree.Summary:
    found = await _summary(at, name)
    with Live(rollout_view.panel(found), console=console, auto_refresh=False) as live:
        while not done(found):
            await asyncio.sleep(REFRESH_SECONDS)
            found = await _summary(at, name)
            live.update(rollout_view.panel(found), refresh=True)
    return found


@rollout.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@namespaced
@connection.asynchronous
async def list_rollouts(all_namespaces: bool, namespace: str) -> None:
    """List rollouts with their phase, step, weights and counts."""
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        found = (await at.client.list(ROLLOUT, None if all_namespaces else at.namespace)).items
        if not found:
            click.echo(f"No rollouts in {'any namespace' if all_namespaces else at.namespace}.")
            return
        Console().print(rollout_view.table(found, with_namespace=all_namespaces))


# Acts.

Act = Callable[[Object], list[Patch]]


async def _act(name: str, namespace: str, act: Act, done: str) -> None:
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        found = await at.client.get(ROLLOUT, name, at.namespace)
        await _send(at, _possible(lambda: act(found)))
        click.echo(f"rollout '{name}' {done}")


def _possible(make: Callable[[], list[Patch]]) -> list[Patch]:
    try:
        return make()
    except actions.NotPossible as why:
        click.echo(str(why), err=True)
        raise click.exceptions.Exit(NO) from why


async def _send(at: Session, patches: list[Patch]) -> None:
    for patch in patches:
        key = patch.key
        await at.client.patch(
            patch.kind, key.name, key.namespace, patch.body, type=patch.type, subresource=patch.subresource
        )


@rollout.command()
@click.argument("name")
@click.option("--full", is_flag=True, help="Skip every step, pause and analysis that is left.")
@click.option("-c", "--skip-current-step", "current", is_flag=True, help="Leave the current step, paused or not.")
@click.option("-a", "--skip-all-steps", "every", is_flag=True, help="Leave all steps; analyses still count.")
@namespaced
@connection.asynchronous
async def promote(name: str, full: bool, current: bool, every: bool, namespace: str) -> None:
    """End the pause of a rollout, or skip what is left of it."""
    if full + current + every > 1:
        raise click.UsageError("use one of --full, --skip-current-step and --skip-all-steps")
    act = actions.promote_fully if full else actions.skip_step if current else actions.skip_all if every else None
    await _act(name, namespace, act or actions.promote, "fully promoted" if full else "promoted")


def _simple(name: str, act: Act, done: str, text: str) -> click.Command:
    async def run(name: str, namespace: str) -> None:
        await _act(name, namespace, act, done)

    run.__doc__ = text
    wrapped = namespaced(connection.asynchronous(run))
    return rollout.command(name, help=text)(click.argument("name")(wrapped))


pause = _simple("pause", actions.pause, "paused", "Stop a rollout where it is, until it is promoted.")
abort = _simple("abort", actions.abort, "aborted", "Give an update up: traffic goes back to the stable set at once.")
retry = _simple("retry", actions.retry, "retried", "Start an aborted update again at its first step.")


@rollout.command()
@click.argument("name")
@click.option("--in", "later", default="0s", help="How long from now, such as 10m.", show_default=True)
@namespaced
@connection.asynchronous
async def restart(name: str, later: str, namespace: str) -> None:
    """Replace all pods, a few at a time, through the eviction API."""
    try:
        at = SystemClock().now() + timedelta(seconds=spec.seconds(later))
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    await _act(name, namespace, lambda found: actions.restart(found, at), f"restarts at {at:%H:%M:%S} UTC")


@rollout.command()
@click.argument("name")
@click.option("--to-revision", default=0, help="The revision to go back to; otherwise the one before this.")
@namespaced
@connection.asynchronous
async def undo(name: str, to_revision: int, namespace: str) -> None:
    """Go back to the template of an earlier revision."""
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        found = await at.client.get(ROLLOUT, name, at.namespace)
        owned = (await at.client.list(apps_v1.REPLICA_SET, at.namespace)).items
        sets = [item for item in owned if (meta.controller_of(item) or {}).get("uid") == meta.uid(found)]
        await _send(at, _possible(lambda: actions.undo(found, sets, to_revision)))
        click.echo(f"rollout '{name}' undone")


@rollout.command("set-image")
@click.argument("name")
@click.argument("images", nargs=-1, required=True, metavar="CONTAINER=IMAGE...")
@namespaced
@connection.asynchronous
async def set_image(name: str, images: tuple[str, ...], namespace: str) -> None:
    """Set the image of containers (`*=IMAGE` sets all), which starts an update."""
    pairs = dict(item.partition("=")[::2] for item in images)
    if not all(pairs.values()):
        raise click.UsageError("give images as CONTAINER=IMAGE")
    await _act(name, namespace, lambda found: actions.set_image(found, pairs), "image updated")


# Knowing beforehand.


@rollout.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
def lint(paths: tuple[Path, ...]) -> None:
    """Judge the rollouts in files or folders without a cluster: exit 0 when all are valid, 1 when one is not."""
    found = _read(paths)
    bad = 0
    for item in found.rollouts:
        errors = files.errors(found, item)
        bad += bool(errors)
        click.echo(f"{meta.namespace(item)}/{meta.name(item)}: {'invalid' if errors else 'valid'}")
        for error in errors:
            click.echo(f"  {error.field}: {error.message}")
    if not found.rollouts:
        click.echo("no Rollout in these files", err=True)
        raise click.exceptions.Exit(UNKNOWN)
    raise click.exceptions.Exit(NO if bad else YES)


@rollout.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option("--from", "before", type=click.Path(exists=True, path_type=Path), help="The version to update from.")
@click.option("--pod-seconds", default=30.0, help="How long a new pod takes to be available.", show_default=True)
def plan(paths: tuple[Path, ...], before: Path | None, pod_seconds: float) -> None:
    """Print what an update will do, step by step, without touching anything.

    The controller's own planner runs on virtual time: pod counts, weights, the peak of pods, the duration. Analyses
    are taken to pass, and a pause without an end to be promoted at once.
    """
    found = _read(paths)
    if not found.rollouts:
        raise CouldNotTell("no Rollout in these files")
    olds = {meta.key(item): item for item in _read((before,)).rollouts} if before is not None else {}
    console, bad = Console(), False
    for item in found.rollouts:
        errors = files.errors(found, item)
        if errors:
            bad = True
            click.echo(f"{meta.key(item)} is invalid: {errors[0].field}: {errors[0].message}", err=True)
            continue
        old = olds.get(meta.key(item)) or files.earlier(item)
        stage = Stage(rehearsal.START, pod_seconds=pod_seconds)
        try:
            timeline = rehearsal.release(old, item, files.completed(found, item), stage)
        except rehearsal.Restless as endless:
            raise CouldNotTell(f"{endless}; give the files of all that it names, too") from endless
        assumed = [f"{kind} {name}" for name, kind in files.assumed(found, item).items()]
        console.print(rollout_view.timeline(item, timeline, pod_seconds, assumed))
        bad = bad or not timeline.ended.startswith(phases.HEALTHY)
    raise click.exceptions.Exit(NO if bad else YES)


def _read(paths: tuple[Path, ...]) -> files.Manifests:
    try:
        return files.read(paths)
    except files.Unreadable as wrong:
        raise CouldNotTell(str(wrong)) from wrong


@rollout.command("explain")
@click.argument("name")
@namespaced
@connection.asynchronous
async def explain_command(name: str, namespace: str) -> None:
    """Say exactly what a rollout waits for: exit 0 when it is healthy, 1 when it waits."""
    async with AsyncExitStack() as stack:
        at = await session(stack, namespace)
        found, observed, snapshot = await reading.look(at.client, name, at.namespace, everywhere=True)
        told = explain.explain(found, observed, SystemClock().now())
        click.echo(f"{at.namespace}/{name}: {told.phase}{': ' + told.message if told.message else ''}")
        for blocker in told.waits:
            click.echo(f"  waits: {blocker.reason}: {blocker.message}{explain.until(blocker)}")
        for line in told.acts:
            click.echo(f"  next: {line}")
        for text in sorted(snapshot.hidden):
            click.echo(f"  not seen: {text}; what depends on it may be otherwise")
        raise click.exceptions.Exit(YES if told.is_settled else NO)
