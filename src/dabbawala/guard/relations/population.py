"""The pods of a scan under keys that nobody shares: a Deployment and a StatefulSet may both be called `web`."""

from __future__ import annotations

from collections.abc import Iterator

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard.inventory import Pod
from dabbawala.guard.relations.readable import readable
from dabbawala.guard.world import World
from dabbawala.policy.network_pods import Pod as NetworkPod
from dabbawala.policy.takeover_places import Estate

Owner = tuple[str, str, str]
"""Kind, namespace and name of a workload, or of a pod that nobody owns."""


class Population:
    """`keys` are by owner; `pods` the other way round."""

    def __init__(self, world: World) -> None:
        self.pods: dict[ObjectKey, Pod] = {}
        self.keys: dict[Owner, ObjectKey] = {}
        for pod in world.pods_in():
            item = pod.owner
            if not next(readable([pod.object], _read), None):
                continue
            key = ObjectKey(item.namespace, item.name)
            if key in self.pods:
                key = ObjectKey(item.namespace, f"{item.kind.lower()}/{item.name}")
            self.pods[key] = pod
            self.keys[item.kind, item.namespace, item.name] = key

    def objects(self) -> Iterator[Object]:
        """The pods as objects, named by their keys."""
        for key, pod in self.pods.items():
            found = pod.object
            found["metadata"]["name"] = key.name
            yield found


def _read(pod: Object) -> object:
    """As those read it who reckon with it."""
    return NetworkPod.of(pod), Estate([pod])


def of(world: World) -> Population:
    return world.once("population", lambda: Population(world))
