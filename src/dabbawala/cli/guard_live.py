"""`dabba guard scan` where it asks a cluster: with --live what is in it, with --with-cluster-policies what it enforces.

Loaded by every scan, so that it imports what it needs only when a cluster is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dabbawala.cli.answer import CouldNotTell

if TYPE_CHECKING:
    from dabbawala.cli.guard import Asked
    from dabbawala.client.client import Client
    from dabbawala.guard.findings import Report


@dataclass(frozen=True, slots=True)
class Live:
    """What of a cluster a scan asks."""

    live: bool
    namespace: str
    all_namespaces: bool
    with_cluster_policies: bool
    publish: bool
    kubeconfig: Path | None
    context: str

    @property
    def asks(self) -> bool:
        return self.live or self.with_cluster_policies

    def check(self, paths: Sequence[str]) -> None:
        """Raises UsageError for options that do not go together."""
        if self.live and paths:
            raise click.UsageError("scan files or, with --live, the cluster")
        if not (self.live or paths):
            raise click.UsageError("name files to scan, or --live")
        if self.publish and not self.live:
            raise click.UsageError("--publish writes what a scan of the cluster finds: add --live")
        if self.namespace and self.all_namespaces:
            raise click.UsageError("-n names one namespace, -A means all")
        if (self.namespace or self.all_namespaces) and not self.live:
            raise click.UsageError("-n and -A choose what of a cluster is scanned: add --live")
        if (self.kubeconfig or self.context) and not self.asks:
            raise click.UsageError("--kubeconfig and --context name a cluster: add --live")
        given = click.get_current_context().get_parameter_source
        if self.asks and any(given(name) is ParameterSource.COMMANDLINE for name in ("jobs", "kubernetes_version")):
            raise click.UsageError("-j and --kubernetes-version are about files: leave them out with a cluster")

    def scan(self, paths: Sequence[str], asked: Asked) -> Report:
        """Ask the cluster. Raises CouldNotTell, and UsageError for what its own policies know nothing of."""
        from dabbawala.cli import connection

        if self.with_cluster_policies and asked.exceptions:
            raise click.UsageError("-e accepts what the checks of guard find: leave out --with-cluster-policies")
        ctx = click.get_current_context()
        ctx.ensure_object(dict).update({connection.KUBECONFIG: self.kubeconfig, connection.CONTEXT: self.context})
        found: Report = connection.asynchronous(self._scan)(ctx, paths, asked)
        return found

    async def _scan(self, ctx: click.Context, paths: Sequence[str], asked: Asked) -> Report:
        from dabbawala.apimachinery.clock import SystemClock
        from dabbawala.cli import connection
        from dabbawala.guard.live import publishing

        async with connection.looking(ctx) as client:
            report = await self._report(client, paths, asked)
            if self.publish:
                try:
                    await publishing.publish(client, report, namespace=self.namespace, now=SystemClock().now())
                except publishing.CannotPublish as refused:
                    raise CouldNotTell(str(refused)) from refused
            return report

    async def _report(self, client: Client, paths: Sequence[str], asked: Asked) -> Report:
        from dabbawala.apimachinery.clock import SystemClock
        from dabbawala.guard import scanning
        from dabbawala.guard.cache import Cache, folder_of
        from dabbawala.guard.findings import Problem
        from dabbawala.guard.live import against, scan

        kept = Cache(folder_of(os.environ))
        checks = asked.checks(kept.checks)
        if self.with_cluster_policies:
            if self.live:
                return await against.cluster(client, checks, namespace=self.namespace)
            return await against.files(client, paths, checks)
        problems: list[Problem] = []
        given = list(scanning.exceptions_of(asked.exceptions, problems))
        now = SystemClock().now()
        report = await scan.of_cluster(client, checks, given, namespace=self.namespace, now=now, store=kept.store)
        report.problems += problems
        kept.save()
        return report


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a scan that may ask a cluster; it gets them as `live`."""

    @click.option("--live", is_flag=True, help="Scan what is in the cluster instead of files.")
    @click.option("-n", "--namespace", default="", help="Of the cluster, only this namespace; otherwise all of it.")
    @click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, as without -n.")
    @click.option("--with-cluster-policies", is_flag=True,
                  help="Ask the policies that the cluster enforces instead of those that come with guard, "
                       "and say how the two differ.")  # fmt: skip
    @click.option("--publish", is_flag=True, help="With --live: keep the results in the cluster as PolicyReports.")
    @click.option("--kubeconfig", type=click.Path(path_type=Path),
                  help="The kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config, or the pod we run in.")  # fmt: skip
    @click.option("--context", default="", help="Context of the kubeconfig to use.")
    @wraps(command)
    def taken(*args: Any, **given: Any) -> Any:
        own = {name: given.pop(name) for name in Live.__dataclass_fields__}
        return command(*args, live=Live(**own), **given)

    return taken
