"""How every command reaches a cluster: `--kubeconfig`, `--context`, and a client that closes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from dabbawala.apimachinery import status
from dabbawala.cli.answer import CouldNotTell
from dabbawala.cli.command import asynchronous as asynchronous
from dabbawala.client import kubeconfig
from dabbawala.client.client import Client

P = ParamSpec("P")
T = TypeVar("T")

KUBECONFIG = "kubeconfig"
CONTEXT = "context"


def options(command: Callable[P, T]) -> Callable[P, T]:
    """`--kubeconfig` and `--context`, kept in the click context for `client`."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
        ctx.ensure_object(dict)[parameter.name] = value

    context = click.option(
        "--context", help="Context of the kubeconfig to use.", expose_value=False, callback=keep, is_eager=True
    )
    file = click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        help="The kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config, or the pod we run in.",
        expose_value=False,
        callback=keep,
        is_eager=True,
    )
    return file(context(command))


def chosen(ctx: click.Context) -> kubeconfig.Connection:
    """The connection that the options name. Raises CouldNotTell."""
    settings = ctx.ensure_object(dict)
    try:
        return kubeconfig.load(settings.get(KUBECONFIG), settings.get(CONTEXT) or "")
    except kubeconfig.BadKubeconfig as error:
        raise CouldNotTell(str(error)) from error


@asynccontextmanager
async def client(ctx: click.Context) -> AsyncIterator[Client]:
    """A client for the chosen cluster."""
    from dabbawala.client import http  # what it takes to import, only a command that connects shall wait for

    made = Client(http.HTTPTransport(chosen(ctx)))
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def looking(ctx: click.Context) -> AsyncIterator[Client]:
    """The same, for a command whose answer is about what it sees: what it is not shown, it could not tell."""
    try:
        async with client(ctx) as made:
            yield made
    except status.StatusError as refused:
        raise CouldNotTell(refused.message) from refused
