"""Bindings of policies: to which requests, with which parameters, and with what consequence.

Source: apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go CollectParams.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.matching import Matcher


class ParameterSource(Protocol):
    """Where the objects are that policies take as parameters."""

    def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        """None for a kind that there is not."""
        ...

    def one(self, api_version: str, kind: str, key: meta.ObjectKey) -> Object | None: ...

    def all(self, api_version: str, kind: str, namespace: str) -> Iterable[Object]: ...


class Misconfigured(Exception):
    """A policy or binding cannot be evaluated as it is written; the failure policy says what that means."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledBinding:
    """A ValidatingAdmissionPolicyBinding, prepared."""

    name: str
    policy_name: str
    actions: tuple[str, ...]
    matcher: Matcher
    parameters: Object | None

    @classmethod
    def of(cls, binding: Object) -> CompiledBinding:
        """Raises BadRequest for a selector that is none."""
        spec: Object = binding.get("spec") or {}
        return cls(
            name=meta.name(binding),
            policy_name=spec.get("policyName") or "",
            actions=tuple(spec.get("validationActions") or ()),
            matcher=Matcher(spec.get("matchResources")),
            parameters=spec.get("paramRef"),
        )


def parameters(
    policy: Object, ref: Object | None, namespace: str, source: ParameterSource
) -> list[Object] | list[None]:
    """What to evaluate a policy with: each parameter once, once without any, or not at all when there is none and that
    is allowed. `namespace` is that of the request. Raises Misconfigured."""
    kind = (policy.get("spec") or {}).get("paramKind")
    if kind is None:
        return [None]
    api_version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    namespaced = source.is_namespaced(api_version, name)
    if namespaced is None:
        raise Misconfigured(f"failed to find resource referenced by paramKind: '{_shown(api_version, name)}'")
    if ref is None:
        return [None]
    home = _home(ref, namespace, namespaced=namespaced)
    found = _found(ref, home, api_version, name, source)
    if not found and ref.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _shown(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    return f"{group}/{version}, Kind={kind}"


def _home(ref: Object, namespace: str, *, namespaced: bool) -> str:
    given: str = ref.get("namespace") or ""
    if not namespaced:
        if given:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    if not given and not namespace:
        raise Misconfigured("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return given or namespace


def _found(ref: Object, home: str, api_version: str, kind: str, source: ParameterSource) -> list[Object]:
    if ref.get("name"):
        one = source.one(api_version, kind, meta.ObjectKey(home, ref["name"]))
        return [] if one is None else [one]
    selector = selectors.from_label_selector(ref.get("selector") or {})
    return [item for item in source.all(api_version, kind, home) if selector.matches(meta.labels(item))]
