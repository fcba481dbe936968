"""Events: counted when they repeat, combined when they are many, dropped when they are too many."""

from __future__ import annotations

from dabbawala.api import core_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.reconcile.plan import Record
from dabbawala.reconcile.recorder import BURST, REFILL, EventRecorder


def web(uid: str = "u1") -> Object:
    metadata = {"name": "web", "namespace": "default", "uid": uid}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}


async def written(client: Client) -> list[Object]:
    return (await client.list(core_v1.EVENT, "default")).items


async def test_the_same_event_again_raises_its_count(client: Client) -> None:
    clock = VirtualClock()
    recorder = EventRecorder(client, clock, component="tester")
    for _ in range(3):
        recorder.record(Record(web(), "Scaled", "to 3"))
        clock.advance(10)
    await recorder.flush()
    (event,) = await written(client)
    assert (event["count"], event["reason"], event["involvedObject"]["name"]) == (3, "Scaled", "web")
    assert event["lastTimestamp"] > event["firstTimestamp"]


async def test_many_similar_events_become_one(client: Client) -> None:
    recorder = EventRecorder(client, VirtualClock(), component="tester")
    for number in range(20):
        recorder.record(Record(web(), "Scaled", f"to {number}"))
    await recorder.flush()
    events = await written(client)
    assert len(events) == 11
    assert sum(event["message"].startswith("(combined from similar events)") for event in events) == 1


async def test_an_object_that_talks_too_much_is_cut_off_for_a_while(client: Client) -> None:
    clock = VirtualClock()
    recorder = EventRecorder(client, clock, component="tester")
    for _ in range(BURST + 5):
        recorder.record(Record(web(), "Scaled", "again"))
    assert recorder.dropped == 5
    recorder.record(Record(web("another"), "Scaled", "again"))
    assert recorder.dropped == 5
    clock.advance(REFILL)
    recorder.record(Record(web(), "Scaled", "again"))
    assert recorder.dropped == 5


async def test_an_event_that_the_api_refuses_is_lost_without_harm(client: Client) -> None:
    recorder = EventRecorder(client, VirtualClock(), component="tester")
    nowhere = {**web(), "metadata": {"name": "web", "namespace": "no-such-namespace", "uid": "u1"}}
    recorder.record(Record(nowhere, "Scaled", "to 3"))
    recorder.record(Record(web(), "Scaled", "to 3"))
    await recorder.flush()
    assert recorder.dropped == 1
    assert len(await written(client)) == 1
