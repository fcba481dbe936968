"""The command as a user meets it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
        (("logs", "--name", "nobody"), "start it with `dabba up --name nobody`"),
        (("logs", "--tail", "-1"), "not in the range"),
        (("image", "build", "/", "-t", "a", "--build-arg", "VERSION"), "write VERSION=VALUE"),
        (("demo", "--output", "/proc/reports"), "choose another folder with --output"),
    ],
)
def test_a_wrong_word_is_answered_on_one_line_and_with_a_status(arguments: tuple[str, ...], message: str) -> None:
    shown = dabba(*arguments)
    assert shown.returncode == 2
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_no_reaches_the_shell(tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {}\n")
    shown = dabba("rollout", "lint", str(file))
    assert shown.returncode == 1, shown.stdout + shown.stderr


def test_a_folder_without_a_dockerfile_is_named(tmp_path: Path) -> None:
    shown = dabba("image", "build", str(tmp_path), "-t", "a")
    assert shown.returncode == 1
    assert f"{tmp_path}/Dockerfile cannot be read" in shown.stderr


INTERRUPTED = """
import asyncio, os, signal
import click
from dabbawala.cli import command

async def clean():
    os.kill(os.getpid(), {again})
    await asyncio.sleep(0.2)
    print("cleaned")

async def work():
    try:
        os.kill(os.getpid(), {first})
        await asyncio.sleep(60)
    finally:
        await command.unbroken(clean())

try:
    command.run(work())
except click.exceptions.Exit as done:
    print(done.exit_code)
"""


@pytest.mark.parametrize(("first", "status"), [("signal.SIGINT", 130), ("signal.SIGTERM", 143), ("signal.SIGHUP", 129)])
def test_what_interrupts_is_cleaned_up_after_whatever_comes_then(first: str, status: int) -> None:
    program = INTERRUPTED.format(first=first, again="signal.SIGINT")
    ordinary = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    ordinary += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # which whoever runs the tests may have ignored
    shown = subprocess.run([sys.executable, "-c", ordinary + program], capture_output=True, text=True, check=False)
    assert shown.stdout.split() == ["cleaned", str(status)], shown.stderr
    assert shown.stderr.splitlines() == ["cleaning up; a moment", "interrupted"]


def test_what_is_ignored_stays_ignored() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.raise_signal(signal.SIGINT)\n"
    program += "import asyncio; from dabbawala.cli import command\n"
    program += (
        "async def work():\n    signal.raise_signal(signal.SIGINT)\n    await asyncio.sleep(0)\n    print('done')\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program + "command.run(work())"], capture_output=True, text=True, check=False
    )
    assert shown.stdout == "done\n", shown.stderr
