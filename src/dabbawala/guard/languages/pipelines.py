"""A GitLab pipeline's jobs with all that they inherit: `extends`, `default`, global `image` and `variables`.

Templates from elsewhere (`include`) are not fetched; what they bring is unknown, and `included` says so. Pure.
Source: docs.gitlab.com/ci/yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object

EXTENDS_MAX = 11
"""Levels of `extends`, as GitLab allows."""

KEYWORDS = frozenset((
    "image", "services", "stages", "types", "before_script", "after_script", "variables", "cache", "include",
    "workflow", "default", "pages", "spec",
))  # fmt: skip
_INHERITED = ("image", "services", "before_script", "after_script", "retry", "timeout", "tags", "interruptible")
_STAGES = ("build", "test", "deploy")


def jobs(pipeline: Mapping[str, Any]) -> list[Object]:
    """The jobs that run: `name`, `job` with what it inherits, and its `stage`."""
    return [
        {"name": name, "job": job, "stage": job.get("stage") or "test"}
        for name, job in ((name, merged(pipeline, name)) for name, _ in _written(pipeline))
    ]


def _written(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, job in pipeline.items():
        if name not in KEYWORDS and not name.startswith(".") and isinstance(job, dict):
            yield name, job


def merged(pipeline: Mapping[str, Any], name: str) -> Object:
    """A job with what it extends, and with the defaults for what none of them says."""
    found = _extended(pipeline, name, 0)
    given = pipeline.get("default")
    defaults = given if isinstance(given, dict) else {}
    for field in _INHERITED:
        value = defaults.get(field, pipeline.get(field))
        if value is not None and field not in found:
            found[field] = value
    return found


def _extended(pipeline: Mapping[str, Any], name: str, depth: int) -> Object:
    own = pipeline.get(name)
    if not isinstance(own, dict) or depth > EXTENDS_MAX:
        return {}
    parents = own.get("extends")
    found: Object = {}
    for parent in [parents] if isinstance(parents, str) else parents if isinstance(parents, list) else ():
        _merge(found, _extended(pipeline, str(parent), depth + 1))
    _merge(found, own)
    return found


def _merge(into: Object, other: Mapping[str, Any]) -> None:
    """Maps are merged, anything else is replaced."""
    for key, value in other.items():
        here = into.get(key)
        if isinstance(here, dict) and isinstance(value, dict):
            inner = dict(here)
            _merge(inner, value)
            into[key] = inner
        else:
            into[key] = value


def stages(pipeline: Mapping[str, Any]) -> list[str]:
    given = pipeline.get("stages")
    named = [str(stage) for stage in given] if isinstance(given, list) else list(_STAGES)
    return [".pre", *named, ".post"]


def missing(pipeline: Mapping[str, Any]) -> list[str]:
    """Jobs and templates that `extends`, `needs` and `dependencies` name and nothing here defines."""
    if pipeline.get("include"):
        return []
    found = []
    for name, job in pipeline.items():
        if name in KEYWORDS or not isinstance(job, dict):
            continue
        for field in ("extends", "needs", "dependencies"):
            others = [other for other in _names(job.get(field)) if other not in pipeline and "$" not in other]
            found += [f"{name}.{field}: {other}" for other in others]
    return found


def _names(given: Any) -> Iterator[str]:
    for item in [given] if isinstance(given, str) else given if isinstance(given, list) else ():
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and isinstance(item.get("job"), str) and not item.get("project"):
            yield item["job"]
