"""Every field that Argo's schemas let somebody write is read, or refused by its name, or has no effect and a reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import pytest

import dabbawala.rollout
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import validation
from dabbawala.rollout.analysis import carried
from tests.rollout.given import canary, rollout

DEFINITIONS: dict[str, Any] = orjson.loads(
    resources.files("dabbawala.api.data").joinpath("argoproj_v1alpha1.json").read_bytes()
)
SOURCE = "".join(path.read_text() for path in Path(dabbawala.rollout.__path__[0]).rglob("*.py"))

REFUSED = {
    "CanaryStrategy": {"pingPong"},
    "CanaryStep": {"experiment", "plugin", "setHeaderRoute", "setMirrorRoute"},
    "RolloutTrafficRouting": {
        "alb", "ambassador", "apisix", "appMesh", "maxTrafficWeight", "nginx", "plugins", "smi", "traefik",
    },
    "MetricProvider": {
        "cloudWatch", "datadog", "graphite", "influxdb", "kayenta", "newRelic", "plugin", "skywalking", "wavefront",
    },
    "Authentication": {"oauth2", "sigv4"},
}  # fmt: skip
"""By definition; validation_canary, validation and analysis/carried refuse them by name."""

NO_EFFECT = {
    "RolloutTrafficRouting": {"managedRoutes": "the routes of steps that are refused"},
}


def reached(name: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    """(definition, field) of everything that may be written, but for what is refused whole."""
    if name in seen or name not in DEFINITIONS:
        return
    seen.add(name)
    for field, schema in (DEFINITIONS[name].get("properties") or {}).items():
        if field in REFUSED.get(name, ()) or field in NO_EFFECT.get(name, {}):
            continue
        yield name, field
        for target in references(schema):
            yield from reached(target, seen)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2].rpartition(".")[2]
        for item in schema.values():
            yield from references(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


@pytest.mark.parametrize("root", ["RolloutSpec", "AnalysisTemplateSpec", "AnalysisRunSpec"])
def test_no_field_is_ignored(root: str) -> None:
    ignored = [f"{name}.{field}" for name, field in reached(root, set()) if f'"{field}"' not in SOURCE]
    assert ignored == []


ASKING: dict[str, Callable[[str], Object]] = {
    "CanaryStrategy": lambda field: rollout(canary(**{field: {}})),
    "CanaryStep": lambda field: rollout(canary({field: {}})),
    "RolloutTrafficRouting": lambda field: rollout(canary(trafficRouting={field: {}})),
}


@pytest.mark.parametrize("owner", sorted(ASKING))
def test_what_is_not_carried_of_a_rollout_is_refused_by_its_name(owner: str) -> None:
    for field in REFUSED[owner]:
        named = [error.field for error in validation.validate(ASKING[owner](field))]
        assert any(path.endswith(f".{field}") for path in named), (field, named)


def test_what_is_not_carried_of_a_provider_is_refused_by_its_name() -> None:
    for name in REFUSED["MetricProvider"]:
        assert f"'{name}', which is not supported" in carried.refused({"provider": {name: {}}})
    for provider, way in itertools.product((carried.PROMETHEUS, carried.WEB), REFUSED["Authentication"]):
        settings = {"authentication": {way: {"x": "y"}}}
        assert f"provider.{provider}.authentication.{way} is not" in carried.refused({"provider": {provider: settings}})
