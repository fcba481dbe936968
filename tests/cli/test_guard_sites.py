"""Two clusters that are asked by their contexts, each an API server in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import orjson
import pytest
from click.testing import CliRunner

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.cli import connection
from dabbawala.cli.main import dabba
from dabbawala.client.client import Client
from tests.cli.test_guard_cluster import Blind
from tests.guard.enforcement.worlds import guarded

SETTINGS: Object = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"},
    "data": {"mode": "fast"},
}  # fmt: skip
SLOW: Object = {**SETTINGS, "data": {"mode": "slow"}}


@pytest.fixture(autouse=True)
def clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dc` and `twin` are alike, `dr` has another setting, of `dark` nobody sees the Deployments."""

    @asynccontextmanager
    async def connected(ctx: click.Context) -> AsyncIterator[Client]:
        context = ctx.obj[connection.CONTEXT]
        async with guarded("shop") as world:
            await world.client.create(core_v1.CONFIG_MAP, SLOW if context == "dr" else SETTINGS)
            yield Client(Blind(world.client.transport)) if context == "dark" else world.client

    monkeypatch.setattr(connection, "client", connected)


def compared(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(dabba, ["guard", "sites", *arguments])
    return done.exit_code, done.output


def test_sites_that_are_alike_are_said_to_be_by_how_much_was_compared() -> None:
    status, output = compared("dc", "twin")
    assert status == 0, output
    number, said = output.strip().split(" ", 1)
    assert int(number) > 0
    assert said == "facts compared: 0 differences, 0 excepted"


def test_a_difference_is_told_with_what_either_site_has() -> None:
    status, output = compared("dc", "dr")
    lines = output.splitlines()
    assert status == 1, output
    assert lines[0] == "configuration: ConfigMap shop/settings"
    assert lines[1].startswith("    primary:  ")
    assert lines[2].startswith("    recovery: ")
    assert lines[1].split()[-1] != lines[2].split()[-1]
    assert lines[3].endswith("1 differences, 0 excepted")


def test_a_difference_that_is_meant_does_not_count_and_is_told() -> None:
    status, output = compared("dc", "dr", "--except", "ConfigMap shop/set*")
    assert status == 0, output
    assert "configuration: ConfigMap shop/settings (excepted)" in output


def test_the_report_says_which_clusters_they_were() -> None:
    status, output = compared("dc", "dr", "--format", "json")
    found = orjson.loads(output)
    assert status == 1
    assert (found["primary"], found["recovery"]) == ("dc", "dr")
    assert found["at"]
    assert [each["subject"] for each in found["differences"]] == ["ConfigMap shop/settings"]


def test_a_cluster_that_cannot_be_seen_whole_is_not_said_to_be_alike() -> None:
    status, output = compared("dc", "dark")
    assert status == 2
    assert "dark cannot be seen whole: deployments" in output
