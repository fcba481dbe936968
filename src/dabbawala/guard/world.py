"""What checks of more than one object may ask: the inventory, and what follows from all of it together.

Expressions see it as `inventory`. Its functions answer from the objects of the scan; what is costly (who reaches whom,
who can take over what) is computed when it is first asked for, once for a scan. Objects that were looked at once are
kept decoded. `whole` tells that the scan has seen all there is, as one of a live cluster has: only then does
"is not there" mean that it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.cel.values import NOTHING, Optional
from dabbawala.guard import inventory
from dabbawala.guard.inventory import Inventory, Pod
from dabbawala.policy.expressions import Dialect

TYPE = "dabbawala.Inventory"


class World:
    """One scan's answers. `now` is the instant by which age is judged."""

    def __init__(self, known: Inventory, *, now: datetime, whole: bool = False) -> None:
        self.inventory = known
        self.now = now
        self.whole = whole
        self._objects: dict[tuple[str, str], list[Object]] = {}
        self._namespaces = {name: item.object for name, item in known.namespaces.items()}

    def namespace(self, name: str) -> Object | None:
        """The Namespace that objects of this namespace are in; it is implied where no object declares it."""
        return self._namespaces.get(name)

    def objects(self, kind: str, namespace: str) -> list[Object]:
        """Objects of a kind (`Service`, `VirtualService.networking.istio.io`) in a namespace; in all for ''."""
        key = (kind, namespace)
        found = self._objects.get(key)
        if found is None:
            name, _, group = kind.partition(".")
            items = self.inventory.select(name, namespace or None, group=group or None)
            found = self._objects[key] = [item.object for item in items]
        return found

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of that name; None where the scan has none."""
        plain, _, group = kind.partition(".")
        item = self.inventory.get(plain, namespace, name, group=group or None)
        return None if item is None else item.object

    def pods(self, namespace: str, selector: Mapping[str, Any]) -> list[Object]:
        """Pods, and those that workloads would run, that a LabelSelector selects."""
        return [_shown(pod) for pod in self.inventory.select_pods(namespace or None, selector)]


def _shown(pod: Pod) -> Object:
    owner = {"kind": pod.owner.kind, "name": pod.owner.name}
    return {"namespace": pod.namespace, "labels": dict(pod.labels), "owner": owner, "spec": pod.spec}


def _find(world: World, kind: str, namespace: str, name: str) -> Optional:
    found = world.find(kind, namespace, name)
    return NOTHING if found is None else Optional(found)


def _whole(world: World) -> bool:
    return world.whole


def _now(world: World) -> datetime:
    return world.now


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return inventory.as_selector(selector).matches(labels)


FUNCTIONS = (
    Function("objects", (TYPE, "string", "string"), "list<dyn>", World.objects, receiver=True),
    Function("find", (TYPE, "string", "string", "string"), "optional_type<dyn>", _find, receiver=True),
    Function("pods", (TYPE, "string", "map<string, dyn>"), "list<dyn>", World.pods, receiver=True),
    Function("whole", (TYPE,), "bool", _whole, receiver=True),
    Function("now", (TYPE,), "timestamp", _now, receiver=True),
    Function("selects", ("map<string, dyn>", "map<string, dyn>"), "bool", _selects),
)
DIALECT = Dialect(functions=FUNCTIONS, variables=(("inventory", TYPE),))
"""Of checks that only a scanner can ask."""
