"""`dabba controller`: a capability as a process of its own, against any cluster, with the rights it is given."""

from __future__ import annotations

import click

from dabbawala import assembly
from dabbawala.cli import connection


@click.command()
@connection.options
@click.option("--leader-elect/--no-leader-elect", default=True, help="Act only while holding the lease.")
@click.option("--namespace", default="dabbawala", show_default=True, help="Namespace of the lease.")
@click.option(
    "--metrics-address",
    default="127.0.0.1:8090",
    show_default=True,
    help="Where /metrics and /healthz are served, as host:port; empty for nowhere.",
)
@click.pass_context
@connection.asynchronous
async def controller(ctx: click.Context, leader_elect: bool, namespace: str, metrics_address: str) -> None:
    """Run the rollout capability against the cluster of the kubeconfig, until interrupted.

    Prometheus finds the numbers at /metrics, under Argo Rollouts' names; a probe finds /healthz.
    """
    lease_namespace = namespace if leader_elect else ""
    await assembly.run_controller(connection.chosen(ctx), lease_namespace=lease_namespace, metrics=metrics_address)
