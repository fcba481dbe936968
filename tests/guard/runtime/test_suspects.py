"""Who did it, when the kernel does not say: never a bystander."""

from __future__ import annotations

import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.guard.runtime.containers import Living
from dabbawala.guard.runtime.events import Container, Process
from dabbawala.guard.runtime.processes import Processes
from dabbawala.guard.runtime.suspects import CONNECTION_SECONDS, FILE_SECONDS, Suspects
from tests.guard.runtime import given

KEPT = "/etc/secrets/..2026_01_01_00_00_00.1/id_rsa"
LIVING = Living(Container("k"), 100, 99, 0.0, "net:[1]")


class Known(Processes):
    """The container's own program, and nothing else."""

    def __init__(self, own: Process) -> None:
        super().__init__()
        self._own = own

    def get(self, pid: int) -> Process | None:
        return self._own if pid == self._own.pid else None


def suspects(*started: Process, own: Process | None = None, ago: float = 0.1) -> Suspects:
    clock = VirtualClock()
    made = Suspects(Known(own or given.server()), clock)
    for process in started:
        made.started(LIVING, process)
    clock.advance(ago)
    return made


CAT, PROBE = given.entered("cat", "/etc/secrets/id_rsa"), given.entered("sh", "-c", "test -d /tmp")
SHELL = given.server(name="sh", argv=("sh", "-c", "sleep infinity"))


@pytest.mark.parametrize(
    ("started", "path", "who"),
    [
        ((CAT,), KEPT, "cat"),
        ((CAT, PROBE), KEPT, "cat"),
        ((PROBE,), KEPT, None),
        ((), KEPT, None),
        ((PROBE,), "/var/log/a.log", "sh"),
        ((), "/var/log/a.log", "python3"),
    ],
)
def test_a_file_that_the_kubelet_looks_at_too_takes_a_program_that_has_to_do_with_it(
    started: tuple[Process, ...], path: str, who: str | None
) -> None:
    found = suspects(*started).of_file(LIVING, path)
    assert (found.name if found else None) == who


def test_a_container_whose_own_program_is_a_shell_is_no_suspect_either() -> None:
    assert suspects(own=SHELL).of_file(LIVING, KEPT) is None


def test_what_started_too_long_ago_did_not_do_it() -> None:
    assert suspects(CAT, ago=FILE_SECONDS * 2).of_file(LIVING, KEPT) is None
    late = suspects(CAT, ago=CONNECTION_SECONDS * 2)
    connected = late.of_connection(LIVING)
    assert connected is not None
    assert (connected.name, late.last(LIVING)) == ("python3", 0)


def test_a_container_that_has_ended_is_forgotten() -> None:
    made = suspects(CAT)
    made.forget(LIVING)
    assert made.last(LIVING) == 0
