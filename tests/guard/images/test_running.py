"""The images of a cluster are those of the pods that run, by the digests that their nodes report."""

from __future__ import annotations

from datetime import UTC, datetime

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.images import running
from dabbawala.guard.images.names import Name
from dabbawala.guard.live.reading import Reader
from dabbawala.guard.world import World
from tests.guard.enforcement.worlds import Guarded, guarded, pod
from tests.guard.images.worlds import DIGEST, OTHER

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = Name.of("registry.example.com/web:1")


async def runs(world: Guarded, name: str, image_id: str, *, phase: str = "Running") -> None:
    """A pod whose node says what it runs."""
    made = await world.client.create(core_v1.POD, pod(name))
    state: Object = {"name": "web", "image": "registry.example.com/web:1", "imageID": image_id, "ready": True}
    state["restartCount"] = 0
    made["status"] = {"phase": phase, "containerStatuses": [state]}
    await world.client.update(core_v1.POD, made, subresource="status")


async def test_two_digests_of_one_tag_are_two_images_and_what_has_ended_is_none() -> None:
    async with guarded("shop") as world:
        await runs(world, "a", f"registry.example.com/web@{DIGEST}")
        await runs(world, "b", f"docker-pullable://registry.example.com/web@{DIGEST}")
        await runs(world, "c", f"registry.example.com/web@{OTHER}")
        await runs(world, "d", "registry.example.com/web@sha256:" + "e" * 64, phase="Succeeded")
        found = await Reader(world.client).read()
    uses = running.of_cluster(World(found.inventory, now=NOW, whole=found.whole))
    listed = {name: [use.workload for use in users] for name, users in uses.items()}
    assert listed == {
        WEB._replace(digest=DIGEST): ["Pod a", "Pod b"],
        WEB._replace(digest=OTHER): ["Pod c"],
    }


def test_a_bare_id_counts_for_less_than_the_digest_that_the_pod_asks_for() -> None:
    made = pod()
    (container,) = made["spec"]["containers"]
    container["image"] = f"registry.example.com/web:1@{DIGEST}"
    made["status"] = {"phase": "Running", "containerStatuses": [{"name": "web", "imageID": OTHER}]}
    assert running.named(made["spec"], [made]) == [("web", WEB._replace(digest=DIGEST))]
    container["image"] = "registry.example.com/web:1"
    assert running.named(made["spec"], [made]) == [("web", WEB._replace(digest=OTHER))]
