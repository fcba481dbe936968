"""Which of seven attacks this machine, these rights and these rules see, by which source, and why not the others.

The sources are opened to find out, not guessed from versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dabbawala.guard.runtime import events
from dabbawala.guard.runtime.rules import Rule
from dabbawala.guard.runtime.sieve import Sieve
from dabbawala.guard.runtime.sources import connector, files, polling, sockets
from dabbawala.guard.runtime.sources.connector import ProcessConnector
from dabbawala.guard.runtime.sources.files import FileWatch
from dabbawala.guard.runtime.sources.source import Unavailable

YES, PARTLY, NO = "yes", "partly", "no"


@dataclass(frozen=True, slots=True)
class Sources:
    """What was found. `absent` has the reasons; `whole` says that files are seen everywhere in a container, with their
    process."""

    absent: Mapping[str, str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Attack:
    """`ids` are the checks whose rules see it, `types` the events they need."""

    name: str
    ids: tuple[str, ...]
    types: tuple[str, ...]


ATTACKS = (
    Attack("a miner's name or pool on a command line", ("RUN-01",), (events.EXECVE,)),
    Attack("a dropped program is executed", ("RUN-05",), (events.EXECVE,)),
    Attack("a program is executed from memory", ("RUN-05",), (events.EXECVE,)),
    Attack("a sensitive file is read", ("RUN-02",), (events.OPEN,)),
    Attack("an odd connection to the outside", ("RUN-03",), (events.CONNECT,)),
    Attack("an interactive shell", ("RUN-04",), (events.EXECVE,)),
    Attack("a log or history is cleared", ("RUN-07",), (events.OPEN, events.UNLINK)),
)


@dataclass(frozen=True, slots=True)
class Covered:
    attack: Attack
    verdict: str
    source: str
    limits: str


def probe() -> Sources:
    """Open each source and close it again."""
    absent: dict[str, str] = {}
    whole = False
    try:
        ProcessConnector().close()
    except Unavailable as missing:
        absent[missing.name] = missing.why
    try:
        watch = FileWatch((), Sieve(()))
        whole = watch.whole
        watch.close()
    except Unavailable as missing:
        absent[missing.name] = missing.why
    return Sources(absent, whole)


def table(sources: Sources, rules: Iterable[Rule]) -> list[Covered]:
    """A line for each attack. Pure."""
    active = [rule for rule in rules if rule.active]
    return [_covered(attack, sources, active) for attack in ATTACKS]


def _covered(attack: Attack, sources: Sources, active: list[Rule]) -> Covered:
    if not any(set(attack.ids) & set(rule.tags) and set(attack.types) & rule.types for rule in active):
        wanted = " or ".join(attack.ids)
        return Covered(attack, NO, "", f"no active rule is tagged {wanted}; use the shipped rules, or tag yours")
    if events.CONNECT in attack.types:
        limits = "a connection that is open less than 5 s is seen at its end; its process is then the likely one"
        return Covered(attack, YES, sockets.NAME, f"{limits}; UDP that comes and goes between two looks is missed")
    if events.EXECVE in attack.types:
        return _of_programs(attack, sources)
    return _of_files(attack, sources)


def _of_programs(attack: Attack, sources: Sources) -> Covered:
    missing = sources.absent.get(connector.NAME)
    if missing is None:
        limits = "a program that ends within a millisecond may be gone before it is read (counted)"
        return Covered(attack, YES, connector.NAME, limits)
    limits = f"a program that ends within {polling.EVERY_SECONDS:g} s may be missed: {connector.NAME}: {missing}"
    return Covered(attack, PARTLY, polling.NAME, limits)


def _of_files(attack: Attack, sources: Sources) -> Covered:
    missing = sources.absent.get(files.NAME)
    if missing is not None:
        return Covered(attack, NO, "", f"{files.NAME}: {missing}")
    blind = "the first milliseconds of a container are not seen"
    if sources.whole:
        return Covered(attack, YES, f"{files.NAME} (mounts)", blind)
    limits = "only in directories that rules name, homes, logs and volumes; the process is the likely one"
    return Covered(attack, YES, f"{files.NAME} (directories)", f"{limits}; {blind}; as root it is exact")
