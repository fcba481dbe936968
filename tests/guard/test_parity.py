"""The scan and the API server say the same of every case of every native policy: created, changed and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import orjson
import pytest

from dabbawala.api import admissionregistration_v1, kinds
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.controllers.namespace.controller import NamespaceController
from dabbawala.guard import checks, documents, parity, requests
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.parity import Answer, Question
from dabbawala.guard.resources import Resource, Resources
from dabbawala.policy.matching import Request
from dabbawala.reconcile.runtime import Runtime
from tests.cluster.apiserver.guarded import DEADLINE_SECONDS, define, extensible_server
from tests.guard import cases

NATIVE = [name for name, check in checks.shipped().items() if check.native]
PRESENT: tuple[Object, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cases"}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "cases"}},
)


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    """With what the pods of the cases name, and somebody who lets go of namespaces."""
    clock = VirtualClock()
    async with extensible_server(clock) as server:
        client = server.client()
        for obj in PRESENT:
            kind = kinds.of(obj["apiVersion"], obj["kind"])
            assert kind is not None
            await client.create(kind, obj)
        runtime = Runtime(client, clock, (NamespaceController(client),))
        task = asyncio.create_task(runtime.run())
        await asyncio.wait_for(runtime.ready.wait(), DEADLINE_SECONDS)
        yield server
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def at_once() -> None:
    """Our server enforces what is stored from the next request on."""


def prepared(obj: Object) -> Request:
    (document,) = documents.read("case.yaml", orjson.dumps(obj)).documents
    found = Preparation().prepare(document)
    assert found.object is not None
    return requests.creating(found.object, found.resource)


def questions(check_id: str) -> Iterator[Question]:
    for case in cases.read(check_id):
        for raw in case.objects:
            defaulted = prepared(raw).object
            assert defaulted is not None
            for obj in (raw,) if raw == defaulted else (raw, defaulted):
                yield Question("CREATE", obj)
                yield Question("UPDATE", obj, obj)
                yield Question("DELETE", obj, obj)


def said_offline(check_id: str, asked: Question) -> Answer:
    check = checks.shipped()[check_id]
    request = prepared(asked.object)
    if asked.old is not None:
        gone = asked.operation == "DELETE"
        request = replace(
            request, operation=asked.operation, old=request.object, object=None if gone else request.object, memo={}
        )
    return parity.offline(check, asked, request)


async def serve(server: APIServer, objects: Iterable[Object]) -> None:
    """Let the server have definitions of kinds that are not its own, as where their operators are installed."""
    known = Resources()
    missing: dict[str, dict[str, Resource]] = {}
    for obj in objects:
        if kinds.of(obj["apiVersion"], obj["kind"]) is None:
            found = known.of(obj["apiVersion"], obj["kind"])
            missing.setdefault(f"{found.plural}.{found.group}", {})[found.version] = found
    for name, versions in missing.items():
        await define(server, definition(name, list(versions.values())))


def definition(name: str, versions: Sequence[Resource]) -> Object:
    """Of a kind whose objects may have any field."""
    first = versions[0]
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {
            "group": first.group,
            "scope": "Namespaced" if first.namespaced else "Cluster",
            "names": {"plural": first.plural, "kind": first.kind},
            "versions": [
                {"name": each.version, "served": True, "storage": each is first, "schema": anything}
                for each in versions
            ],
        },
    }


@pytest.mark.parametrize("check_id", NATIVE)
async def test_the_scan_says_what_admission_says(server: APIServer, check_id: str) -> None:
    asked = list(questions(check_id))
    await serve(server, (question.object for question in asked))
    ours = [said_offline(check_id, question) for question in asked]
    client = server.client()
    theirs = [answer async for answer in parity.Server(client, at_once).answers(checks.shipped()[check_id], asked)]
    assert not list(parity.disagreements(ours, theirs))
    told = {(answer.operation, answer.allowed) for answer in theirs if answer.allowed is not None}
    assert told == {(answer.operation, answer.allowed) for answer in ours}, "the server could not be asked"


async def test_a_policy_that_somebody_has_installed_is_left_alone_and_named(server: APIServer) -> None:
    check, client = checks.shipped()["WL-01"], server.client()
    await client.create(admissionregistration_v1.VALIDATING_ADMISSION_POLICY, check.document)
    with pytest.raises(parity.InTheWay, match=f"{check.name} already.*enforce --remove"):
        [answer async for answer in parity.Server(client, at_once).answers(check, questions("WL-01"))]
    assert await client.get(admissionregistration_v1.VALIDATING_ADMISSION_POLICY, check.name)


async def test_what_an_earlier_run_has_left_is_in_nobodys_way(server: APIServer) -> None:
    check, client = checks.shipped()["WL-01"], server.client()
    left = check.document | {"metadata": check.document["metadata"] | {"labels": {parity.MARK: "asked"}}}
    await client.create(admissionregistration_v1.VALIDATING_ADMISSION_POLICY, left)
    assert [answer async for answer in parity.Server(client, at_once).answers(check, questions("WL-01"))]
    with pytest.raises(status.NotFound):
        await client.get(admissionregistration_v1.VALIDATING_ADMISSION_POLICY, check.name)


def test_what_a_server_said_is_read_back_as_it_was_written() -> None:
    answers = [
        Answer("WL-01", "CREATE", "Pod a/b", "00", False, "no"),
        Answer("WL-01", "DELETE", "Pod a/b", "00", None, "gone"),
    ]
    assert parity.load(parity.dump(answers)) == answers
    with pytest.raises(ValueError, match="line 1 is no answer"):
        parity.load(b"{}\n")


def test_a_disagreement_is_a_pair_of_answers_to_one_question() -> None:
    ours = Answer("WL-01", "CREATE", "Pod a/b", "00", False, "no")
    theirs = replace(ours, allowed=True, message="")
    assert list(parity.disagreements([ours], [theirs])) == [(ours, theirs)]
    assert not list(parity.disagreements([ours], [replace(theirs, allowed=None)]))
    assert not list(parity.disagreements([ours], [replace(theirs, digest="11")]))
