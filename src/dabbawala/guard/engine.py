"""Asking the checks about objects: the engine that the API server admits by, over whatever a scan has read.

Each object is judged as an admission request that creates it. Which checks are about a kind of object is worked out
once for the kind; a check's message and the fields at fault are computed for failures only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Store
from dabbawala.cel.errors import EvaluationError
from dabbawala.guard import exceptions
from dabbawala.guard.checks import Check
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Finding, Place, Status, Subject
from dabbawala.guard.relations.dialect import DIALECT
from dabbawala.guard.resources import Resource
from dabbawala.guard.world import World
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.expressions import Dialect
from dabbawala.policy.matching import CREATE, Matcher, Request
from dabbawala.policy.scope import Surroundings
from dabbawala.policy.verdicts import Verdict

FIELDS = "fields"
"""The variable by which a policy tells a scanner which fields are at fault; a server never computes it."""

UNDECIDED = "undecided"
"""The variable by which a check says that what it does not find may be elsewhere: its failure is unknown then."""

PlaceOf = Callable[[str], Place]
"""Where a field of the object is written; of the empty path, where the object begins."""


class Asked(NamedTuple):
    """A check that is asked about a kind of request; `surely` about each of them."""

    check: Check
    policy: CompiledPolicy
    surely: bool


_NATIVE = Dialect()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all checks say of one object."""

    passed: tuple[str, ...]
    findings: tuple[Finding, ...]
    namespace: str = ""


class Engine:
    """The checks, compiled. `now` is the instant that exceptions are judged by."""

    def __init__(
        self,
        checks: Sequence[Check],
        given: Iterable[PolicyException] = (),
        *,
        now: datetime,
        store: Store | None = None,
    ) -> None:
        self.checks = tuple(checks)
        self._checks = [(check, Matcher(check.spec.get("matchConstraints"))) for check in checks]
        self.exceptions = tuple(given)
        self._now = now
        self._store = store
        self._policies: dict[str, CompiledPolicy] = {}
        self._about: dict[tuple[object, ...], tuple[Asked, ...]] = {}

    @property
    def faults(self) -> Iterator[tuple[Check, str]]:
        """Expressions that do not compile, as sentences."""
        for check, _ in self._checks:
            for fault in self._compiled(check).faults:
                yield check, f"{fault.path}: {fault.message}"

    def judge(
        self,
        request: Request,
        namespace: Object | None,
        place: PlaceOf,
        world: World | None = None,
        *,
        native: bool | None = None,
    ) -> Judgement:
        """What the checks say of one request. Checks of our own kind need a `world`; native ones never look at it.
        `native` asks only these, or only the others."""
        around = Surroundings(namespace=namespace, extra={"inventory": world})
        return self._judge(self._asked(request, native), request, around, place)

    def judge_implied(self, request: Request, place: PlaceOf, world: World) -> Judgement:
        """What checks of more than one object say of an object that only others imply. Nobody wrote it, so that native
        ones have nothing to look at."""
        around = Surroundings(namespace=request.object, extra={"inventory": world})
        return self._judge(self.relational(request), request, around, place)

    def relational(self, request: Request) -> tuple[Asked, ...]:
        """The checks of our own that are asked about a request."""
        return self._asked(request, False)

    def judge_by(
        self, asked: Asked, request: Request, namespace: Object | None, place: PlaceOf, world: World
    ) -> Judgement:
        """What one check says."""
        return self._judge([asked], request, Surroundings(namespace=namespace, extra={"inventory": world}), place)

    def _judge(self, asked: Iterable[Asked], request: Request, around: Surroundings, place: PlaceOf) -> Judgement:
        passed: list[str] = []
        findings: list[Finding] = []
        for check, policy, surely in asked:
            seen = request if surely else policy.match(request, around.namespace)
            if seen is None:
                continue
            verdict, values = policy.examine(seen, around)
            if verdict.passed:
                passed.append(check.id)
            elif not verdict.excluded:
                obj = seen.object or {}
                subject = findings[-1].subject if findings and seen is request else subject_of(obj)
                findings.append(self._finding(check, _Said(verdict, values, obj, subject), place))
        return Judgement(tuple(passed), tuple(findings), request.namespace)

    def compile(self, resources: Iterable[Resource]) -> None:
        """Compile now what objects of these kinds will be judged by."""
        for found in resources:
            self._asked(Request(CREATE, found.group, found.version, found.plural, found.kind))

    def _asked(self, request: Request, native: bool | None = None) -> tuple[Asked, ...]:
        """All checks about a kind of request, only the native ones, or only the others."""
        key = (request.about, native)
        found = self._about.get(key)
        if found is None:
            about = [check for check, matcher in self._checks if matcher.may_match(request)]
            chosen = ((check, self._compiled(check)) for check in about if native is None or check.native is native)
            asked = (Asked(check, policy, policy.surely_matches(request)) for check, policy in chosen)
            found = self._about[key] = tuple(asked)
        return found

    def _compiled(self, check: Check) -> CompiledPolicy:
        """Compiled when something is to be judged by it: most scans hold few kinds."""
        found = self._policies.get(check.id)
        if found is None:
            dialect = replace(_NATIVE if check.native else DIALECT, store=self._store)
            found = self._policies[check.id] = CompiledPolicy.of(check.document, dialect)
        return found

    def _finding(self, check: Check, said: _Said, place: PlaceOf) -> Finding:
        verdict = said.verdict
        failed = [fault for fault in verdict.outcomes if fault.result == "fail"]
        status, reason = Status.ERROR, ""
        fields: Iterable[str] = ()
        if failed:
            status, fields = (Status.UNKNOWN if said.undecided() else Status.FAIL), said.fields()
        places = tuple(map(place, fields or ("",)))
        if self.exceptions:
            status, reason = self._accepted(check, said.object, status)
        message = intern("; ".join(dict.fromkeys([fault.message for fault in failed or verdict.faults])))
        return Finding(check, status, said.subject, message, places[0], places[1:], reason)

    def _accepted(self, check: Check, obj: Object, status: Status) -> tuple[Status, str]:
        """What exceptions make of a finding's status, and what they say of it."""
        accepted = exceptions.accepting(self.exceptions, check.id, obj, self._now)
        if accepted is not None:
            return Status.EXCEPTED, str(accepted)
        ended = exceptions.expired(self.exceptions, check.id, obj, self._now)
        return status, "" if ended is None else f"its exception has expired: {ended}"


def subject_of(obj: Object) -> Subject:
    return Subject(obj.get("apiVersion", ""), obj.get("kind", ""), meta.namespace(obj), meta.name(obj))


class _Said(NamedTuple):
    """A verdict that is no pass, and what the policy has to say beside it."""

    verdict: Verdict
    values: Mapping[str, Any]
    object: Object
    subject: Subject

    def fields(self) -> list[str]:
        found = self._value(FIELDS)
        return list(map(intern, map(str, found))) if isinstance(found, list) else []

    def undecided(self) -> bool:
        return self._value(UNDECIDED) is True

    def _value(self, name: str) -> Any:
        try:
            return self.values[name]
        except (KeyError, EvaluationError):
            return None
