"""Arguments of an AnalysisRun: what `{{args.name}}` stands for, and hiding what came from a Secret.

Substitution is textual and reaches every string of a metric; one that cannot be resolved is an error. Source: Argo
Rollouts, utils/template and analysis/controller.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object

REDACTED = "*****"
_REFERENCE = re.compile(r"\{\{\s*args\.([A-Za-z0-9_.-]+)\s*\}\}")
_ANY = re.compile(r"\{\{[^{}]*\}\}")


class Unresolved(Exception):
    """An argument has no value; the message names it."""


def secret_references(run: Object) -> list[tuple[str, str, str]]:
    """(argument, secret, key) of every argument that comes from a Secret of the run's namespace."""
    found = []
    for item in (run.get("spec") or {}).get("args") or ():
        reference = (item.get("valueFrom") or {}).get("secretKeyRef")
        if reference:
            found.append((str(item.get("name")), str(reference.get("name")), str(reference.get("key"))))
    return found


def values(run: Object, secrets: Mapping[str, str]) -> dict[str, str]:
    """Name -> value, with the values of Secrets given by argument name. Raises Unresolved."""
    found: dict[str, str] = {}
    for item in (run.get("spec") or {}).get("args") or ():
        name, value = str(item.get("name")), item.get("value")
        value = secrets.get(name) if value is None else value
        if value is None:
            raise Unresolved(f"args.{name} was not resolved")
        found[name] = str(value)
    return found


def public(run: Object) -> dict[str, str]:
    """Name -> value, where an argument from a Secret stands for its own reference. Raises Unresolved."""
    return values(run, {name: f"{{{{args.{name}}}}}" for name, _, _ in secret_references(run)})


def substituted(value: Any, known: Mapping[str, str]) -> Any:
    """The value with every reference replaced. Raises Unresolved."""
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, Mapping):
        return {key: substituted(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [substituted(item, known) for item in value]
    return value


def _text(text: str, known: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise Unresolved(f"failed to resolve {match[0]}")
        return known[match[1]]

    for left in _ANY.findall(_REFERENCE.sub(" ", text)):
        if left.strip("{} ").startswith(("args", "inputs")):
            raise Unresolved(f"failed to resolve {left}")
    return _REFERENCE.sub(replace, text)


def hidden(measurement: Object, secrets: Iterable[str], *, known: Iterable[str] = ()) -> Object:
    """The measurement without any secret in what came from outside: its value, its message, what is kept of it for
    the metric, and its metadata but for the `known` keys, which we wrote ourselves. A short secret must not eat digits
    of a time or of an object's name."""
    listed = list(secrets)
    said = [field for field in ("value", "message", "metricMetadata") if field in measurement]
    told: Object = {field: redacted(measurement[field], listed) for field in said}
    metadata = measurement.get("metadata")
    if metadata:
        kept = set(known)
        told["metadata"] = {key: item if key in kept else redacted(item, listed) for key, item in metadata.items()}
    return {**measurement, **told}


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """The value without any secret in it."""
    hidden = sorted((secret for secret in secrets if secret), key=len, reverse=True)
    if isinstance(value, str):
        for secret in hidden:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, Mapping):
        return {key: redacted(item, hidden) for key, item in value.items()}
    return [redacted(item, hidden) for item in value] if isinstance(value, list) else value
