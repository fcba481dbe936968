"""What the commands about clusters say before they ask one, and what a scan of files does not load."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner

from dabbawala.apimachinery import status
from dabbawala.cli import connection, guard_enforce_view
from dabbawala.cli.main import dabba
from dabbawala.client.client import Client
from dabbawala.client.transport import Response, Transport
from tests.guard.enforcement.worlds import guarded

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: registry.example.com/web:1}]}
"""
PROBE = """\
import sys
from click.testing import CliRunner
from dabbawala.cli.main import dabba
done = CliRunner().invoke(dabba, ["guard", "scan", sys.argv[1], "--check", "WL-01"])
assert done.exit_code == 0, done.output
print(",".join(name for name in ("aiohttp", "asyncio", "dabbawala.client.http") if name in sys.modules))
"""


def test_a_scan_of_files_loads_nothing_that_speaks_to_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan"], "name files to scan, or --live"),
        (["scan", "x.yaml", "--live"], "scan files or, with --live, the cluster"),
        (["scan", "x.yaml", "--publish"], "add --live"),
        (["scan", "--live", "-n", "shop", "-A"], "-n names one namespace, -A means all"),
        (["enforce", "--check", "WL-999"], "there is no check 'WL-999'"),
        (["enforce", "--check", "SEC-03"], "cannot be enforced"),
        (["enforce", "--namespace-selector", "a in"], "--namespace-selector"),
        (["enforce", "--namespace-selector", "a>1"], "cannot be selected by comparing numbers"),
        (["parity", "compare", "absent", "x.yaml", "-c", "SEC-03"], "No such file"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_done(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(dabba, ["guard", *arguments])
    assert done.exit_code != 0
    assert said in done.output + str(done.exception)


@pytest.fixture
def half_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not show its Deployments to a command that connects to it."""

    @asynccontextmanager
    async def connected(_: object) -> AsyncIterator[Client]:
        async with guarded("shop") as world:
            yield Client(Blind(world.client.transport))

    monkeypatch.setattr(connection, "client", connected)


class Blind:
    """A transport whose server lists no Deployments."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def request(self, method: str, path: str, **more: Any) -> Response:
        if path.endswith("/deployments"):
            return Response(500, {}, _one(orjson.dumps(status.InternalError("no storage").to_status())))
        return await self.inner.request(method, path, **more)

    async def close(self) -> None:
        await self.inner.close()


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


ASKED = (
    "guard scan --live",
    "guard scan --live --with-cluster-policies",
    "guard enforce --dry-run",
    "guard images --live",
)
READINESS = "readiness check web -n shop"
"""A kind that it may not see is unknown to it, and no reason to end."""


@pytest.mark.parametrize(
    ("asked", "code"),
    [*itertools.product(ASKED, (401, 403, 404, 429, 503)), *itertools.product([READINESS], (401, 429, 503))],
)
def test_a_cluster_that_refuses_to_be_asked_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, asked: str, code: int
) -> None:
    @asynccontextmanager
    async def connected(_: object) -> AsyncIterator[Client]:
        yield Client(Refusing(code))

    monkeypatch.setattr(connection, "client", connected)
    done = CliRunner().invoke(dabba, asked.split())
    assert done.exit_code == 2, done.output
    assert "go away" in done.output


class Refusing:
    """A transport whose server answers nothing."""

    def __init__(self, code: int) -> None:
        self.code = code

    async def request(self, *_: Any, **__: Any) -> Response:
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "go away", "code": self.code}
        return Response(self.code, {}, _one(orjson.dumps(said)))


def test_nothing_goes_to_deny_while_what_it_would_refuse_is_not_known(half_seen: None) -> None:
    asked = ["guard", "enforce", "-c", "WL-01", "--dry-run"]
    assert CliRunner().invoke(dabba, [*asked, "--stage", "warn"]).exit_code == 0, "nobody is refused"
    done = CliRunner().invoke(dabba, [*asked, "--stage", "deny"])
    assert done.exit_code == 2
    assert "not looked at: deployments" in done.output
    assert "not installed: what could not be looked at may be refused" in done.output
    assert CliRunner().invoke(dabba, [*asked, "--stage", "deny", "--force"]).exit_code == 0


def test_a_dry_run_of_all_checks_leaves_the_preview_in_sight(half_seen: None) -> None:
    done = CliRunner().invoke(dabba, ["guard", "enforce", "--dry-run"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert sum(line.startswith("would create") for line in lines) == guard_enforce_view.LINES_MAX
    (more,) = [int(line.split()[1]) for line in lines if line.startswith("and ")]
    assert lines[-1] == f"{more + guard_enforce_view.LINES_MAX} to create"


def test_static_manifests_are_files_with_their_parameters_inside(tmp_path: Path) -> None:
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"registries": "r.example.com"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(data))
    asked = ["guard", "enforce", "-c", "IMG-03", "--stage", "deny", "--parameters", str(tmp_path / "p.yaml")]
    done = CliRunner().invoke(dabba, [*asked, "--static", str(tmp_path / "out")])
    assert done.output == f"1 files in {tmp_path / 'out'}, one check each, in stage deny\n"
    policy, binding = yaml.safe_load_all((tmp_path / "out" / "img-03.yaml").read_text())
    assert '{"registries":"r.example.com"}' in str(policy)
    assert binding["spec"]["validationActions"] == ["Deny", "Audit"]


def test_parameters_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POD)
    done = CliRunner().invoke(dabba, ["guard", "enforce", "--parameters", str(tmp_path / "p.yaml"), "--static", "x"])
    assert "must hold one ConfigMap with data" in done.output


def test_an_exception_that_cannot_be_used_stops_the_installation(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(POD)
    done = CliRunner().invoke(dabba, ["guard", "enforce", "-e", str(tmp_path / "e.yaml"), "--static", "x"])
    assert "is no guard.dabbawala.dev/v1alpha1 PolicyException" in done.output
