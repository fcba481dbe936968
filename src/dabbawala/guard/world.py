"""What checks of more than one object ask about: the inventory of a scan, looked up quickly and remembered.

What is costly (who reaches whom, who can take over what) is computed when it is first asked for, once for a scan;
`relations` holds it, subject by subject. `whole` tells that the scan has seen all there is, as one of a live cluster
has: only then does "is not there" mean that it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.cel.environment import Function
from dabbawala.cel.times import Timestamp, to_timestamp
from dabbawala.cel.values import NOTHING, Optional
from dabbawala.guard import inventory
from dabbawala.guard.inventory import Inventory, Item, Pod

if TYPE_CHECKING:
    from dabbawala.guard.images.state import Reports

TYPE = "dabbawala.Inventory"
SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that come with Kubernetes and hold nobody's workloads but its own."""

T = TypeVar("T")


class World:
    """One scan's answers. `now` is the instant by which age is judged, `images` what is known of those that run."""

    def __init__(self, known: Inventory, *, now: datetime, whole: bool = False, images: Reports | None = None) -> None:
        self.inventory = known
        self.now = now
        self.whole = whole
        self.images = images
        self._memo: dict[Hashable, Any] = {}
        self._items: dict[str, dict[str, list[Item]]] = {}
        self._objects: dict[tuple[str, str], list[Object]] = {}
        self._namespaces = {name: item.object for name, item in known.namespaces.items()}

    def note(self, what: str, namespace: str) -> None:
        """Somebody looks at that in a namespace, empty for all; a world that is traced keeps it in mind."""

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives or raises, computed when it is first asked for."""
        if key not in self._memo:
            try:
                self._memo[key] = compute(), None
            except Exception as wrong:  # the answer to everybody who asks for it, not to the first one only
                self._memo[key] = None, wrong
        found, raised = self._memo[key]
        if raised is not None:
            raise raised
        return cast(T, found)

    def namespace(self, name: str) -> Object | None:
        """The Namespace that objects of this namespace are in; it is implied where no object declares it."""
        return self._namespaces.get(name)

    def implied(self, name: str) -> bool:
        """Whether no object declares the namespace, though some are in it."""
        found = self.inventory.namespaces.get(name)
        return found is None or found.implied

    def items(self, kind: str, namespace: str = "") -> list[Item]:
        """As `objects`, undecoded."""
        homes = self._items.get(kind)
        if homes is None:
            homes = self._items[kind] = {}
            name, _, group = kind.partition(".")
            for item in self.inventory.select(name, group=group or None):
                for home in {"", item.namespace}:
                    homes.setdefault(home, []).append(item)
        return homes.get(namespace, [])

    def objects(self, kind: str, namespace: str = "") -> list[Object]:
        """Objects of a kind (`Service`, `VirtualService.networking.istio.io`) in a namespace; in all for ''."""
        self.note(kind, namespace)
        key = (kind, namespace)
        found = self._objects.get(key)
        if found is None:
            # Kept, as what was looked at once is looked at again.
            found = self._objects[key] = [item.object for item in self.items(kind, namespace)]
        return found

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of that name; None where the scan has none."""
        plain, _, group = kind.partition(".")
        item = self.inventory.get(plain, namespace, name, group=group or None)
        return None if item is None else item.object

    def pods_in(self, namespace: str = "") -> list[Pod]:
        """Pods, and those that workloads would run, of a namespace; of all for ''."""
        return self.once("pods", self._homes).get(namespace, [])

    def _homes(self) -> dict[str, list[Pod]]:
        homes: dict[str, list[Pod]] = {}
        for pod in self.inventory.pods:
            for home in {"", pod.namespace}:
                homes.setdefault(home, []).append(pod)
        return homes

    def pods(self, namespace: str, selector: Mapping[str, Any]) -> list[Object]:
        """Pods, and those that workloads would run, that a LabelSelector selects."""
        return [_shown(pod) for pod in self.selected(namespace, inventory.as_selector(selector))]

    def selected(self, namespace: str, wanted: LabelSelector) -> list[Pod]:
        """As `pods`, as they are in the inventory; looked up by the rarest label that is asked for."""
        index = self.once("labelled", self._labelled)
        lists = [index.get((namespace, key, value), ()) for key, value in wanted.exact().items()]
        candidates = min(lists, key=len) if lists else self.pods_in(namespace)
        return [pod for pod in candidates if wanted.matches(pod.labels)]

    def _labelled(self) -> dict[tuple[str, str, str], list[Pod]]:
        index: dict[tuple[str, str, str], list[Pod]] = {}
        for pod in self.pods_in():
            for key, value in pod.labels.items():
                for home in {"", pod.namespace}:
                    index.setdefault((home, key, value), []).append(pod)
        return index

    def live(self, kind: str, namespace: str, name: str) -> list[Object]:
        """The pods, with their status, that something controls in the end, or that it is itself."""
        owned = self.once("live", self._live)
        return [item.object for item in owned.get((kind, namespace, name), ())]

    def _live(self) -> dict[tuple[str, str, str], list[Item]]:
        owned: dict[tuple[str, str, str], list[Item]] = {}
        for item in self.items("Pod"):
            root = self.inventory.root(item)
            owned.setdefault((root.kind, root.namespace, root.name), []).append(item)
        return owned


def _shown(pod: Pod) -> Object:
    owner = {"kind": pod.owner.kind, "name": pod.owner.name}
    return {"namespace": pod.namespace, "labels": dict(pod.labels), "owner": owner, "spec": pod.spec}


def _find(world: World, kind: str, namespace: str, name: str) -> Optional:
    """The object of that name, if the scan has one."""
    found = world.find(kind, namespace, name)
    return NOTHING if found is None else Optional(found)


def _whole(world: World) -> bool:
    """Whether the scan has seen all there is: a live cluster was asked."""
    return world.whole


def _now(world: World) -> Timestamp:
    """The instant by which age is judged."""
    return to_timestamp(clock.format_time(world.now))


def _implied(world: World, name: str) -> bool:
    """Whether no object declares the namespace, though some may be in it."""
    return world.implied(name)


def _has_pods(world: World, namespace: str) -> bool:
    """Whether the namespace has pods, or workloads that would run some."""
    return bool(world.pods_in(namespace))


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects what has these labels."""
    return inventory.as_selector(selector).matches(labels)


def _system(namespace: str) -> bool:
    """Whether the namespace came with Kubernetes: kube-system, kube-public, kube-node-lease."""
    return namespace in SYSTEM


FUNCTIONS = (
    Function("objects", (TYPE, "string", "string"), "list<dyn>", World.objects, receiver=True),
    Function("find", (TYPE, "string", "string", "string"), "optional_type<dyn>", _find, receiver=True),
    Function("pods", (TYPE, "string", "map<string, dyn>"), "list<dyn>", World.pods, receiver=True),
    Function("live", (TYPE, "string", "string", "string"), "list<dyn>", World.live, receiver=True),
    Function("whole", (TYPE,), "bool", _whole, receiver=True),
    Function("now", (TYPE,), "timestamp", _now, receiver=True),
    Function("implied", (TYPE, "string"), "bool", _implied, receiver=True),
    Function("hasPods", (TYPE, "string"), "bool", _has_pods, receiver=True),
    Function("selects", ("map<string, dyn>", "map<string, dyn>"), "bool", _selects),
    Function("isSystem", ("string",), "bool", _system),
)
