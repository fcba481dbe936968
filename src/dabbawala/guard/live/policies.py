"""The policies that a cluster really enforces, its own and others', asked about objects that are not in it yet, or are.

Every binding is asked, whatever it does with a failure: what it does (Deny, Warn, Audit) is the weight of the finding.
What a policy asks the authorizer depends on who writes, which no scan can know; such a failure is unknown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dabbawala.api import kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.client.client import Client
from dabbawala.guard import checks, engine
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement.bundle import BINDING, POLICY
from dabbawala.guard.engine import Judgement, PlaceOf
from dabbawala.guard.findings import Finding, Place, Problem, Status, Subject
from dabbawala.guard.live import discovery
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.bindings import CompiledBinding
from dabbawala.policy.enforcement import Consequences, PolicySet, World
from dabbawala.policy.matching import Request

_WEIGHT = {"Deny": "high", "Warn": "medium", "Audit": "low"}
_REMEDY = "Change the object, or ask whoever keeps the policy of this cluster."


class Said(NamedTuple):
    """A failure. The binding is empty where the policy itself cannot be used."""

    policy: str
    binding: str
    message: str


@dataclass(slots=True)
class Parameters:
    """Objects that policies take as parameters, by kind."""

    known: dict[tuple[str, str], Kind] = field(default_factory=dict)
    objects: dict[tuple[str, str], dict[ObjectKey, Object]] = field(default_factory=dict)

    def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        found = self.known.get((api_version, kind))
        return None if found is None else found.namespaced

    def one(self, api_version: str, kind: str, key: ObjectKey) -> Object | None:
        return self.objects.get((api_version, kind), {}).get(key)

    def all(self, api_version: str, kind: str, namespace: str) -> Iterable[Object]:
        found = self.objects.get((api_version, kind), {})
        return [obj for key, obj in found.items() if key.namespace == namespace]


@dataclass(slots=True)
class ClusterPolicies:
    """Policies and bindings as they are stored."""

    policies: list[Object]
    bindings: list[Object]
    parameters: Parameters
    _checks: dict[str, Check] = field(init=False)
    _asking: frozenset[str] = field(init=False)
    _set: PolicySet = field(init=False)

    def __post_init__(self) -> None:
        compiled = [CompiledPolicy.of(obj) for obj in self.policies]
        bound = [CompiledBinding.of(obj) for obj in self.bindings]
        self._checks = {meta.name(obj): _check(obj, bound) for obj in self.policies}
        self._asking = frozenset(policy.name for policy in compiled if policy.asks)
        self._set = PolicySet(compiled, [replace(binding, actions=("Audit",)) for binding in bound])

    @property
    def checks(self) -> list[Check]:
        return list(self._checks.values())

    def judge(self, request: Request, namespace: Object | None, place: PlaceOf) -> Judgement:
        """What the policies say of one request."""
        passed: list[str] = []
        world, found = World(self.parameters, namespace), Consequences()
        for step in self._set.steps(request, world, found):
            step.run()
            if step.passed:
                passed.append(self._checks[step.policy.name].id)
        subject = engine.subject_of(request.object or {})
        findings = tuple(self._finding(said, subject, place("")) for said in _said(found))
        return Judgement(tuple(passed), findings, request.namespace)

    def _finding(self, said: Said, subject: Subject, place: Place) -> Finding:
        policy, binding, message = said
        actions = (obj["spec"].get("validationActions") or () for obj in self.bindings if meta.name(obj) == binding)
        reason = f"binding {binding}: {', '.join(next(actions))}" if binding else "the policy cannot be used as it is"
        result = Status.UNKNOWN if policy in self._asking else Status.FAIL
        return Finding(self._checks[policy], result, subject, message, place, reason=reason)


def _said(found: Consequences) -> Iterator[Said]:
    yield from (Said(item["policy"], item["binding"], item["message"]) for item in found.failures)
    yield from (Said(item.policy, item.binding, item.message) for item in found.denials)


def _check(policy: Object, bound: Iterable[CompiledBinding]) -> Check:
    """A policy of a cluster, described as far as it describes itself."""
    said = {name.removeprefix(checks.PREFIX): text for name, text in meta.annotations(policy).items()}
    name = meta.name(policy)
    actions = {action for binding in bound if binding.policy_name == name for action in binding.actions}
    weight = next((_WEIGHT[action] for action in _WEIGHT if action in actions), "info")
    severity = said.get("severity", weight)
    return Check(
        id=said.get("id", name),
        title=said.get("title", name),
        severity=severity if severity in checks.SEVERITIES else weight,
        rationale="The cluster enforces it.",
        remedy=said.get("remedy", _REMEDY),
        controls=(),
        anchors=(),
        area="cluster",
        document=policy,
    )


async def read(client: Client, problems: list[Problem]) -> ClusterPolicies:
    """All of them, with their parameters. Raises StatusError where policies may not be listed."""
    policies, bindings = (await client.list(POLICY)).items, (await client.list(BINDING)).items
    found = Parameters()
    asking: dict[tuple[str, str], list[Object]] = {}
    for policy in policies:
        wanted = (policy.get("spec") or {}).get("paramKind")
        if wanted is not None:
            bound = (obj["spec"] for obj in bindings if obj["spec"].get("policyName") == meta.name(policy))
            refs = [spec["paramRef"] for spec in bound if spec.get("paramRef")]
            asking.setdefault((str(wanted["apiVersion"]), str(wanted["kind"])), []).extend(refs)
    for name, refs in asking.items():
        kind = kinds.of(*name) or await _served(client, name)
        if kind is not None:
            found.known[name] = kind
            found.objects[name] = {meta.key(obj): obj for obj in await _parameters(client, kind, refs, problems)}
    return ClusterPolicies(policies, bindings, found)


async def _parameters(client: Client, kind: Kind, refs: Iterable[Object], problems: list[Problem]) -> list[Object]:
    """Those that bindings name; all of the kind where one selects them, or takes those of the request's namespace."""
    try:
        if all(ref.get("name") and (ref.get("namespace") or not kind.namespaced) for ref in refs):
            named = {(str(ref["name"]), str(ref.get("namespace") or "")) for ref in refs}
            return [obj for name in sorted(named) async for obj in _one(client, kind, *name)]
        return (await client.list(kind)).items
    except status.StatusError as refused:
        message = f"{kind.resource}, which policies take as parameters, cannot be read: {refused.message}"
        problems.append(Problem(Place(), "not-read", message, f"Grant the verbs get and list on {kind.resource}."))
        return []


async def _one(client: Client, kind: Kind, name: str, namespace: str) -> AsyncIterator[Object]:
    with suppress(status.NotFound):
        yield await client.get(kind, name, namespace)


async def _served(client: Client, wanted: tuple[str, str]) -> Kind | None:
    served = await discovery.look(client)
    return next((kind for kind in served.kinds if (kind.api_version, kind.kind) == wanted), None)
