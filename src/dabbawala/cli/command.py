"""What every command is made with: awaiting in its body, an end that Ctrl-C may ask for, and an answer for "could not
tell".

The first Ctrl-C (or SIGTERM, or the end of the terminal) cancels what the command does. What it then cleans up is
cleaned up to the end: a further signal is told so, because half a clean-up leaves what nobody finds again.

Imports little, because `dabba up` waits for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

P = ParamSpec("P")
T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 128
"""An exit status above it names the signal that ended the command, as a shell shows it."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Await to the end, or until a signal. Raises click's Exit with INTERRUPTED and the signal's number."""
    heard: list[int] = []
    try:
        return asyncio.run(_until_signalled(work, heard))
    except asyncio.CancelledError:
        if not heard:
            raise
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED + heard[0]) from None


async def _until_signalled(work: Coroutine[Any, Any, T], heard: list[int]) -> T:
    task = asyncio.current_task()
    assert task is not None

    def stop(number: int) -> None:
        if heard:
            click.echo("cleaning up; a moment", err=True)
        else:
            task.cancel()
        heard.append(number)

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # what `nohup` or a shell's `&` ignores stays ignored
            loop.add_signal_handler(number, stop, number)
    return await work


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Await to the end even when cancelled meanwhile, and pass that on only then: for cleaning up."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def asynchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a command function that awaits."""

    @wraps(function)
    def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(function(*args, **kwargs))

    return awaited
