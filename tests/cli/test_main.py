"""The command as a user meets it first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dabbawala.cli.main import COMMANDS


def dabba(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dabbawala.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_command_with_what_it_does() -> None:
    shown = dabba("--help")
    assert shown.returncode == 0
    for name, (_, line) in COMMANDS.items():
        if line:
            assert name in shown.stdout
            assert line in " ".join(shown.stdout.split())


def test_help_imports_no_command_module() -> None:
    code = "import sys; from dabbawala.cli import main; main.dabba.get_help; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dabbawala.assembly", "aiohttp", "rich", "dabbawala.api.kinds"} & set(loaded)


@pytest.mark.parametrize("name", [name for name, (_, line) in COMMANDS.items() if line])
def test_every_command_explains_itself(name: str) -> None:
    shown = dabba(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "No such command"),
        (("up", "--nodes", "many"), "'many' is not a valid integer"),
        (("up", "--name", "Not_A_Name"), "lower-case letters, digits and '-'"),
    ],
)
def test_a_wrong_word_is_answered_on_one_line_and_with_a_status(arguments: tuple[str, ...], message: str) -> None:
    shown = dabba(*arguments)
    assert shown.returncode in (1, 2)
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr
