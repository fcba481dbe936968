"""Warnings reach every client, whatever is in them."""

from __future__ import annotations

from dabbawala.cluster.apiserver import warning_header
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, call, config_map


def test_each_text_is_told_once_and_in_order() -> None:
    assert warning_header.of(["b", "a", "b", ""]) == '299 - "b", 299 - "a"'
    assert warning_header.of([]) == ""


def test_quotes_and_backslashes_are_escaped() -> None:
    assert warning_header.of(['field "a\\b"']) == '299 - "field \\"a\\\\b\\""'


def test_texts_are_whole_while_all_together_are_short() -> None:
    long = "x" * warning_header.MAX_LETTERS
    assert warning_header.of([long]) == f'299 - "{long}"'


def test_texts_are_cut_and_the_last_left_out_when_there_is_too_much() -> None:
    header = warning_header.of([f"{number:03}" + "x" * 1000 for number in range(100)])
    told = header.split(", ")
    assert len(told) == 16
    assert all(len(text) == len('299 - ""') + warning_header.MAX_LETTERS_EACH for text in told)
    assert told[0].startswith('299 - "000x')


async def test_what_a_client_sends_cannot_end_the_header(server: APIServer) -> None:
    body = {**config_map("a"), "colour\r\nset-cookie: a=b": "red"}
    answer = await call(server, "POST", f"{CONFIG_MAPS}?fieldValidation=Warn", body)
    assert answer.status == 201
    assert answer.headers["warning"] == '299 - "unknown field \\"colour  set-cookie: a=b\\""'
