"""How every command reaches a cluster: `--kubeconfig`, `--context`, and a client that closes itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from dabbawala.client import http, kubeconfig
from dabbawala.client.client import Client

P = ParamSpec("P")
T = TypeVar("T")

KUBECONFIG = "kubeconfig"
CONTEXT = "context"


class CouldNotTell(click.ClickException):
    """The question could not be answered: no cluster, no access, no such file."""

    exit_code = 2


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
    made = Client(http.HTTPTransport(chosen(ctx)))
    try:
        yield made
    finally:
        await made.close()


def asynchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a command function that awaits."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(function(*args, **kwargs))

    return run
