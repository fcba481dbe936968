"""Answers about an image: good, bad or unknown, each with its reason. Unknown is never good."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: str
    reason: str = ""

    def __bool__(self) -> bool:
        return self.verdict == GOOD


def good(reason: str = "") -> Answer:
    return Answer(GOOD, reason)


def bad(reason: str) -> Answer:
    return Answer(BAD, reason)


def unknown(reason: str) -> Answer:
    return Answer(UNKNOWN, reason)
