"""Where measurements come from over HTTP: Prometheus and any web address that answers with JSON.

A provider turns a metric into one finished measurement. What cannot be measured is an Error with its reason. Source:
Argo Rollouts, metricproviders/prometheus and metricproviders/webmetric.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

import orjson

from dabbawala.apimachinery import jsonpath
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import spec
from dabbawala.rollout.analysis import carried, moments, verdict

PROMETHEUS_TIMEOUT = 30.0
WEB_TIMEOUT = 10.0
"""Seconds."""

DEFAULT_PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"
MESSAGE_MAX = 1_000
"""Characters of an answer quoted in a message."""


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


class Dialer(Protocol):
    """Reaches in-cluster addresses from wherever we run; `client.dialer.Dialer`."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_seconds: float = 30.0,
        insecure: bool = False,
    ) -> Answer: ...


class Measured(NamedTuple):
    """What a provider found: the value as shown, the phase, and what to keep beside them."""

    phase: str
    value: str = ""
    message: str = ""
    metadata: Object | None = None


class NotMeasured(Exception):
    """The provider gave no usable answer; the message says why."""


Provider = Callable[[Object, Dialer, datetime], Awaitable[Measured]]
"""Measure a metric whose arguments are resolved, at this moment. Raises NotMeasured, DialFailed."""


# Prometheus.


async def prometheus(metric: Object, dialer: Dialer, now: datetime) -> Measured:
    settings = metric["provider"]["prometheus"]
    query = str(settings.get("query", ""))
    address = str(settings.get("address") or DEFAULT_PROMETHEUS).rstrip("/")
    timeout = float(settings.get("timeout") or PROMETHEUS_TIMEOUT)
    headers = {str(item["key"]): str(item["value"]) for item in settings.get("headers") or ()}
    path, asked = question(settings, now)
    answer = await dialer.request(
        "POST",
        f"{address}/api/v1/{path}",
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
        body=urlencode(asked).encode(),
        timeout_seconds=timeout,
        insecure=bool(settings.get("insecure")),
    )
    try:
        result = samples(answer)
    except NotMeasured as wrong:
        raise NotMeasured(f"{address}: {wrong}") from wrong
    found = verdict.measured(metric, result)
    return Measured(found.phase, shown(result), found.message, {"ResolvedPrometheusQuery": query})


def question(settings: Object, now: datetime) -> tuple[str, dict[str, str]]:
    """(endpoint, its form) of a query of this moment, or of a range that `rangeQuery` gives. Raises BadExpression,
    ValueError."""
    form, asked = {"query": str(settings.get("query", ""))}, settings.get("rangeQuery")
    if asked is None:
        return "query", form
    start, end = (moments.moment(str(asked.get(field) or ""), now).timestamp() for field in ("start", "end"))
    step = moments.span(str(asked.get("step") or "")).total_seconds()
    return "query_range", {**form, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}


def samples(answer: Answer) -> Any:
    """The values of a query: a list for a vector or matrix (of all its series), a number for a scalar. Raises
    NotMeasured."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        text = answer.body[:MESSAGE_MAX].decode(errors="replace")
        raise NotMeasured(f"prometheus answered {answer.status} with no JSON: {text}") from None
    if not isinstance(document, dict) or document.get("status") != "success":
        told = document if isinstance(document, dict) else {}
        error = told.get("error") or told.get("message")  # the API server's own, when it cannot pass the question on
        raise NotMeasured(f"prometheus answered {answer.status}: {error or 'no success'}")
    data = document.get("data") or {}
    kind, result = data.get("resultType"), data.get("result") or []
    if kind == "scalar":
        return _float(result[1])
    if kind == "vector":
        return [_float(item["value"][1]) for item in result]
    if kind == "matrix":
        return [_float(pair[1]) for item in result for pair in item["values"]]
    raise NotMeasured(f"prometheus returned a {kind}; a query must give numbers")


def _float(text: str) -> float:
    return float(text.replace("Inf", "inf"))


def shown(result: Any) -> str:
    """As Argo writes values: `[0.98,1]`."""
    if isinstance(result, list):
        return "[" + ",".join(shown(item) for item in result) + "]"
    if isinstance(result, float):
        if math.isnan(result):
            return "NaN"
        if math.isinf(result):
            return "+Inf" if result > 0 else "-Inf"
        return str(int(result)) if result == int(result) and abs(result) < 1e21 else repr(result)
    if isinstance(result, str):
        return result
    return orjson.dumps(result).decode()


# Web.


async def web(metric: Object, dialer: Dialer, now: datetime) -> Measured:
    settings = metric["provider"]["web"]
    method = str(settings.get("method") or "GET")
    headers = {str(item["key"]): str(item["value"]) for item in settings.get("headers") or ()}
    body = _body(settings, headers)
    timeout = spec.seconds(settings.get("timeoutSeconds")) or WEB_TIMEOUT
    answer = await dialer.request(
        method,
        str(settings.get("url")),
        headers=headers,
        body=body,
        timeout_seconds=timeout,
        insecure=bool(settings.get("insecure")),
    )
    if not 200 <= answer.status < 300:
        raise NotMeasured(f"received non 2xx response code: {answer.status}")
    value = web_value(answer.body, str(settings.get("jsonPath") or ""))
    found = verdict.measured(metric, value)
    return Measured(found.phase, shown(value), found.message)


def _body(settings: Object, headers: dict[str, str]) -> bytes:
    if settings.get("jsonBody") is not None:
        headers.setdefault("content-type", "application/json")
        return orjson.dumps(settings["jsonBody"])
    return str(settings.get("body") or "").encode()


def web_value(body: bytes, path: str) -> Any:
    """The value at the path; without one the whole body, as text when it is no JSON. Raises NotMeasured."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        if path:
            raise NotMeasured("could not parse JSON body") from None
        return body.decode(errors="replace")
    if not path:
        return document
    try:
        found = jsonpath.find(document, path)
    except ValueError as wrong:
        raise NotMeasured(f"jsonPath {path!r}: {wrong}") from wrong
    if not found:
        raise NotMeasured(f"could not find JSONPath {path!r} in the body")
    return found[0]


PROVIDERS: dict[str, Provider] = {carried.PROMETHEUS: prometheus, carried.WEB: web}
