"""Questions to a Prometheus, wherever it is. Source: prometheus.io/docs/prometheus/latest/querying/api."""

from __future__ import annotations

from urllib.parse import quote

import orjson

from dabbawala.client.dialer import Dialer, DialFailed


async def ask(dialer: Dialer, address: str, query: str, *, timeout_seconds: float) -> object:
    """The body of the answer to an instant query in PromQL, which may say that it failed. Raises DialFailed where
    nothing answers, or not in JSON."""
    url = f"{address.rstrip('/')}/api/v1/query?query={quote(query, safe='')}"
    answer = await dialer.request("GET", url, timeout_seconds=timeout_seconds)
    try:
        found: object = orjson.loads(answer.body)
    except orjson.JSONDecodeError as wrong:
        raise DialFailed(f"{address} answers {answer.status}, and no JSON") from wrong
    return found
