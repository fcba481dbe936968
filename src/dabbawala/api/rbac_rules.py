"""Defaults and validation of roles and bindings, and what a ClusterRole gathers. Source: pkg/apis/rbac."""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, selectors, status
from dabbawala.apimachinery.meta import Object

GROUP = "rbac.authorization.k8s.io"


def default_binding(obj: Object) -> None:
    ref = obj.setdefault("roleRef", {})
    ref["apiGroup"] = ref.get("apiGroup") or GROUP
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = subject.get("apiGroup") or GROUP


def default_role(obj: Object) -> None:
    obj["rules"] = obj.get("rules") or []


def role(new: Object, old: Object | None) -> Errors:
    yield from _rules(new, namespaced=True)


def cluster_role(new: Object, old: Object | None) -> Errors:
    yield from _rules(new, namespaced=False)
    for index, selector in enumerate((new.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()):
        yield from check.label_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")


def _rules(obj: Object, *, namespaced: bool) -> Errors:
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            yield status.required(f"{path}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if namespaced:
                message = "namespaced rules cannot apply to non-resource URLs"
                yield check.invalid_json(f"{path}.nonResourceURLs", urls, message)
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                message = "rules cannot apply to both regular resources and non-resource URLs"
                yield check.invalid_json(f"{path}.nonResourceURLs", urls, message)
            continue
        if not rule.get("apiGroups"):
            yield status.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield status.required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(new: Object, old: Object | None) -> Errors:
    yield from _binding(new, old, ("ClusterRole", "Role"), namespaced=True)


def cluster_role_binding(new: Object, old: Object | None) -> Errors:
    yield from _binding(new, old, ("ClusterRole",), namespaced=False)


def _binding(new: Object, old: Object | None, kinds: tuple[str, ...], *, namespaced: bool) -> Errors:
    ref = new.get("roleRef") or {}
    if ref.get("apiGroup") != GROUP:
        yield status.not_supported("roleRef.apiGroup", ref.get("apiGroup"), (GROUP,))
    if ref.get("kind") not in kinds:
        yield status.not_supported("roleRef.kind", ref.get("kind") or "", kinds)
    if not ref.get("name"):
        yield status.required("roleRef.name")
    for index, subject in enumerate(new.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{index}]", namespaced)
    if old is not None and ref != old.get("roleRef"):
        yield check.invalid_json("roleRef", ref, "cannot change roleRef")


def _subject(subject: Object, path: str, namespaced: bool) -> Errors:
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    if not subject.get("name"):
        yield status.required(f"{path}.name")
    if kind == "ServiceAccount":
        if group:
            yield status.not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield status.required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != GROUP:
            yield status.not_supported(f"{path}.apiGroup", group, (GROUP,))
    else:
        yield status.not_supported(f"{path}.kind", kind, ("Group", "ServiceAccount", "User"))


def gathers(role: Object, other: Object) -> bool:
    """Whether an aggregated ClusterRole takes in the rules of another one."""
    wanted: Object = role.get("aggregationRule") or {}
    chosen = (selectors.from_label_selector(item) for item in wanted.get("clusterRoleSelectors") or ())
    return meta.name(other) != meta.name(role) and any(item.matches(meta.labels(other)) for item in chosen)


def aggregated(role: Object, cluster_roles: Iterable[Object]) -> list[Object] | None:
    """The rules that an aggregation rule gathers, in order of the roles' names; None where there is no such rule."""
    if role.get("aggregationRule") is None:
        return None
    found: list[Object] = []
    for other in sorted((item for item in cluster_roles if gathers(role, item)), key=meta.name):
        found += [rule for rule in other.get("rules") or () if rule not in found]
    return found
