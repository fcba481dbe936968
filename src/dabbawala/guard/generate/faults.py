"""What stops a generation: an input that cannot be read as what it should be. Half an answer is none, because what a
generated policy leaves out, it forbids."""

from __future__ import annotations

from dabbawala.guard.findings import Place


class BadInput(Exception):
    """The message says where, what is wrong, and what to do."""

    def __init__(self, place: Place, message: str, remedy: str) -> None:
        super().__init__(f"{place}: {message}. {remedy}")
        self.place = place


def at_line(file: str, line: int, message: str, remedy: str) -> BadInput:
    return BadInput(Place(file, line, 1), message, remedy)
