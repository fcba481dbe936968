"""Our answers beside those of a real Prometheus, on the same recorded samples."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql import engine
from dabbawala.timeseries.promql.values import Element, QueryError, Value
from dabbawala.timeseries.samples import Samples
from tests.timeseries import queries, recorded

RELATIVE = 1e-12
AT = recorded.END - 60
ORDERED = ("sort", "topk(3", "bottomk(2")

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="the oracle is Debian's package prometheus, which is not installed here",
)


class Oracle:
    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self.address}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        return found


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    folder = tmp_path_factory.mktemp("oracle")
    page = folder / "samples.om"
    page.write_text(recorded.open_metrics())
    data = folder / "data"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", page, data], check=True, capture_output=True
    )
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_ready(f"http://127.0.0.1:{port}", process, folder / "log")
        yield Oracle(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


def _wait_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/-/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def samples() -> Samples:
    return recorded.samples()


def theirs(answer: dict[str, Any]) -> list[tuple[labels.Labels, float]] | float | str:
    data = answer["data"]
    match data["resultType"]:
        case "scalar":
            return float(data["result"][1])
        case "string":
            return str(data["result"][1])
    return [(labels.make(item["metric"]), float(item["value"][1])) for item in data["result"]]


def ours(value: Value) -> list[tuple[labels.Labels, float]] | float | str:
    if not isinstance(value, list):
        return value
    return [(e.labels, e.value) for e in value if isinstance(e, Element)]


def close(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=RELATIVE)


def assert_same(query: str, mine: Any, expected: Any) -> None:
    if not isinstance(expected, list):
        assert close(mine, expected) if isinstance(expected, float) else mine == expected, (query, mine, expected)
        return
    if not query.startswith(ORDERED):
        mine, expected = sorted(mine), sorted(expected)
    assert [name for name, _ in mine] == [name for name, _ in expected], query
    for (name, a), (_, b) in zip(mine, expected, strict=True):
        assert close(a, b), (query, name, a, b)


@pytest.mark.parametrize("query", [*queries.SCENARIOS.values(), *queries.BROAD])
def test_an_instant_query_answers_as_prometheus_does(oracle: Oracle, samples: Samples, query: str) -> None:
    answer = oracle.get("/api/v1/query", query=query, time=str(AT))
    assert answer["status"] == "success", answer
    assert_same(query, ours(engine.query(samples, query, AT * 1000)), theirs(answer))


@pytest.mark.parametrize("query", [*queries.SCENARIOS.values(), *queries.BROAD[:60]])
def test_a_range_query_answers_as_prometheus_does(oracle: Oracle, samples: Samples, query: str) -> None:
    start, end, step = recorded.END - 1800, recorded.END, 120
    answer = oracle.get("/api/v1/query_range", query=query, start=str(start), end=str(end), step=str(step))
    assert answer["status"] == "success", answer
    mine = engine.query_range(samples, query, start * 1000, end * 1000, step * 1000)
    found = {window.labels: [(time / 1000, value) for time, value in window.samples] for window in mine}
    expected = {labels.make(item["metric"]): item["values"] for item in answer["data"]["result"]}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert len(found[name]) == len(values)
        for (time_a, a), (time_b, b) in zip(found[name], values, strict=True):
            assert time_a == time_b
            assert close(a, float(b)), (name, time_a, a, b)


@pytest.mark.parametrize("query", queries.ERRORS)
def test_what_prometheus_refuses_we_refuse(oracle: Oracle, samples: Samples, query: str) -> None:
    assert oracle.get("/api/v1/query", query=query, time=str(AT))["status"] == "error"
    with pytest.raises(QueryError):
        engine.query(samples, query, AT * 1000)
