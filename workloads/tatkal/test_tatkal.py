"""The booking service as its users see it: over HTTP, and over a restart."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp.test_utils import TestClient, TestServer

HERE = Path(__file__).parent


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(HERE))
    import importlib

    names = ("admission", "store", "app")
    for name in names:
        sys.modules.pop(name, None)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def service(program: dict[str, ModuleType], data: Path, version: str, **environment: str) -> object:
    configuration = json.loads((HERE / "versions" / f"{version}.json").read_text())
    return program["app"].Tatkal(configuration, {"DATABASE_URL": f"sqlite://{data}/bookings.db", **environment})


async def test_a_booking_survives_a_restart_of_the_program(program: dict[str, ModuleType], tmp_path: Path) -> None:
    async with TestClient(TestServer(service(program, tmp_path, "v2.8.0").application())) as client:
        answer = await client.post("/api/v1/tatkal/bookings", json={"train": "12951", "passenger": "Asha"})
        assert answer.status == 201
        booked = await answer.json()
    async with TestClient(TestServer(service(program, tmp_path, "v2.9.0").application())) as client:
        found = await (await client.get(f"/api/v1/tatkal/bookings/{booked['pnr']}")).json()
    assert found["passenger"] == "Asha"
    assert found["status"] == "CONFIRMED"


async def test_no_seat_is_sold_twice_and_the_rest_are_wait_listed(
    program: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program["store"], "QUOTA_PER_TRAIN", 5)
    first, second = (service(program, tmp_path, "v2.8.0") for _ in range(2))
    async with TestClient(TestServer(first.application())) as one, TestClient(TestServer(second.application())) as two:
        answers = await asyncio.gather(
            *(
                client.post("/api/v1/tatkal/bookings", json={"train": "12301", "passenger": f"P{number}"})
                for number in range(6)
                for client in (one, two)
            )
        )
        outcomes = [(await answer.json())["status"] for answer in answers]
    assert outcomes.count("CONFIRMED") == 5
    assert outcomes.count("WAITLISTED") == 7


@pytest.mark.parametrize(("version", "turned_away"), [("v2.8.0", 3), ("v2.9.0", 0)])
async def test_over_the_cap_the_old_version_turns_away_and_the_new_one_queues(
    program: dict[str, ModuleType], tmp_path: Path, version: str, turned_away: int
) -> None:
    tatkal = service(program, tmp_path, version, MAX_CONCURRENT_BOOKINGS="1")
    gate = asyncio.Event()
    book = tatkal.store.book

    async def slow(call: object, *arguments: object) -> object:
        await gate.wait()
        return book(*arguments)

    tatkal._in_database = slow
    async with TestClient(TestServer(tatkal.application())) as client:
        calls = [
            asyncio.create_task(client.post("/api/v1/tatkal/bookings", json={"train": "12627", "passenger": "P"}))
            for _ in range(4)
        ]
        while tatkal.admission.running + len(tatkal.admission.waiting) < 4 - turned_away or (
            turned_away and sum(call.done() for call in calls) < turned_away
        ):
            await asyncio.sleep(0.005)
        gate.set()
        statuses = sorted([(await call).status for call in calls])
    assert statuses == [201] * (4 - turned_away) + [503] * turned_away


async def test_the_database_check_fails_when_the_database_is_gone(
    program: dict[str, ModuleType], tmp_path: Path
) -> None:
    tatkal = service(program, tmp_path, "v2.8.0")
    async with TestClient(TestServer(tatkal.application())) as client:
        assert (await (await client.get("/health/database")).json())["status"] == "healthy"
        for part in tmp_path.glob("bookings.db*"):
            part.unlink()
        (tmp_path / "bookings.db").write_bytes(b"this is not a database" * 500)
        tatkal.store._local = threading.local()
        assert (await client.get("/health/ready")).status == 503


async def test_metrics_count_requests_by_status(program: dict[str, ModuleType], tmp_path: Path) -> None:
    async with TestClient(TestServer(service(program, tmp_path, "v2.9.0").application())) as client:
        await client.get("/api/v1/tatkal/availability")
        await client.post("/api/v1/tatkal/bookings", data=b"no json")
        text = await (await client.get("/metrics")).text()
    assert 'http_requests_total{method="GET",path="/api/v1/tatkal/availability",status="200"} 1.0' in text
    assert 'http_requests_total{method="POST",path="/api/v1/tatkal/bookings",status="400"} 1.0' in text
    assert 'tatkal_build_info{version="v2.9.0"} 1.0' in text
