"""The built-in subresources beside status: binding, eviction, scale, finalize."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response

Serve = Callable[[Call], Awaitable[Response]]


def find(subresource: str, verb: str) -> Serve | None:
    """What serves that verb of that subresource."""
    return _SERVED.get((subresource, verb))


_SERVED: dict[tuple[str, str], Serve] = {}
