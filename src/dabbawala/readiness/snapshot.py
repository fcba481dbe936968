"""An observation as JSON and back, and what of an object is kept in it: nothing that is secret.

Of Secrets only public certificates are kept, of environments only the names, and no managed fields; so an export can be
handed to an auditor.
"""

from __future__ import annotations

from typing import Any

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness.observed import Measurement, Observed
from dabbawala.readiness.signing import Trust

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CERTIFICATE = "tls.crt"


def trimmed(obj: Object) -> Object:
    """The object without what is secret, and without what nobody judges."""
    metadata = {name: value for name, value in meta.metadata(obj).items() if name not in ("managedFields", "selfLink")}
    if LAST_APPLIED in meta.annotations(obj):
        metadata["annotations"] = {name: value for name, value in meta.annotations(obj).items() if name != LAST_APPLIED}
    kept = {**obj, "metadata": metadata}
    if obj.get("kind") == "Secret":
        return _public(kept)
    if "spec" in obj:
        kept["spec"] = _without_values(obj["spec"])
    return kept


def _public(secret: Object) -> Object:
    data = {name: value for name, value in (secret.get("data") or {}).items() if name == CERTIFICATE}
    return {**{name: value for name, value in secret.items() if name != "stringData"}, "data": data}


def _without_values(node: Any) -> Any:
    """A pod template, wherever it is, without the values of its environment."""
    if isinstance(node, list):
        return [_without_values(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: _without_values(value) for name, value in node.items()}
    if isinstance(node.get("env"), list):
        found["env"] = [
            {name: value for name, value in entry.items() if name != "value"}
            for entry in node["env"]
            if isinstance(entry, dict)
        ]
    return found


def to_json(observed: Observed) -> Object:
    return {
        "service": observed.service,
        "namespace": observed.namespace,
        "at": clock.format_time(observed.now),
        "objects": {resource: list(found) for resource, found in observed.objects.items()},
        "hidden": dict(observed.hidden),
        "measurements": {
            name: {"query": found.query, "value": _text(found.value), "problem": found.problem}
            for name, found in observed.measurements.items()
        },
        "rules": None if observed.rules is None else list(observed.rules),
    }


def from_json(said: Object, trust: Trust) -> Observed:
    """Raises KeyError, TypeError or ValueError for what is no observation."""
    return Observed(
        str(said["service"]),
        str(said["namespace"]),
        clock.parse_time(said["at"]),
        {str(resource): list(map(_object, found)) for resource, found in said["objects"].items()},
        dict(said["hidden"]),
        {
            name: Measurement(found["query"], _number(found["value"]), found["problem"])
            for name, found in said["measurements"].items()
        },
        said["rules"],
        trust,
    )


def _object(said: Any) -> Object:
    if not isinstance(said, dict):
        raise TypeError(f"{said!r} is no object")
    return said


def _text(value: float | None) -> str | None:
    """As text, so that no writer of JSON changes it."""
    return None if value is None else repr(value)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
