"""Does a server say of an object what the scan says? Asked of any API server, one policy at a time, without storing an
object that is judged: every question is a dry run.

What a server answers can be kept as a file of one JSON object a line (`Answer`), and compared later, elsewhere, with
what the scan makes of the same objects.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import orjson

from dabbawala.api import admissionregistration_v1 as admission_kinds
from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.guard import checks
from dabbawala.guard.checks import Check
from dabbawala.guard.live import discovery
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request

Operation = Literal["CREATE", "UPDATE", "DELETE"]
MARK = "guard.dabbawala.dev/parity"
"""The label that bindings of this test select by, so that they touch nobody else's objects."""
_OWN = "asked"
"""The value of that label on policies and bindings that are here for questions only."""

_LOOKS_MAX, _LOOK_SECONDS = 600, 0.05
"""How often and after what time it is looked whether something is gone."""
_TRIES_MAX = 5
"""How often an object that somebody else writes too is written again."""
_POLICY, _BINDING = admission_kinds.VALIDATING_ADMISSION_POLICY, admission_kinds.VALIDATING_ADMISSION_POLICY_BINDING


class InTheWay(Exception):
    """Something on the server is in the way of the questions; the message names it and what to do."""


class Question(NamedTuple):
    """One request to be judged. `old` is the object as it is before an update or a deletion."""

    operation: Operation
    object: Object
    old: Object | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says of a question. `allowed` is None where the question could not be put: the server refuses the
    request for another reason, which is the `message` then."""

    check: str
    operation: Operation
    subject: str
    digest: str
    allowed: bool | None
    message: str = ""

    @property
    def question(self) -> tuple[str, str, str]:
        return self.check, self.operation, self.digest


def dump(answers: Iterable[Answer]) -> bytes:
    return b"".join(orjson.dumps(asdict(answer)) + b"\n" for answer in answers)


def load(data: bytes) -> list[Answer]:
    """Raises ValueError for a line that is no answer."""
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            found.append(Answer(**orjson.loads(line)))
        except (TypeError, orjson.JSONDecodeError) as wrong:
            raise ValueError(f"line {number} is no answer: {wrong}") from wrong
    return found


def disagreements(ours: Iterable[Answer], theirs: Iterable[Answer]) -> Iterator[tuple[Answer, Answer]]:
    """Pairs that say different things of the same question; what a server could not be asked is left out."""
    said = {answer.question: answer for answer in theirs}
    for answer in ours:
        other = said.get(answer.question)
        if other is None or other.allowed is None or answer.allowed is None:
            continue
        if answer.allowed != other.allowed or answer.message != other.message:
            yield answer, other


def _answer(check: Check, asked: Question, allowed: bool | None, message: str) -> Answer:
    obj = asked.object
    subject = " ".join((obj["kind"], "/".join(filter(None, (meta.namespace(obj), meta.name(obj))))))
    digest = hashlib.sha256(orjson.dumps([asked.object, asked.old], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Answer(check.id, asked.operation, subject, digest, allowed, message)


def offline(check: Check, asked: Question, request: Request) -> Answer:
    """What the scan says. `request` is the question as the API server would hand it to policies."""
    policy = CompiledPolicy.of(checks.parameter_free(check.document))
    seen = policy.match(request)
    denials = policy.evaluate(seen).denials if seen is not None else ()
    return _answer(check, asked, not denials, denials[0].message if denials else "")


class Server:
    """An API server that is asked. `settled` waits until what was just installed or deleted counts: real servers take a
    second or two to notice a binding."""

    def __init__(self, client: Client, settled: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._settled = settled
        self._served: dict[str, tuple[Kind, ...]] = {}

    async def answers(self, check: Check, questions: Iterable[Question]) -> AsyncIterator[Answer]:
        """What the server says with this policy in force. What was made for the questions is deleted at the end, but
        for namespaces that were missing. Raises InTheWay where the server has such a policy already, or keeps what is
        to go."""
        asked = list(questions)
        for version in {question.object["apiVersion"] for question in asked} - self._served.keys():
            self._served[version] = await discovery.kinds_of(self._client, version)
        await _install(self._client, _POLICY, checks.parameter_free(check.document))
        try:
            async with self._bound(check):
                for question in (item for item in asked if item.old is None):
                    yield await self._ask(check, question)
            for question in (item for item in asked if item.old is not None):
                yield await self._ask_of_stored(check, question)
        finally:
            await _drop(self._client, _POLICY, check.name)

    @asynccontextmanager
    async def _bound(self, check: Check) -> AsyncIterator[None]:
        await _install(self._client, _BINDING, _binding(check))
        try:
            await self._settled()
            yield
        finally:
            await _drop(self._client, _BINDING, check.name)
            await self._settled()

    async def _ask_of_stored(self, check: Check, asked: Question) -> Answer:
        """The object as it was is stored before the policy is in force, which would refuse it."""
        old, kind = asked.old, self._kind_of(asked.object)
        assert old is not None
        if kind is None:
            return await self._ask(check, asked)
        try:
            await self._home(kind, old)
            stored = await self._client.create(kind, _marked(old, check), _namespace(kind, old))
        except status.StatusError as refused:
            return _answer(check, asked, None, str(refused))
        try:
            async with self._bound(check):
                return await self._ask(check, asked, stored)
        finally:
            await _drop(self._client, kind, meta.name(old), _namespace(kind, old))

    async def _ask(self, check: Check, asked: Question, stored: Object | None = None) -> Answer:
        """What is `stored` is written as the server gave it back, where the question is an update that changes nothing:
        what servers fill in may not be taken away, nor written without its resourceVersion."""
        kind = self._kind_of(asked.object)
        if kind is None:
            what = f"{asked.object['kind']} of {asked.object['apiVersion']}"
            return _answer(check, asked, None, f"the server does not serve {what}: install its definition")
        try:
            await self._home(kind, asked.object)
            await self._put(kind, asked, check, stored)
        except status.StatusError as refused:
            return _refusal(check, asked, refused)
        return _answer(check, asked, True, "")

    async def _put(self, kind: Kind, asked: Question, check: Check, stored: Object | None) -> None:
        """The question, again where a controller has written meanwhile. Raises StatusError."""
        for _ in range(_TRIES_MAX):
            with suppress(status.Conflict):
                await _request(self._client, kind, asked.operation, _written(asked, check, stored))
                return
            stored = await self._client.get(kind, meta.name(asked.object), _namespace(kind, asked.object))
        await _request(self._client, kind, asked.operation, _written(asked, check, stored))

    def _kind_of(self, obj: Object) -> Kind | None:
        return next((kind for kind in self._served[obj["apiVersion"]] if kind.kind == obj["kind"]), None)

    async def _home(self, kind: Kind, obj: Object) -> None:
        if kind.namespaced:
            await _make(self._client, core_v1.NAMESPACE, {"metadata": {"name": _namespace(kind, obj)}})


def _binding(check: Check) -> Object:
    selector = {"matchLabels": {MARK: check.id}}
    spec = {
        "policyName": check.name,
        "validationActions": ["Deny"],
        "matchResources": {"objectSelector": selector},
    }
    return {
        "apiVersion": _BINDING.api_version,
        "kind": _BINDING.kind,
        "metadata": {"name": check.name},
        "spec": spec,
    }


def _namespace(kind: Kind, obj: Object) -> str:
    return (meta.namespace(obj) or "default") if kind.namespaced else ""


def _marked(obj: Object, check: Check) -> Object:
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {**metadata, "labels": {**meta.labels(obj), MARK: check.id}}}


def _written(asked: Question, check: Check, stored: Object | None) -> Object:
    if stored is None:
        return _marked(asked.object, check)
    if asked.object == asked.old:
        return stored
    obj = _marked(asked.object, check)
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": meta.resource_version(stored)}}


async def _request(client: Client, kind: Kind, operation: Operation, obj: Object) -> None:
    """One dry run."""
    namespace, name = _namespace(kind, obj), meta.name(obj)
    method, path = {
        "CREATE": ("POST", kind.path(namespace)),
        "UPDATE": ("PUT", kind.path(namespace, name)),
        "DELETE": ("DELETE", kind.path(namespace, name)),
    }[operation]
    body = b"" if operation == "DELETE" else orjson.dumps(obj)
    headers = {"accept": "application/json", "content-type": "application/json"}
    response = await client.raw(method, path, query=[("dryRun", "All")], body=body, headers=headers)
    await response.read()


def _refusal(check: Check, asked: Question, refused: status.StatusError) -> Answer:
    """The policy's own message, or why the question could not be put."""
    said = f"ValidatingAdmissionPolicy '{check.name}' with binding '{check.name}' denied request: "
    _, found, message = str(refused).partition(said)
    return _answer(check, asked, False, message) if found else _answer(check, asked, None, str(refused))


async def _install(client: Client, kind: Kind, obj: Object) -> None:
    """What an earlier run has left is replaced. Raises InTheWay for what somebody else has installed."""
    name, metadata = meta.name(obj), obj["metadata"]
    ours = {**obj, "metadata": {**metadata, "labels": {**meta.labels(obj), MARK: _OWN}}}
    try:
        await client.create(kind, ours)
    except status.AlreadyExists as there:
        if meta.labels(await client.get(kind, name)).get(MARK) != _OWN:
            raise InTheWay(
                f"the server has a {kind.kind} {name} already, which would be deleted at the end: ask another cluster, "
                "or take back what is installed with `dabba guard enforce --remove`"
            ) from there
        await _drop(client, kind, name)
        await client.create(kind, ours)


async def _make(client: Client, kind: Kind, obj: Object) -> None:
    try:
        await client.create(kind, obj)
    except status.AlreadyExists:
        return


async def _drop(client: Client, kind: Kind, name: str, namespace: str = "") -> None:
    """Until it is gone, whoever was to do something first: nobody knows of an object that is here for a question.
    Raises InTheWay for what stays."""
    with suppress(status.NotFound):
        left = await client.delete(kind, name, namespace, grace_period_seconds=0)
        if meta.metadata(left).get("finalizers"):
            await client.patch(kind, name, namespace, {"metadata": {"finalizers": None}})
        for _ in range(_LOOKS_MAX):
            if left.get("kind") != kind.kind:
                return
            left = await client.get(kind, name, namespace)
            await asyncio.sleep(_LOOK_SECONDS)
        raise InTheWay(
            f"{kind.kind} {name} was deleted and is still there: its metadata.finalizers, or spec.finalizers of a "
            "Namespace, name who has to let it go"
        )
