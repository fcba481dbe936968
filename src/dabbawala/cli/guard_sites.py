"""`dabba guard sites`: whether the cluster for recovery is set up as the primary one.

Exit status: 0 they are alike, 1 they differ, 2 could not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dabbawala.cli import connection
from dabbawala.cli.answer import NO, YES, CouldNotTell

if TYPE_CHECKING:
    from dabbawala.guard.inventory import Inventory
    from dabbawala.guard.sites import Comparison, Difference


@click.command()
@click.argument("primary")
@click.argument("recovery")
@click.option("--except", "excepted", multiple=True, metavar="PATTERN",
              help="What may differ, such as 'ConfigMap shop/region*'; may be repeated.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("terminal", "json")), default="terminal", show_default=True)
@click.option("--kubeconfig", type=click.Path(path_type=Path),
              help="The kubeconfig file with both contexts; otherwise $KUBECONFIG or ~/.kube/config.")  # fmt: skip
@connection.asynchronous
async def sites(primary: str, recovery: str, excepted: Sequence[str], form: str, kubeconfig: Path | None) -> None:
    """Compare two clusters, by their contexts: versions, images, policies, kinds, rights and configuration.

    Values of Secrets are not compared. Exit status: 0 they are alike, 1 they differ, 2 could not tell.
    """
    from dabbawala.guard.sites import compare

    found = compare(await _read(primary, kubeconfig), await _read(recovery, kubeconfig), excepted)
    click.echo(_json(found, primary, recovery) if form == "json" else "\n".join(_lines(found)))
    raise click.exceptions.Exit(NO if found.differences else YES)


async def _read(context: str, kubeconfig: Path | None) -> Inventory:
    """Raises CouldNotTell where something of the cluster cannot be seen: what is not read is not alike."""
    from dabbawala.guard.live.reading import Reader

    ctx = click.get_current_context()
    ctx.ensure_object(dict).update({connection.KUBECONFIG: kubeconfig, connection.CONTEXT: context})
    async with connection.looking(ctx) as client:
        reading = await Reader(client).read()
    if not reading.whole:
        why = "; ".join(f"{problem.message} {problem.remedy}" for problem in reading.problems)
        raise CouldNotTell(f"{context} cannot be seen whole: {why}")
    return reading.inventory


def _json(found: Comparison, primary: str, recovery: str) -> str:
    import orjson

    from dabbawala.apimachinery import clock

    about = {"primary": primary, "recovery": recovery, "at": clock.format_time(clock.SystemClock().now())}
    return orjson.dumps({**about, **found.to_json()}, option=orjson.OPT_INDENT_2).decode()


def _lines(found: Comparison) -> Iterable[str]:
    yield from _told(found.differences, "")
    yield from _told(found.excepted, " (excepted)")
    counted = f"{len(found.differences)} differences, {len(found.excepted)} excepted"
    yield f"{found.compared} facts compared: {counted}"


def _told(differences: Iterable[Difference], mark: str) -> Iterable[str]:
    for each in differences:
        yield f"{each.part}: {each.subject}{mark}"
        yield f"    primary:  {each.primary}"
        yield f"    recovery: {each.recovery}"
