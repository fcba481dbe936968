"""What labels say of how careful one must be: data classes, the card-data zone, where data must stay, production.

Labels count by their last part, so that `data-class` and `example.com/data-class` say the same. What a namespace is
labelled with holds for its pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dabbawala.apimachinery import meta
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

CARD = frozenset({"card", "card-data", "cardholder", "cardholder-data", "pci"})
REGULATED = CARD | {"payment", "payments", "financial", "personal", "personal-data", "pii", "kyc", "aadhaar"}
PRODUCTION, TEST = "production", "test"

_YES = frozenset({"true", "yes"})
_ENVIRONMENTS = {
    **dict.fromkeys(("production", "prod", "prd", "live"), PRODUCTION),
    **dict.fromkeys(("test", "testing", "dev", "development", "staging", "stage", "qa", "uat", "sandbox"), TEST),
}
_TELLING = frozenset(("pci-scope", "compliance", "data-class", "data-residency", "security-zone", "tier"))
_WORD = re.compile(r"[a-z]+")

Labels = Mapping[str, str]


def label(labels: Labels, name: str) -> str:
    """The value of the label of that name, with whatever prefix; empty where there is none."""
    if name in labels:
        return str(labels[name])
    end = f"/{name}"
    return next((str(value) for key, value in labels.items() if key.endswith(end)), "")


def around(world: World, namespace: str, labels: Labels) -> Labels:
    """The labels of a pod over those of its namespace."""
    home = world.namespace(namespace)
    return {**meta.labels(home), **labels} if home else labels


def _tells(labels: Labels) -> bool:
    """Whether any label may say something here: most objects have none that does."""
    return any(key.rpartition("/")[2] in _TELLING for key in labels)


def is_card(labels: Labels) -> bool:
    if not _tells(labels):
        return False
    scoped = label(labels, "pci-scope").lower() in _YES or label(labels, "compliance").lower().startswith("pci")
    return scoped or label(labels, "data-class").lower() in CARD


def is_regulated(labels: Labels) -> bool:
    return _tells(labels) and (
        is_card(labels)
        or label(labels, "data-class").lower() in REGULATED
        or label(labels, "data-residency").lower() in ("india", "in")
        or label(labels, "security-zone").lower() == "financial"
        or label(labels, "tier").lower() == "financial"
        or label(labels, "compliance").lower().startswith("rbi")
    )


def in_card_zone(world: World, namespace: str, labels: Labels) -> bool:
    """Whether pods with these labels, in this namespace, are of the card-data zone."""
    return is_card(around(world, namespace, labels))


def regulated(world: World, namespace: str, labels: Labels) -> bool:
    """Whether labels of the pod or of its namespace say that it has payment, card or personal data, or must stay in
    India."""
    return is_regulated(around(world, namespace, labels))


def residency(world: World) -> bool:
    """Whether any namespace, node or workload of the scan says that data must stay in India."""
    return world.once("residency", lambda: any(map(is_regulated, _all_labels(world))))


def _all_labels(world: World) -> Iterator[Labels]:
    for item in (*world.items("Namespace"), *world.items("Node")):
        yield item.labels
    for pod in world.pods_in():
        yield pod.labels
        yield pod.owner.labels


def environment(world: World, namespace: str) -> str:
    """`production` or `test`, as the namespace's labels say, or else its name; empty where they say nothing."""
    home = world.namespace(namespace)
    return environment_of(meta.labels(home) if home else {}) or _by_name(namespace)


def environment_of(labels: Labels) -> str:
    """`production` or `test`, by the labels `environment`, `env` and `stage`; empty where they say nothing."""
    for name in ("environment", "env", "stage"):
        found = _ENVIRONMENTS.get(label(labels, name).lower())
        if found:
            return found
    return ""


def _by_name(namespace: str) -> str:
    words = _WORD.findall(namespace)
    return next((_ENVIRONMENTS[word] for word in words if word in _ENVIRONMENTS), "")


def production(world: World) -> list[str]:
    """The namespaces that are production."""
    names = world.inventory.namespaces
    return world.once("production", lambda: [name for name in names if environment(world, name) == PRODUCTION])


def label_values(world: World, namespace: str, name: str) -> list[str]:
    """The values that the pods of a namespace have for a label, each once."""
    return sorted({label(pod.labels, name) for pod in world.pods_in(namespace)} - {""})


def environments_in(world: World, namespace: str) -> list[str]:
    """What the pods of a namespace are for, by their own labels: `production`, `test`, or both."""
    return sorted({environment_of(pod.labels) for pod in world.pods_in(namespace)} - {""})


def environments_on(world: World, node: str) -> list[str]:
    """What the pods of a node are for, by their own labels or their namespaces."""
    return sorted(world.once("environments", lambda: _by_node(world)).get(node, set()) - {""})


def _by_node(world: World) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in world.items("Pod"):
        node = (item.object.get("spec") or {}).get("nodeName") or ""
        said = environment_of(item.labels) or environment(world, item.namespace)
        found.setdefault(node, set()).add(said)
    return found


FUNCTIONS = (
    Function("labelValues", (TYPE, "string", "string"), "list<string>", label_values, receiver=True),
    Function("environmentsIn", (TYPE, "string"), "list<string>", environments_in, receiver=True),
    Function("environmentsOn", (TYPE, "string"), "list<string>", environments_on, receiver=True),
    Function("label", ("map<string, dyn>", "string"), "string", label),
    Function("environmentOf", ("map<string, dyn>",), "string", environment_of),
    Function("inCardZone", (TYPE, "string", "map<string, dyn>"), "bool", in_card_zone, receiver=True),
    Function("regulated", (TYPE, "string", "map<string, dyn>"), "bool", regulated, receiver=True),
    Function("residency", (TYPE,), "bool", residency, receiver=True),
    Function("environment", (TYPE, "string"), "string", environment, receiver=True),
    Function("production", (TYPE,), "list<string>", production, receiver=True),
)
