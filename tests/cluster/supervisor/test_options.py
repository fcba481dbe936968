"""What a cluster is started with, and that it is resumed so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dabbawala.cluster.supervisor import lifecycle, options, paths
from dabbawala.cluster.supervisor.options import BadOptions, Options


def test_options_are_read_as_they_were_written(tmp_path: Path) -> None:
    chosen = Options(nodes=3, simulated_nodes=2, api_port=6443, scrape_seconds=1.0, cpu="2", memory="1Gi",
                     without=("rollout",), host_ports=(5432, 6379))  # fmt: skip
    options.write(chosen, tmp_path / "options.json")
    assert options.read(tmp_path / "options.json") == chosen


def test_a_field_of_another_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text('{"nodes": 2, "colour": "blue"}')
    assert options.read(tmp_path / "options.json") == Options(nodes=2)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_cannot_be_read_names_the_file_and_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "options.json").write_text(text)
    with pytest.raises(BadOptions, match=r"options\.json: .*--fresh"):
        options.read(tmp_path / "options.json")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("nodes", -1, "from 0 to 16"),
        ("nodes", 17, "from 0 to 16"),
        ("nodes", 0, "a cluster needs a node"),
        ("simulated_nodes", -1, "not fewer than none"),
        ("api_port", 65536, "from 1 to 65535"),
        ("api_port", -1, "from 1 to 65535"),
        ("scrape_seconds", 0.0, "at least 0.1 s"),
        ("host_ports", (5432, 65536), "--host-port 65536: a port is from 1 to 65535"),
    ],
)
def test_options_that_cannot_be_are_refused_by_their_flag(field: str, value: object, words: str) -> None:
    with pytest.raises(BadOptions, match=words):
        replace(Options(), **{field: value}).check()


def test_a_start_without_flags_resumes_what_the_last_one_asked_for(tmp_path: Path) -> None:
    where = paths.resolve("default", tmp_path, {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert lifecycle.chosen(where, {}) == Options()
    options.write(lifecycle.chosen(where, {"nodes": 2, "api_port": 7001}), where.options)
    assert lifecycle.chosen(where, {"nodes": 3}) == Options(nodes=3, api_port=7001)
