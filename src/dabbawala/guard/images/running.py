"""Which images run, or would run: of pods by the digests that their nodes report, of templates by the names in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.images.names import Name, digest_of
from dabbawala.guard.world import World
from dabbawala.policy.network_pods import ENDED

_LISTS = ("containers", "initContainers", "ephemeralContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


@dataclass(frozen=True, slots=True)
class Use:
    """Who runs an image."""

    namespace: str
    workload: str
    container: str


def named(spec: Mapping[str, Any], pods: Iterable[Object] = ()) -> list[tuple[str, Name]]:
    """Container and image, of a pod spec and the pods that were made from it: one for each digest that runs."""
    running = _digests(pods)
    found: list[tuple[str, Name]] = []
    for container in (item for field in _LISTS for item in spec.get(field) or ()):
        image = str(container.get("image") or "")
        if not image:
            continue
        name = Name.of(image)
        digests = sorted(running.get((str(container.get("name")), image), ())) or [name.digest]
        found += [(str(container.get("name")), name._replace(digest=digest)) for digest in digests]
    return found


def _digests(pods: Iterable[Object]) -> dict[tuple[str, str], set[str]]:
    """By container and image as written, of the pods that run."""
    found: dict[tuple[str, str], set[str]] = {}
    for pod in pods:
        status = pod.get("status") or {}
        if status.get("phase") in ENDED:
            continue
        written = {str(c.get("name")): c.get("image") for field in _LISTS for c in pod["spec"].get(field) or ()}
        for state in (state for field in _STATUSES for state in status.get(field) or ()):
            name = str(state.get("name"))
            image, digest = str(written.get(name) or ""), _digest(str(state.get("imageID") or ""), written.get(name))
            if digest:
                found.setdefault((name, image), set()).add(digest)
    return found


def _digest(image_id: str, written: object) -> str:
    """A bare id is the configuration's digest, which is worth less than the one that the pod asks for."""
    return (digest_of(written) if "@" not in image_id else "") or digest_of(image_id)


def of_files(world: World) -> dict[Name, list[Use]]:
    """The images that pods and workloads of a scan would run, each with who would."""
    return _gathered(
        (Use(pod.namespace, f"{pod.owner.kind} {pod.owner.name}", container), name)
        for pod in world.inventory.pods
        for container, name in named(pod.spec)
    )


def of_cluster(world: World) -> dict[Name, list[Use]]:
    """The images of the pods that run, each with who runs it."""
    return _gathered(_running(world))


def _running(world: World) -> Iterator[tuple[Use, Name]]:
    for item in world.items("Pod"):
        pod = item.object
        if (pod.get("status") or {}).get("phase") in ENDED:
            continue
        root = world.inventory.root(item)
        for container, name in named(pod.get("spec") or {}, [pod]):
            yield Use(meta.namespace(pod), f"{root.kind} {root.name}", container), name


def _gathered(uses: Iterable[tuple[Use, Name]]) -> dict[Name, list[Use]]:
    found: dict[Name, set[Use]] = {}
    for use, name in uses:
        found.setdefault(name, set()).add(use)
    return {name: sorted(found[name], key=lambda u: (u.namespace, u.workload, u.container)) for name in sorted(found)}
