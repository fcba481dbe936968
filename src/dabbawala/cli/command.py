"""What every command is made with: awaiting in its body, and an answer for "could not tell".

Imports little, because `dabba up` waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

P = ParamSpec("P")
T = TypeVar("T")


class CouldNotTell(click.ClickException):
    """The question could not be answered: no cluster, no access, no such file."""

    exit_code = 2


def asynchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a command function that awaits."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(function(*args, **kwargs))

    return run
