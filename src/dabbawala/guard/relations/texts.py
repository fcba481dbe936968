"""What stands in other languages inside of fields: PromQL, cron expressions, pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.languages import pipelines, schedules


def _promql(expression: Any) -> Object:
    """What a PromQL expression asks for: `error`, `type`, `selectors`, `ranges` (function, metric, seconds), `counters`
    that no rate is taken of, `divisors`, `faults` (sentences), whether it `compares` and is `scaled` to per cent."""
    from dabbawala.guard.languages import promql  # most scans read none

    return promql.model(expression)


def _cron(expression: Any, seconds: bool) -> Object:
    """A cron expression, with `seconds` as its first field or without: `error`, `zone`, `minute` of the day (-1 where
    there is not one)."""
    return schedules.parse(expression, seconds=seconds)


def _jobs(pipeline: Mapping[str, Any]) -> list[Object]:
    """The jobs of a GitLab pipeline with all that they inherit: `name`, `job`, `stage`."""
    return pipelines.jobs(pipeline)


def _stages(pipeline: Mapping[str, Any]) -> list[str]:
    """The stages of a GitLab pipeline, its own two included."""
    return pipelines.stages(pipeline)


def _missing(pipeline: Mapping[str, Any]) -> list[str]:
    """What the jobs of a GitLab pipeline name and nothing defines, as `job.field: name`."""
    return pipelines.missing(pipeline)


FUNCTIONS = (
    Function("promql", ("dyn",), "dyn", _promql),
    Function("cron", ("dyn", "bool"), "dyn", _cron),
    Function("jobs", ("dyn",), "list<dyn>", _jobs),
    Function("stages", ("dyn",), "list<string>", _stages),
    Function("missingJobs", ("dyn",), "list<string>", _missing),
)
