"""A time limit for a question that counts only the time in which this process could look for the answer.

On a machine with too much to do the node agent itself is late: an answer may have arrived in time and lie unread. To
kill the container for that would be to blame it for the agent. So the wait is cut into slices, and a slice that ended
late does not count. At most `FORGIVEN` slices are let off so: a container that does not answer still runs out of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

SLICE_SECONDS = 0.1
LATE_SECONDS = 0.05
"""A slice that lasts longer than asked for by more than this was not the container's."""

FORGIVEN = 30
"""Late slices that do not count, for one question."""

T = TypeVar("T")


async def within(seconds: float, question: Coroutine[Any, Any, T]) -> T:
    """The outcome of `question`. Raises TimeoutError when it has none within `seconds`; it is then cancelled."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(question)
    left, forgiven = seconds, 0
    try:
        while left > 0 and not task.done():
            began, wait = loop.time(), min(SLICE_SECONDS, left)
            await asyncio.wait((task,), timeout=wait)
            passed = loop.time() - began
            if passed > wait + LATE_SECONDS and forgiven < FORGIVEN:
                forgiven += 1
            else:
                left -= passed
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
