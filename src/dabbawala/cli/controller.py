"""`dabba controller`: a capability as a process of its own, against any cluster, with the rights it is given."""

from __future__ import annotations

import click

from dabbawala import assembly
from dabbawala.cli import connection


@click.command()
@connection.options
@click.option("--leader-elect/--no-leader-elect", default=True, help="Act only while holding the lease.")
@click.option("--namespace", default="dabbawala", show_default=True, help="Namespace of the lease.")
@click.pass_context
@connection.asynchronous
async def controller(ctx: click.Context, leader_elect: bool, namespace: str) -> None:
    """Run the rollout capability against the cluster of the kubeconfig, until interrupted."""
    await assembly.run_controller(connection.chosen(ctx), lease_namespace=namespace if leader_elect else "")
