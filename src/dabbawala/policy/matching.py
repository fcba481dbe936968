"""Which requests a policy or a binding is about: resource rules, selectors, equivalent resources.

What only depends on the kind of request (operation, group, version, resource, subresource) is worked out once for each
kind and remembered, so that matching is a look-up; scope, names and selectors are looked at for each request.

Source: apiserver/pkg/admission/plugin/policy/matching, plugin/webhook/predicates/{rules,namespace,object}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.policy.access import User

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has."""
_REMEMBERED = 4096
_NOBODY = User("")


def _unchanged(obj: Object) -> Object:
    return obj


@dataclass(frozen=True, slots=True)
class Equivalent:
    """The same objects under another version or group. `convert` gives an object's form there, leaving its argument
    alone."""

    group: str
    version: str
    resource: str
    kind: str
    convert: Callable[[Object], Object] = _unchanged


@dataclass(slots=True, eq=False)
class Request:
    """One admission request. `object` is None for DELETE, `old` for CREATE; neither is changed by anyone. `namespace`
    is that of the object, empty for what is cluster-scoped, but a Namespace's own name for a Namespace. `name` is empty
    where the server is to generate it. `written` is
    group, version and kind of what is sent to a subresource that does not take the object itself (a Scale).

    `memo` keeps, for as long as the request lives, what policies have computed of its object alone.
    Source: admission/v1 AdmissionRequest.
    """

    operation: str
    group: str
    version: str
    resource: str
    kind: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    object: Object | None = None
    old: Object | None = None
    user: User = _NOBODY
    dry_run: bool = False
    options: Mapping[str, Any] | None = None
    equivalents: tuple[Equivalent, ...] = ()
    written: tuple[str, str, str] | None = None
    original: Request | None = None
    memo: dict[Any, Any] = field(default_factory=dict)
    _kind: tuple[Any, ...] | None = field(default=None, init=False)

    @property
    def about(self) -> tuple[Any, ...]:
        """What matching by rules depends on: the same for all requests of one kind."""
        if self._kind is None:
            key = (self.operation, self.group, self.version, self.resource, self.subresource)
            self._kind = (*key, self.equivalents) if self.equivalents else key
        return self._kind

    @property
    def is_namespace(self) -> bool:
        return self.resource == "namespaces" and not self.group

    def under(self, other: Equivalent) -> Request:
        """This request as a policy sees it that names an equivalent resource."""
        known: Request | None = self.memo.get(other)
        if known is None:
            known = self.memo[other] = replace(
                self, group=other.group, version=other.version, resource=other.resource, kind=other.kind,
                object=None if self.object is None else other.convert(self.object),
                old=None if self.old is None else other.convert(self.old),
                original=self, memo={}, equivalents=(),
            )  # fmt: skip
        return known


class _Route(NamedTuple):
    """One way in which a kind of request meets a rule: for these names (all, if none), in this scope, and as which
    equivalent resource, if not as itself."""

    names: frozenset[str]
    scope: str
    via: Equivalent | None

    def admits(self, request: Request) -> bool:
        if self.scope != "*" and (self.scope == "Namespaced") != _is_namespaced(request):
            return False
        return not self.names or request.name in self.names

    @property
    def always(self) -> bool:
        return not self.names and self.scope == "*"


def _is_namespaced(request: Request) -> bool:
    """A Namespace is cluster-scoped, although requests for it carry its name as their namespace."""
    return bool(request.namespace) and not request.is_namespace


class _Rule(NamedTuple):
    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    names: frozenset[str]
    scope: str

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> _Rule:
        return cls(
            frozenset(rule.get("operations") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()),
            tuple(_split(item) for item in rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            rule.get("scope") or "*",
        )

    def covers(self, request: Request, group: str, version: str, resource: str) -> bool:
        return (
            _has(self.groups, group)
            and _has(self.operations, request.operation)
            and _has(self.versions, version)
            and any(
                name in ("*", resource) and part in ("*", request.subresource) for name, part in self.resources
            )
        )  # fmt: skip


def _split(resource: str) -> tuple[str, str]:
    name, _, part = resource.partition("/")
    return name, part


def _has(items: frozenset[str], wanted: str) -> bool:
    return wanted in items or "*" in items


class _Routes(NamedTuple):
    """For one kind of request: the rules that it may meet, those that exclude it, and whether one certainly applies."""

    includes: tuple[_Route, ...]
    excludes: tuple[_Route, ...]
    certain: bool


class Matcher:
    """MatchResources, prepared. Without resource rules it matches every resource, as bindings do. Raises BadRequest for
    a selector that is none."""

    def __init__(self, resources: Mapping[str, Any] | None) -> None:
        given = resources or {}
        self._rules = tuple(_Rule.of(rule) for rule in given.get("resourceRules") or ())
        self._excludes = tuple(_Rule.of(rule) for rule in given.get("excludeResourceRules") or ())
        self._equivalent = given.get("matchPolicy") != "Exact"
        self._namespaces = _selector(given.get("namespaceSelector"))
        self._objects = _selector(given.get("objectSelector"))
        self._selects = self._namespaces is not None or self._objects is not None
        self._routes: dict[tuple[Any, ...], _Routes] = {}

    def may_match(self, request: Request) -> bool:
        """Whether any rule is about this kind of request, whatever its name, scope, labels and namespace. Asked of
        hundreds of policies that are not, and so without preparing an answer to more."""
        if request.equivalents or not self._rules:
            return bool(self._routes_of(request).includes)
        about = request.group, request.version, request.resource
        return any(rule.covers(request, *about) for rule in self._rules)

    def surely_matches(self, request: Request) -> bool:
        """Whether every request of this kind matches as it is, whatever its name, scope, labels and namespace."""
        return self._routes_of(request).certain and not self._selects

    def match(self, request: Request, namespace: Object | None = None) -> Request | None:
        """The request as the policy sees it; None when the policy is not about it. `namespace` is the Namespace object
        that the request is in; where nobody knows it, it has no labels but its name."""
        routes = self._routes_of(request)
        if not routes.includes or (self._selects and not self._selected(request, namespace)):
            return None
        if routes.certain:
            return request
        if any(route.admits(request) for route in routes.excludes):
            return None
        for route in routes.includes:
            if route.admits(request):
                return request if route.via is None else request.under(route.via)
        return None

    def _routes_of(self, request: Request) -> _Routes:
        key = request.about
        known = self._routes.get(key)
        if known is None:
            if len(self._routes) >= _REMEMBERED:
                self._routes.clear()
            known = self._routes[key] = self._routes_for(request)
        return known

    def _routes_for(self, request: Request) -> _Routes:
        includes = self._meeting(self._rules, request) if self._rules else (_Route(frozenset(), "*", None),)
        excludes = self._meeting(self._excludes, request)
        certain = bool(includes) and not excludes and includes[0].always and includes[0].via is None
        return _Routes(includes, excludes, certain)

    def _meeting(self, rules: Iterable[_Rule], request: Request) -> tuple[_Route, ...]:
        """As itself first, then as an equivalent resource, rule by rule."""
        found = [
            _Route(rule.names, rule.scope, None)
            for rule in rules
            if rule.covers(request, request.group, request.version, request.resource)
        ]
        if self._equivalent:
            found += [
                _Route(rule.names, rule.scope, other)
                for rule in rules
                for other in request.equivalents
                if rule.covers(request, other.group, other.version, other.resource)
            ]
        return tuple(found)

    def _selected(self, request: Request, namespace: Object | None) -> bool:
        """What is cluster-scoped, and no Namespace, is exempt from the selection of namespaces."""
        by_namespace = self._namespaces if request.namespace or request.is_namespace else None
        if by_namespace is not None and not by_namespace.matches(_namespace_labels(request, namespace)):
            return False
        if self._objects is None:
            return True
        carriers = (obj for obj in (request.object, request.old) if obj is not None)
        return any(self._objects.matches(meta.labels(obj)) for obj in carriers)


def _selector(given: Mapping[str, Any] | None) -> LabelSelector | None:
    """None for a selector that selects everything: there is nothing to look at then."""
    found = selectors.from_label_selector(given or {})
    return None if found.everything else found


def _namespace_labels(request: Request, namespace: Object | None) -> Mapping[str, str]:
    """A Namespace that is written is judged by its new labels."""
    if request.is_namespace and not request.subresource and request.operation in (CREATE, UPDATE):
        return meta.labels(request.object or {})
    if namespace is None:
        return {NAMESPACE_NAME: request.namespace}
    return meta.labels(namespace)
