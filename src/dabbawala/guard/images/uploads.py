"""Results to a dashboard: one POST of JSON, tried again a few times where the other side may still take it."""

from __future__ import annotations

from collections.abc import Mapping

from dabbawala.apimachinery.clock import Clock

ATTEMPTS_MAX = 4
FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 1.0, 30.0
"""Between attempts, doubling."""
POST_SECONDS_MAX = 30.0


class NotUploaded(Exception):
    """The other side did not take the results; the message says why."""


async def post(url: str, data: bytes, clock: Clock, headers: Mapping[str, str] | None = None) -> int:
    """Deliver; gives the number of attempts. What is refused (4xx, but for 408 and 429) is not tried again. Raises
    NotUploaded."""
    import aiohttp  # a tenth of a second to import, and most listings are not uploaded

    delay, said = FIRST_DELAY_SECONDS, ""
    given = {"content-type": "application/json", **(headers or {})}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(POST_SECONDS_MAX)) as session:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                async with session.post(url, data=data, headers=given) as answer:
                    if answer.status < 300:
                        return attempt
                    said = f"it answered {answer.status}"
                    if answer.status < 500 and answer.status not in (408, 429):
                        raise NotUploaded(f"{url}: {said}")
            except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
                said = str(wrong) or type(wrong).__name__
            if attempt < ATTEMPTS_MAX:
                await clock.sleep(delay)
                delay = min(delay * 2, LAST_DELAY_SECONDS)
    raise NotUploaded(f"{url}: {said}, {ATTEMPTS_MAX} times")
