"""What all sources have in common: that one may not be there, and why."""

from __future__ import annotations


class Unavailable(Exception):
    """The kernel, or our rights, do not give this source; the message says which and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why
