"""Scraping real pages over HTTP, and asking for the result as Prometheus' clients do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.cluster.monitoring.api import PrometheusAPI
from dabbawala.cluster.monitoring.scrape import Scraper
from dabbawala.cluster.monitoring.targets import Target, of_pods
from dabbawala.timeseries import labels
from dabbawala.timeseries.samples import Samples

DEADLINE_SECONDS = 10.0


class Shop:
    """A program whose metrics page can change."""

    def __init__(self) -> None:
        self.page = 'visits_total{door="front"} 1\nvisits_total{door="back"} 2\n'
        self.status = 200
        application = web.Application()
        application.router.add_get("/metrics", self.metrics)
        self.server = TestServer(application)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=self.page, status=self.status)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    await made.server.start_server()
    yield made
    await made.server.close()


class Prometheus:
    def __init__(self, scraper: Scraper, client: TestClient) -> None:  # type: ignore[type-arg]
        self.scraper = scraper
        self.client = client

    async def ask(self, path: str, **query: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/{path}", params=query)
        found: dict[str, Any] = await answer.json()
        return found

    async def values(self, query: str) -> list[float]:
        answer = await self.ask("query", query=query)
        assert answer["status"] == "success", answer
        return [float(item["value"][1]) for item in answer["data"]["result"]]

    async def until(self, query: str, done: Callable[[list[float]], bool]) -> list[float]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not done(found := await self.values(query)):
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    samples, clock = Samples(), SystemClock()
    with ThreadPoolExecutor(1) as worker:
        scraper = Scraper(samples, worker, clock, interval_seconds=0.1)
        async with TestClient(TestServer(PrometheusAPI(samples, scraper, worker, clock).application())) as client:
            yield Prometheus(scraper, client)
        await scraper.close()


def target(shop: Shop, **pairs: str) -> Target:
    return Target(str(shop.server.make_url("/metrics")), labels.make({"job": "shop", "instance": "a", **pairs}))


async def test_a_scraped_page_can_be_queried(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    assert await prometheus.until('visits_total{door="front",job="shop"}', bool) == [1.0]
    assert await prometheus.values("up") == [1.0]
    assert await prometheus.values("scrape_samples_scraped") == [2.0]


async def test_a_series_that_leaves_the_page_ends_at_once(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("count(visits_total)", lambda found: found == [2.0])
    shop.page = 'visits_total{door="front"} 5\n'
    assert await prometheus.until("visits_total", lambda found: len(found) == 1) == [5.0]


async def test_a_target_that_answers_an_error_is_down_and_its_series_end(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("visits_total", bool)
    shop.status = 500
    await prometheus.until("up", lambda found: found == [0.0])
    assert await prometheus.values("visits_total") == []
    (shown,) = (await prometheus.ask("targets"))["data"]["activeTargets"]
    assert (shown["health"], shown["lastError"]) == ("down", "ValueError: server returned HTTP status 500")


async def test_a_page_that_cannot_be_read_is_down_and_says_which_line(shop: Shop, prometheus: Prometheus) -> None:
    shop.page = "good 1\nbad\n"
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("up", lambda found: found == [0.0])
    (shown,) = (await prometheus.ask("targets"))["data"]["activeTargets"]
    assert "line 2" in shown["lastError"]


async def test_a_target_that_goes_takes_its_series_along(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("up", bool)
    prometheus.scraper.set_targets([])
    await prometheus.until("up", lambda found: not found)
    assert await prometheus.values("visits_total") == []


async def test_labels_of_the_target_win_and_the_scraped_one_is_kept(shop: Shop, prometheus: Prometheus) -> None:
    shop.page = 'visits_total{job="mine"} 1\n'
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until('visits_total{job="shop",exported_job="mine"}', bool)


async def test_series_labels_and_label_values_are_listed(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("visits_total", bool)
    series = await prometheus.ask("series", **{"match[]": "visits_total"})
    assert len(series["data"]) == 2
    assert "door" in (await prometheus.ask("labels"))["data"]
    assert (await prometheus.ask("label/door/values"))["data"] == ["back", "front"]


@pytest.mark.parametrize(
    ("path", "query", "kind"),
    [
        ("query", {}, "bad_data"),
        ("query", {"query": "sum("}, "bad_data"),
        ("query", {"query": "up", "time": "noon"}, "bad_data"),
        ("query_range", {"query": "up", "start": "1", "end": "2", "step": "0"}, "bad_data"),
        ("query_range", {"query": "up", "start": "1", "end": "2", "step": "never"}, "bad_data"),
        ("series", {}, "bad_data"),
        ("query", {"query": 'label_replace(vector(1), "0", "", "", "")'}, "execution"),
    ],
)
async def test_a_bad_question_gets_the_apis_own_error(
    prometheus: Prometheus, path: str, query: dict[str, str], kind: str
) -> None:
    answer = await prometheus.ask(path, **query)
    assert (answer["status"], answer["errorType"]) == ("error", kind)
    assert answer["error"]


async def test_a_range_query_gives_one_value_a_step(shop: Shop, prometheus: Prometheus) -> None:
    prometheus.scraper.set_targets([target(shop)])
    await prometheus.until("visits_total", bool)
    now = datetime.now(UTC).timestamp()
    answer = await prometheus.ask("query_range", query="vector(7)", start=str(now - 60), end=str(now), step="15s")
    (only,) = answer["data"]["result"]
    assert [value for _, value in only["values"]] == ["7"] * 5


def pod(**annotations: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "labels": {"app": "web", "rollouts-pod-template-hash": "abc"},
            "annotations": {name.replace("_", ".", 1).replace("_", "/"): value for name, value in annotations.items()},
        },
        "spec": {"nodeName": "node-1", "containers": [{"ports": [{"containerPort": 8080}]}]},
        "status": {"podIP": "10.42.1.7", "phase": "Running"},
    }


def test_only_a_pod_that_asks_is_scraped_with_its_labels() -> None:
    assert of_pods([pod()]) == []
    (found,) = of_pods([pod(prometheus_io_scrape="true", prometheus_io_port="9100", prometheus_io_path="stats")])
    assert found.url == "http://10.42.1.7:9100/stats"
    assert dict(found.labels) == {
        "app": "web",
        "rollouts_pod_template_hash": "abc",
        "job": "web",
        "namespace": "shop",
        "pod": "web-1",
        "node": "node-1",
        "instance": "10.42.1.7:9100",
    }


def test_without_a_port_every_declared_one_is_scraped_and_an_ended_pod_is_not() -> None:
    asking = pod(prometheus_io_scrape="true")
    assert [target.url for target in of_pods([asking])] == ["http://10.42.1.7:8080/metrics"]
    asking["status"]["phase"] = "Succeeded"
    assert of_pods([asking]) == []


async def test_a_target_beyond_the_bound_says_so_and_is_scraped_again_when_there_is_room(
    shop: Shop, prometheus: Prometheus
) -> None:
    samples = prometheus.scraper.samples
    samples.series_max = 1
    prometheus.scraper.set_targets([target(shop)])
    async with asyncio.timeout(DEADLINE_SECONDS):
        while "series are kept" not in (await prometheus.ask("targets"))["data"]["activeTargets"][0]["lastError"]:
            await asyncio.sleep(0.02)
    samples.series_max = 100
    await prometheus.until("up", lambda found: found == [1.0])


async def test_a_time_that_is_no_number_is_a_bad_parameter(prometheus: Prometheus) -> None:
    for text in ("inf", "nan"):
        assert (await prometheus.ask("query", query="1", time=text))["errorType"] == "bad_data"
