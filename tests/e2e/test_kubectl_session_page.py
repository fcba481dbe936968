"""docs/kubectl.md promises commands; the session's tests run them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "kubectl.md"
COMMANDS_MIN = 60
RUNNERS = {"k", "shop", "inner", "kubectl", "run", "refused", "streaming"}
GETTERS = {"read", "names", "gone"}


def promised() -> list[str]:
    table = PAGE.read_text().split("## Commands")[1].split("\n## ")[0]
    return re.findall(r"`([^`]+)`", table)


def words(node: ast.expr) -> str:
    """A string, or the beginning of a formatted one."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def calls() -> Iterator[list[str]]:
    for path in HERE.glob("test_kubectl_session_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in RUNNERS | GETTERS:
                    yield ["get"] * (name in GETTERS) + [words(argument) for argument in node.args]


def runs(call: list[str], command: str) -> bool:
    first, *rest = command.split()
    given = {part for argument in call for part in (argument, argument.partition("=")[0])}
    return call[:1] == [first] and set(rest) <= given


def test_the_session_runs_every_command_that_the_page_promises() -> None:
    ran = list(calls())
    missing = [command for command in promised() if not any(runs(call, command) for call in ran)]
    assert missing == []


def test_the_session_has_at_least_sixty_distinct_commands() -> None:
    assert len(set(promised())) >= COMMANDS_MIN
