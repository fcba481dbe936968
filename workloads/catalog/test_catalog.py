"""Product search as its visitors see it, and what is wrong with v3.4.1."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp.test_utils import TestClient, TestServer

HERE = Path(__file__).parent
MODULES = ("products", "ranking", "cache", "app")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(HERE))
    for name in MODULES:
        sys.modules.pop(name, None)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


def client(program: dict[str, ModuleType], version: str) -> TestClient:
    configuration = json.loads((HERE / "versions" / f"{version}.json").read_text())
    return TestClient(TestServer(program["app"].Catalog(configuration, HERE / "models").application()))


async def search(visitor: TestClient, words: str, interest: str | None = None) -> tuple[int, dict[str, object]]:
    cookies = {"interest": interest} if interest else {}
    answer = await visitor.get("/api/v1/search", params={"q": words}, cookies=cookies)
    return answer.status, await answer.json()


async def test_the_new_ranking_puts_the_visitors_interest_first(program: dict[str, ModuleType]) -> None:
    async with client(program, "v3.3.0") as old, client(program, "v3.4.0") as new:
        _, before = await search(old, "asha", "footwear")
        _, after = await search(new, "asha", "footwear")
    assert before["products"][0]["category"] != "footwear"
    assert after["products"][0]["category"] == "footwear"


async def test_the_broken_version_fails_the_visitors_of_one_category_only(program: dict[str, ModuleType]) -> None:
    async with client(program, "v3.4.1") as broken:
        statuses = {
            interest: (await search(broken, "asha", interest))[0] for interest in program["products"].CATEGORIES
        }
    assert statuses.pop("footwear") == 500
    assert set(statuses.values()) == {200}


def test_the_broken_cache_gets_slower_with_every_entry_and_the_old_one_does_not(program: dict[str, ModuleType]) -> None:
    def seconds_for_100_puts(kind: str, filled: int) -> float:
        made = program["cache"].make(kind, 300)
        entries = {f"k{number}": (time.monotonic(), []) for number in range(filled)}
        made._entries = type(made._entries)(entries)
        started = time.process_time()
        for number in range(100):
            made.put(f"new{number}", [])
        return time.process_time() - started

    assert seconds_for_100_puts("exact-expiry", 5_000) > 20 * seconds_for_100_puts("ttl", 5_000)


async def test_page_views_and_purchases_are_counted(program: dict[str, ModuleType]) -> None:
    async with client(program, "v3.4.0") as visitor:
        await visitor.get("/api/v1/products/3")
        bought = await visitor.post("/api/v1/products/3/purchase")
        missing = await visitor.get("/api/v1/products/99999")
        text = await (await visitor.get("/metrics")).text()
    assert bought.status == 201
    assert missing.status == 404
    assert "ecommerce_page_views_total 1.0" in text
    assert "ecommerce_conversions_total 1.0" in text
