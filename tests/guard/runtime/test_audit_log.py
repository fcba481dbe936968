"""An API server's audit log, followed while it is written and rotated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dabbawala.guard.runtime.events import Event
from dabbawala.guard.runtime.sources import audit
from dabbawala.guard.runtime.sources.audit import AuditLog

LINE = {"stage": "ResponseComplete", "stageTimestamp": "2026-01-01T00:00:00.000000Z", "verb": "get"}


def line(name: str) -> str:
    return json.dumps({**LINE, "auditID": name}) + "\n"


@asynccontextmanager
async def following(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[AuditLog, Callable[..., object]]]:
    monkeypatch.setattr(audit, "EVERY_SECONDS", 0.005)
    taken: list[Event] = []
    log = AuditLog(path, taken.append)
    task = asyncio.ensure_future(log.run())
    await asyncio.sleep(0)

    async def until(*names: str) -> None:
        async with asyncio.timeout(10):
            while [str((event.audit or {})["auditID"]) for event in taken] != list(names):
                await asyncio.sleep(0.001)

    try:
        yield log, until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_only_what_comes_is_taken_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    path.write_text(line("old"))
    async with following(path, monkeypatch) as (log, until):
        with path.open("a") as file:
            file.write(line("a") + "nonsense\n" + line("b")[:-10])
            file.flush()
            await until("a")
            file.write(line("b")[-10:])
        await until("a", "b")
        assert log.broken == 1


async def test_a_rotated_log_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    path.write_text("")
    async with following(path, monkeypatch) as (_, until):
        with path.open("a") as file:
            file.write(line("a"))
        path.rename(tmp_path / "audit.log.1")
        path.write_text(line("b"))
        await until("a", "b")
        path.write_text("")
        await asyncio.sleep(0.02)
        path.write_text(line("c"))
        await until("a", "b", "c")


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"a": 1}', b'{"stageTimestamp": "never"}', b"\xff"])
def test_what_is_no_audit_event_is_none(body: bytes) -> None:
    assert audit.parse(body) is None
