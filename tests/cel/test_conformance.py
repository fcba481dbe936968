"""Expressions with results that are known by hand from the specification and cel-go, by area, on both evaluators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from dabbawala.cel.authorizer import Attributes, Authorizer, Decision
from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CompileError, EvaluationError

AREAS = Path(__file__).parent / "conformance"
DATA: dict[str, Any] = {
    "one": 1,
    "zero": 0,
    "half": 0.5,
    "text": "hello",
    "truth": True,
    "lie": False,
    "nothing": None,
    "list": [1, 2, 3],
    "words": ["a", "b"],
    "created": "2024-06-01T00:00:00Z",
    "nested": {"deep": {"key": "value"}},
    "items": [{"name": "first", "size": 1}, {"name": "second", "size": 2}, {"name": "third"}],
}


def decide(asked: Attributes) -> Decision:
    if asked.group == "broken":
        return Decision(False, error="webhook is down")
    if asked.user:
        return Decision(False, asked.user)
    if asked.path:
        return Decision(asked.path == "/healthz")
    said = (asked.group, asked.resource, asked.subresource, asked.namespace, asked.name, asked.verb)
    return Decision(asked.resource == "pods", " ".join(said))


ASKING = Authorizer(decide)
VARIABLES = {
    "o": DATA,
    "authorizer": ASKING,
    "authorizer.requestResource": ASKING.request_resource(resource="pods", namespace="prod"),
}
TYPES = {"o": "dyn", "authorizer": "authorizer", "authorizer.requestResource": "resource_check"}
VERSIONS = {"addresses": "1.31"}


def cases() -> list[Any]:
    found = []
    for area in sorted(AREAS.glob("*.txt")):
        for line in area.read_text().splitlines():
            source, arrow, known = line.rpartition(" => ")
            assert arrow, line
            found.append(pytest.param(VERSIONS.get(area.stem, "1.30"), source, known, id=f"{area.stem}: {source}"))
    return found


def plain(value: Any) -> Any:
    """With its type, because Python takes True for 1 and 1.0."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value).__name__, value


@pytest.mark.parametrize(("version", "source", "known"), cases())
def test_an_expression_gives_what_is_known_of_it(version: str, source: str, known: str) -> None:
    environment = Environment(TYPES, version=version)
    if known.startswith("!! "):
        with pytest.raises(CompileError) as refused:
            environment.compile(source)
        assert known[3:] in refused.value.message
        return
    program = environment.compile(source)
    for evaluate in (program.evaluate, program.interpret):
        if known.startswith("! "):
            with pytest.raises(EvaluationError) as failed:
                evaluate(VARIABLES)
            assert failed.value.message.startswith(known[2:])
        else:
            assert plain(evaluate(VARIABLES)) == plain(orjson.loads(known))


def test_the_table_is_large() -> None:
    assert len(cases()) >= 600
