"""The scan and the API server say the same of every case of every native policy: created, changed and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import orjson
import pytest

from dabbawala.api import admissionregistration_v1, kinds
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.guard import checks, documents, parity, requests
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.parity import Answer, Question
from dabbawala.policy.matching import Request
from tests.cluster.apiserver.guarded import guarded_server
from tests.guard import cases

NATIVE = [name for name, check in checks.shipped().items() if check.native]


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with guarded_server(VirtualClock()) as server:
        yield server


async def at_once() -> None:
    """Our server enforces what is stored from the next request on."""


def prepared(obj: Object) -> Request:
    (document,) = documents.read("case.yaml", orjson.dumps(obj)).documents
    found = Preparation().prepare(document)
    assert found.object is not None
    return requests.creating(found.object, found.resource)


def questions(check_id: str) -> Iterator[Question]:
    for case in cases.read(check_id):
        for obj in case.objects:
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


@pytest.mark.parametrize("check_id", NATIVE)
async def test_the_scan_says_what_admission_says(server: APIServer, check_id: str) -> None:
    asked = list(questions(check_id))
    ours = [said_offline(check_id, question) for question in asked]
    client = server.client()
    theirs = [answer async for answer in parity.Server(client, at_once).answers(checks.shipped()[check_id], asked)]
    assert not list(parity.disagreements(ours, theirs))
    if any(kinds.of(question.object["apiVersion"], question.object["kind"]) for question in asked):
        assert {answer.allowed for answer in theirs} >= {True, False}, "the server could not be asked"


async def test_a_policy_that_somebody_has_installed_is_left_alone_and_named(server: APIServer) -> None:
    check, client = checks.shipped()["WL-01"], server.client()
    await client.create(admissionregistration_v1.VALIDATING_ADMISSION_POLICY, check.document)
    with pytest.raises(parity.Taken, match=f"{check.name} already.*enforce --remove"):
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
