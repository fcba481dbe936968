"""All policies of a cluster over one request: who refuses it, what is to be warned of, what goes into the audit log.

A policy without a binding does nothing. Every binding that matches is evaluated with each of its parameters, and all of
them must agree. The first refusal is the one that the client is told; all of them are known here.

Source: apiserver/pkg/admission/plugin/policy/validating/dispatcher.go, generic/plugin.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import StatusError
from dabbawala.policy import bindings
from dabbawala.policy.access import Authorizer
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.bindings import CompiledBinding, Misconfigured, ParameterSource
from dabbawala.policy.index import Index
from dabbawala.policy.matching import Request
from dabbawala.policy.scope import Surroundings
from dabbawala.policy.verdicts import INVALID, Outcome, Verdict

FAILURE_ANNOTATION = "validation.policy.admission.k8s.io/validation_failure"
MAX_FAILURES = 50
"""In the annotation of one audit event."""
MAX_VALUE_BYTES = 10 * 1024
"""Of one value of an audit annotation."""
_GROUP = "admissionregistration.k8s.io"
# Policies that can be written through the API do not judge themselves, nor what only asks who may do what.
_EXEMPT = frozenset(
    {
        (_GROUP, "validatingadmissionpolicies"), (_GROUP, "validatingadmissionpolicybindings"),
        (_GROUP, "mutatingadmissionpolicies"), (_GROUP, "mutatingadmissionpolicybindings"),
        ("authentication.k8s.io", "selfsubjectreviews"), ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"), ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"), ("authorization.k8s.io", "subjectaccessreviews"),
    }
)  # fmt: skip
_ERRORS = (
    ("compilation", "compile_error"), ("validation failed due to running out of cost budget", "out_of_budget"),
)  # fmt: skip
"""What errors are known by where they are counted. Source: validating/errors.go."""
_BY_REASON: dict[str, type[StatusError]] = {
    "Unauthorized": status.Unauthorized,
    "Forbidden": status.Forbidden,
    "RequestEntityTooLarge": status.RequestEntityTooLarge,
    "Invalid": status.Invalid,
}


class Denial(NamedTuple):
    """Why a request is refused. `binding` is empty when the policy itself cannot be used."""

    policy: str
    binding: str
    message: str
    reason: str = INVALID

    def __str__(self) -> str:
        who = f"ValidatingAdmissionPolicy '{self.policy}'"
        if self.binding:
            who += f" with binding '{self.binding}'"
        return f"{who} denied request: {self.message}"

    def error(self, request: Request) -> StatusError:
        """What the client gets."""
        resource = f"{request.resource}.{request.group}" if request.group else request.resource
        said = meta.metadata(request.object or {})
        name = request.name or said.get("name") or said.get("generateName") or "Unknown"
        details = {"name": name, "group": request.group, "kind": request.resource, "causes": [{"message": str(self)}]}
        return _BY_REASON.get(self.reason, status.Invalid)(
            f'{resource} "{name}" is forbidden: {self}', details={key: value for key, value in details.items() if value}
        )


class Act(NamedTuple):
    """One outcome followed by one action of a binding: `deny`, `warn`, `audit`; or `allow`, for an error that the
    failure policy ignores. As upstream counts them: a validation that holds is none, and one that fails is an
    `invalid_error`, though nothing went wrong."""

    action: str
    error: str
    policy: str
    binding: str


@dataclass(slots=True)
class Consequences:
    """`failures` are the entries of the audit event's annotation; `values` are those of the policies' own."""

    denials: list[Denial] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[Object] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def annotations(self) -> dict[str, Any]:
        """Of the audit event; the failures are still a list."""
        said: dict[str, Any] = {key: ", ".join(values) for key, values in self.values.items()}
        return {**said, FAILURE_ANNOTATION: self.failures[:MAX_FAILURES]} if self.failures else said


class Bound(NamedTuple):
    policy: CompiledPolicy
    bindings: tuple[CompiledBinding, ...]


class World(NamedTuple):
    """What evaluations may look at beside the request: its Namespace, parameters, who may do what."""

    parameters: ParameterSource
    namespace: Object | None = None
    authorizer: Authorizer | None = None


class PolicySet:
    """Policies with their bindings."""

    def __init__(self, policies: Iterable[CompiledPolicy], bound: Iterable[CompiledBinding]) -> None:
        listed = sorted(bound, key=lambda binding: binding.name)
        paired = (
            Bound(policy, tuple(binding for binding in listed if binding.policy_name == policy.name))
            for policy in sorted(policies, key=lambda policy: policy.name)
        )
        self._index = Index((item for item in paired if item.bindings), lambda item: item.policy.matcher)

    def __bool__(self) -> bool:
        return len(self._index) > 0

    def about(self, request: Request) -> tuple[Bound, ...]:
        """Those that may be about a request of this kind."""
        return () if (request.group, request.resource) in _EXEMPT else self._index.about(request)

    def enforce(self, request: Request, world: World) -> Consequences:
        """Evaluate all that matches."""
        found = Consequences()
        for step in self.steps(request, world, found):
            step.run()
        return found

    def steps(self, request: Request, world: World, found: Consequences) -> Iterator[Step]:
        """The same policy by policy, for whoever has other things to do in between, or runs them elsewhere."""
        for policy, bound in self.about(request):
            seen = policy.match(request, world.namespace)
            if seen is not None:
                step = Step(request, seen, policy, world, found)
                step.prepare(bound)
                yield step


@dataclass(slots=True)
class Step:
    """One policy over one request; `seen` is the request in the form that the policy knows. What it needs is read
    beforehand: `run` computes, and asks nobody but the authorizer."""

    request: Request
    seen: Request
    policy: CompiledPolicy
    world: World
    found: Consequences
    acts: list[Act] = field(default_factory=list)
    """What it has done, for whoever counts."""
    _known: list[tuple[Object | None, Verdict]] = field(default_factory=list)
    _given: list[tuple[CompiledBinding, Object | None]] = field(default_factory=list)

    def prepare(self, bound: Iterable[CompiledBinding]) -> None:
        kind = (self.policy.policy.get("spec") or {}).get("paramKind")
        for binding in bound:
            if binding.matcher.match(self.request, self.world.namespace) is None:
                continue
            try:
                given = bindings.parameters(
                    self.policy.policy, binding.parameters, self.request.namespace, self.world.parameters
                )
            except Misconfigured as error:
                unknown = kind is not None and str(error).startswith("failed to find resource")
                self._misconfigured("" if unknown else binding.name, str(error))
                continue
            self._given += [(binding, params) for params in given]

    @property
    def passed(self) -> bool:
        """Whether it was evaluated, with at least one parameter, and holds with all."""
        return bool(self._known) and all(verdict.passed for _, verdict in self._known)

    def run(self) -> None:
        """Evaluate, and put into `found` what follows."""
        for binding, params in self._given:
            self._follow(binding, self._verdict(params))

    def _misconfigured(self, binding: str, why: str) -> None:
        if self.policy.fails_closed:
            message = f"failed to configure {'binding' if binding else 'policy'}: {why}"
            denial = Denial(self.policy.name, binding, message)
            if denial not in self.found.denials:
                self.found.denials.append(denial)

    def _verdict(self, params: Object | None) -> Verdict:
        """Two bindings with the same parameter share one evaluation."""
        for known, verdict in self._known:
            if known is params or known == params:
                return verdict
        around = Surroundings(self._namespace(), params, self.world.authorizer)
        verdict = self.policy.evaluate(self.seen, around)
        self._known.append((params, verdict))
        return verdict

    def _namespace(self) -> Object | None:
        """A Namespace has none around it."""
        return None if self.request.is_namespace else self.world.namespace

    def _follow(self, binding: CompiledBinding, verdict: Verdict) -> None:
        for outcome in verdict.faults:
            if outcome.denies:
                self._act(binding, outcome)
            else:
                self._note("allow", binding, outcome.message)
        for item in verdict.audit:
            if item.error:
                self.found.denials.append(Denial(self.policy.name, binding.name, item.error))
                self._note("deny", binding, item.error)
                continue
            values = self.found.values.setdefault(f"{self.policy.name}/{item.key}", [])
            value = item.value.encode()[:MAX_VALUE_BYTES].decode(errors="ignore")
            if value not in values:
                values.append(value)

    def _note(self, action: str, binding: CompiledBinding, message: str) -> None:
        error = next((name for begin, name in _ERRORS if message.startswith(begin)), "invalid_error")
        self.acts.append(Act(action, error, self.policy.name, binding.name))

    def _act(self, binding: CompiledBinding, outcome: Outcome) -> None:
        policy, found = self.policy.name, self.found
        for action in binding.actions:
            self._note(action.lower(), binding, outcome.message)
            if action == "Deny":
                found.denials.append(Denial(policy, binding.name, outcome.message, outcome.reason or INVALID))
            elif action == "Warn":
                found.warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding.name}': "
                    f"{outcome.message}"
                )
            elif action == "Audit":
                found.failures.append(
                    {
                        "message": outcome.message,
                        "policy": policy,
                        "binding": binding.name,
                        "expressionIndex": max(outcome.index, 0),
                        "validationActions": list(binding.actions),
                    }
                )
