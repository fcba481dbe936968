"""What is wrong with how an image is configured, whatever pods do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dabbawala.guard.images.records import Config, Misconfiguration

_SECRET = re.compile(r"(?i)(pass(word|wd)?|secret|token|api_?key|private_?key|credential)s?$")
_SSH, _PRIVILEGED_BELOW = 22, 1024
_SHELL = re.compile(r"(curl|wget)\b.*\|\s*(ba)?sh")


def issues(config: Config, found: tuple[Misconfiguration, ...] = ()) -> list[str]:
    """Sentences: user, ports, secrets in the environment, entrypoint, and what a scanner has found."""
    return [*_own(config), *(f"{one.id}: {one.title}" for one in sorted(found, key=lambda one: one.id))]


def _own(config: Config) -> Iterator[str]:
    if config.root:
        yield "it starts as root: set USER to a number above 0"
    for port in config.ports:
        number = int(port.partition("/")[0]) if port.partition("/")[0].isdigit() else 0
        if number == _SSH:
            yield "it exposes SSH (port 22): remove the server; kubectl exec needs none"
        elif 0 < number < _PRIVILEGED_BELOW:
            yield f"it exposes port {number}, which takes a privilege to listen on: use one from 1024 on"
    for entry in config.environment:
        name, _, value = entry.partition("=")
        if value and _SECRET.search(name):
            yield f"its environment has a value for {name}, which everybody who pulls it can read: give it at run time"
    start = " ".join((*config.entrypoint, *config.command))
    if not start:
        yield "it has neither entrypoint nor command: what it runs is left to each pod"
    elif _SHELL.search(start):
        yield "its entrypoint runs what it downloads: put it into the image"
