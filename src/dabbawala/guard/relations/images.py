"""What is known of the images that a workload runs, where a scan was given reports, SBOMs or signature records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cel.environment import Function
from dabbawala.guard.relations import population
from dabbawala.guard.relations.exposed import ways
from dabbawala.guard.world import TYPE, World

if TYPE_CHECKING:
    from dabbawala.policy.exposure import Exposure


def has_image_reports(world: World) -> bool:
    """Whether the scan was given any reports about images; without them nothing can be said of any."""
    return world.images is not None


def images(world: World, workload: Mapping[str, Any]) -> list[Object]:
    """The images of a workload or pod: `container`, `image`, and an answer to each question, with a `verdict` (good,
    bad, unknown) and a `reason`: `overdue`, `returned`, `exploited`, `sbom`, `support`, `leaks`, `user`, `fresh`,
    `signed`."""
    from dabbawala.guard.images import running, state  # most scans have no reports

    reports, obj = world.images, dict(workload)
    key = _key(world, obj)
    if reports is None or key is None:
        return []
    kind, namespace, name = str(obj.get("kind")), meta.namespace(obj), meta.name(obj)
    live = [obj] if kind == "Pod" else world.live(kind, namespace, name)
    found = []
    for container, image in running.named(population.of(world).pods[key].spec, live):
        known = world.once(("image", image), partial(state.of, image, *reports, world.now))
        said = {
            question: {"verdict": answer.verdict, "reason": answer.reason} for question, answer in known.answers.items()
        }
        found.append({"container": container, "image": str(image), **said})
    return found


def _key(world: World, obj: Object) -> ObjectKey | None:
    return population.of(world).keys.get((str(obj.get("kind")), meta.namespace(obj), meta.name(obj)))


def from_internet(world: World, workload: Mapping[str, Any]) -> list[str]:
    """The ways by which the internet gets to a workload's pods, through proxies or without, as sentences."""
    key = _key(world, dict(workload))
    public = world.once("public", lambda: _public(ways(world)))
    return public.get(key, []) if key else []


def _public(found: list[Exposure]) -> dict[ObjectKey, list[str]]:
    public: dict[ObjectKey, list[str]] = {}
    for way in found:
        if way.public and way.open:
            public.setdefault(way.pod, []).append(way.sentence)
    return public


FUNCTIONS = (
    Function("hasImageReports", (TYPE,), "bool", has_image_reports, receiver=True),
    Function("images", (TYPE, "dyn"), "list<dyn>", images, receiver=True),
    Function("fromInternet", (TYPE, "dyn"), "list<string>", from_internet, receiver=True),
)
