"""All objects of a scan, or of a cluster, and how they refer to each other: what checks of more than one object ask.

Objects are kept as JSON and decoded when somebody looks, so that ten thousand of them stay small; what is asked for
often (kind, namespace, name, labels) is indexed. Workloads show the pods that they would run; namespaces that objects
only imply are there too, with the one label that every namespace has. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.guard.documents import Document
from dabbawala.guard.heap import Heap
from dabbawala.guard.resources import Resource, Resources

NAME_LABEL = "kubernetes.io/metadata.name"
OWNERS_MAX = 16
"""Steps from an object to what owns it in the end; real chains have three."""

_TEMPLATES = (
    ("spec", "template"), ("spec", "jobTemplate", "spec", "template"), ("spec", "jobTargetRef", "template"),
    ("template",),
)  # fmt: skip
_GROUPS: Mapping[str, str] = {kind.kind: kind.group for kind in reversed(KINDS)}


class Item:
    """An object of the inventory. `document` is where it was read; None for one from a cluster, or an implied one."""

    __slots__ = (
        "_carries", "_heap", "_number", "controller", "document", "implied", "labels", "name", "namespace", "resource",
        "uid",
    )  # fmt: skip

    def __init__(
        self,
        obj: Object,
        resource: Resource,
        document: Document | None,
        *,
        implied: bool = False,
        heap: Heap | None = None,
    ) -> None:
        self.resource = resource
        self.document = document
        self.implied = implied
        self.name = meta.name(obj)
        self.namespace = meta.namespace(obj) if resource.namespaced else ""
        self.labels: Mapping[str, str] = dict(meta.labels(obj))
        self.uid = meta.uid(obj)
        self.controller = str((meta.controller_of(obj) or {}).get("uid", ""))
        self._heap = Heap() if heap is None else heap
        self._number = self._heap.put(orjson.dumps(obj))
        self._carries: bool | None = None

    @property
    def carries_pods(self) -> bool:
        """Whether it is a pod, or has a template of some. Found out when somebody asks."""
        if self._carries is None:
            self._carries = any(True for _ in pods_of(self))
        return self._carries

    @property
    def object(self) -> Object:
        """Decoded anew each time: keep it while you look at it."""
        found: Object = orjson.loads(self._heap.get(self._number))
        return found

    @property
    def kind(self) -> str:
        return self.resource.kind

    @property
    def group(self) -> str:
        return self.resource.group

    def __repr__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"Item({self.kind} {where})"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or one that a workload would run. `path` leads from the owner to it: `spec.template`, empty for a pod."""

    owner: Item
    path: str
    labels: Mapping[str, str]

    @property
    def namespace(self) -> str:
        return self.owner.namespace

    @property
    def object(self) -> Object:
        """As a Pod under its owner's name. Decoded anew each time."""
        obj = self.owner.object
        template = _at(obj, tuple(self.path.split("."))) if self.path else None
        return obj if template is None else _virtual(self.owner, template)

    @property
    def spec(self) -> Object:
        """Decoded anew each time."""
        spec: Object = self.object["spec"]
        return spec


Selection = LabelSelector | Mapping[str, Any] | None


class Inventory:
    """`objects` are as they would be stored (`defaulting`), each with where it was read, if it was."""

    def __init__(
        self, objects: Iterable[tuple[Object, Document | None]] = (), resources: Resources | None = None
    ) -> None:
        self.resources = resources or Resources()
        self._heap = Heap()
        self._items: list[Item] = []
        self._kinds: dict[tuple[str, str], dict[tuple[str, str], Item]] = {}
        self._uids: dict[str, Item] = {}
        for obj, document in objects:
            self.add(obj, document)

    @classmethod
    def of_items(cls, items: Iterable[Item], resources: Resources) -> Inventory:
        """Of what others have made."""
        made = cls(resources=resources)
        for item in items:
            made._put(item)
        return made

    def add(self, obj: Object, document: Document | None = None) -> Item:
        """The last one counts of those with the same group, kind, namespace and name. The document is packed."""
        if document is not None:
            document.pack(self._heap)
        resource = self.resources.of(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
        item = Item(obj, resource, document, heap=self._heap)
        self._put(item)
        return item

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._kinds.setdefault((item.group, item.kind), {})[item.namespace, item.name] = item
        if item.uid:
            self._uids[item.uid] = item
        self.__dict__.pop("namespaces", None)
        self.__dict__.pop("pods", None)

    def __iter__(self) -> Iterator[Item]:
        """In the order in which they were read; implied namespaces are not among them."""
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def get(self, kind: str, namespace: str, name: str, *, group: str | None = None) -> Item | None:
        if kind == "Namespace" and group in (None, ""):
            return self.namespaces.get(name)
        found = (index.get((namespace, name)) for index in self._of(kind, group))
        return next((item for item in found if item is not None), None)

    def select(
        self, kind: str, namespace: str | None = None, selector: Selection = None, *, group: str | None = None
    ) -> list[Item]:
        """Objects of a kind: of one namespace or (None) of all; with labels that a LabelSelector, a map in its form
        (`matchLabels`, `matchExpressions`) or (None) anything matches. Without `group` the kind is Kubernetes' own
        where there is one of that name. Raises BadRequest for a selector that says nothing sensible."""
        wanted = as_selector(selector)
        if kind == "Namespace" and group in (None, ""):
            candidates: Iterable[Item] = self.namespaces.values()
        else:
            candidates = (item for index in self._of(kind, group) for item in index.values())
        return [
            item
            for item in candidates
            if (namespace is None or item.namespace == namespace) and wanted.matches(item.labels)
        ]

    def _of(self, kind: str, group: str | None) -> list[dict[tuple[str, str], Item]]:
        group = _GROUPS.get(kind) if group is None else group
        if group is not None:
            index = self._kinds.get((group, kind))
            return [index] if index is not None else []
        return [index for (_, name), index in self._kinds.items() if name == kind]

    @cached_property
    def namespaces(self) -> Mapping[str, Item]:
        """By name; those that no object declares are `implied` by the objects in them."""
        known = {item.name: item for item in self._kinds.get(("", "Namespace"), {}).values()}
        for item in known.values():
            item.labels = {**item.labels, NAME_LABEL: item.name}
        names = sorted({item.namespace for item in self._items if item.namespace} - known.keys())
        return {**known, **{name: self._implied(name) for name in names}}

    def _implied(self, name: str) -> Item:
        obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {NAME_LABEL: name}}}
        return Item(obj, self.resources.of("v1", "Namespace"), None, implied=True)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that are there or would be: a live pod stands for itself only if nothing here owns it."""
        return tuple(pod for item in self._items if self.owner(item) is None for pod in pods_of(item))

    def select_pods(self, namespace: str | None = None, selector: Selection = None) -> list[Pod]:
        wanted = as_selector(selector)
        found = (pod for pod in self.pods if namespace is None or pod.namespace == namespace)
        return [pod for pod in found if wanted.matches(pod.labels)]

    def owner(self, item: Item) -> Item | None:
        """What controls an object and carries the pods that it was made from, among those that are here. What an
        operator's custom resource controls answers for itself: nothing can be seen in the resource."""
        found = self._uids.get(item.controller) if item.controller else None
        return found if found is not None and found.carries_pods else None

    def root(self, item: Item) -> Item:
        """What controls it in the end: the Deployment of a pod; itself where nothing does."""
        for _ in range(OWNERS_MAX):
            owner = self.owner(item)
            if owner is None:
                break
            item = owner
        return item


def pods_of(item: Item) -> Iterator[Pod]:
    """The pod that an object is, or whose template it carries; nothing for other objects."""
    obj = item.object
    if (item.group, item.kind) == ("", "Pod"):
        if isinstance(obj.get("spec"), dict):
            yield Pod(item, "", item.labels)
        return
    for path in _TEMPLATES:
        template = _at(obj, path)
        if template is not None:
            yield Pod(item, ".".join(path), dict(meta.labels(_virtual(item, template))))
            return


def _at(obj: Object, path: tuple[str, ...]) -> Object | None:
    """A pod template at a path, if that is what stands there."""
    found: Any = obj
    for field in path:
        found = found.get(field) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        return None
    return found if isinstance(found["spec"].get("containers"), list) else None


def _virtual(item: Item, template: Object) -> Object:
    given = template.get("metadata")
    metadata = dict(given) if isinstance(given, dict) else {}
    metadata["name"], metadata["namespace"] = item.name, item.namespace
    for field in ("labels", "annotations"):
        if not isinstance(metadata.get(field), dict):
            metadata[field] = {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def as_selector(selector: Selection) -> LabelSelector:
    """None selects everything. Raises BadRequest."""
    if selector is None:
        return selectors.EVERYTHING
    if isinstance(selector, LabelSelector):
        return selector
    return selectors.from_label_selector(selector)
