"""What of a metric's provider is carried, so that everything else is refused by name before anything begins. Pure.

A setting that is not carried must not be ignored: the measurement would be of something else than was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout.analysis import moments
from dabbawala.rollout.analysis.expression import BadExpression

PROMETHEUS, WEB, JOB = "prometheus", "web", "job"
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Whether an expression means a time does not depend on the day."""


def kind(metric: Object) -> str:
    """Which provider a metric names."""
    return next((name for name, value in (metric.get("provider") or {}).items() if value is not None), "")


def refused(metric: Object) -> str:
    """What of the provider is missing, contradicts itself or is not carried; empty when all is well."""
    providers = {name: value for name, value in (metric.get("provider") or {}).items() if value is not None}
    if len(providers) != 1:
        return "must have exactly one provider"
    [(name, settings)] = providers.items()
    if name not in _RULES:
        return f"names provider '{name}', which is not supported; use {PROMETHEUS}, {WEB} or {JOB}"
    return next((f"provider.{name}.{found}" for found in _RULES[name](settings)), "")


def _prometheus(settings: Object) -> Iterator[str]:
    yield from _authentication(settings)
    if int(settings.get("timeout") or 0) < 0:
        yield "timeout should not be negative"
    asked = settings.get("rangeQuery")
    if asked is None:
        return
    for field in ("start", "end"):
        try:
            moments.moment(str(asked.get(field) or ""), _SOME_DAY)
        except BadExpression as wrong:
            yield f"rangeQuery.{field} is no time: {wrong}"
    try:
        if moments.span(str(asked.get("step") or "")).total_seconds() <= 0:
            yield f"rangeQuery.step {asked.get('step')!r} must be greater than 0"
    except ValueError as wrong:
        yield f"rangeQuery.step is not valid: {wrong}"


def _web(settings: Object) -> Iterator[str]:
    yield from _authentication(settings)
    if settings.get("jsonBody") is not None and settings.get("body"):
        yield "body and jsonBody exclude one another; use either"


def _authentication(settings: Object) -> Iterator[str]:
    for name, value in (settings.get("authentication") or {}).items():
        if value:
            yield f"authentication.{name} is not supported; give a header instead"


_RULES: dict[str, Callable[[Object], Iterator[str]]] = {
    PROMETHEUS: _prometheus,
    WEB: _web,
    JOB: lambda settings: iter(()),
}
