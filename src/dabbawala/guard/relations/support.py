"""Until when what a cluster runs on gets fixes: Kubernetes itself, the systems of its nodes and their runtimes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.images import support
from dabbawala.guard.images.answers import BAD, Answer, unknown
from dabbawala.guard.images.records import Distribution
from dabbawala.guard.world import TYPE, World

_KUBERNETES = "kubernetes"
_RELEASE = re.compile(r"v?([0-9]+\.[0-9]+)[0-9.]*(.*)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_SERVICE_PACK = re.compile(r" SP(?=[0-9])")
_LONGER = ("-eks-", "-gke.")
"""How builds of providers are called that get fixes longer than Kubernetes gives them, some of them for money."""
_SYSTEMS: tuple[tuple[str, str], ...] = (
    ("Ubuntu ", "ubuntu"), ("Debian GNU/Linux ", "debian"), ("Alpine Linux ", "alpine"), ("Amazon Linux ", "amazon"),
    ("CentOS Linux ", "centos"), ("Red Hat Enterprise Linux ", "redhat"), ("Rocky Linux ", "rocky"),
    ("AlmaLinux ", "alma"), ("Oracle Linux Server ", "oracle"), ("Fedora Linux ", "fedora"),
    ("openSUSE Leap ", "opensuse-leap"), ("SUSE Linux Enterprise Server ", "sles"),
)  # fmt: skip
"""How a node's `osImage` begins, and what our table calls the system."""
_RUNTIMES: Mapping[str, str] = {"containerd": "containerd", "cri-o": _KUBERNETES}
"""A node's runtime, and by whose releases it gets fixes: CRI-O follows those of Kubernetes."""


def supported(world: World, what: str, name: str) -> Object:
    """Whether it still gets fixes, as a `verdict` (good, bad, unknown) and a `reason`: `kubernetes` of the version
    `v1.34.2`, the `system` that a node calls `Ubuntu 24.04.1 LTS`, the `runtime` that it calls `containerd://1.7.2`."""
    answer = _ANSWERS[what](world, name)
    return {"verdict": answer.verdict, "reason": answer.reason}


def _kubernetes(world: World, version: str) -> Answer:
    found = _RELEASE.fullmatch(version)
    if found is None:
        return unknown(f"{version or 'no version'} does not say which release of Kubernetes it is")
    answer = support.answer(Distribution(_KUBERNETES, found[1]), world.now)
    if answer.verdict == BAD and found[2].startswith(_LONGER):
        return unknown(f"{answer.reason} but from its provider, if at all")
    return answer


def _system(world: World, image: str) -> Answer:
    family = next((family for start, family in _SYSTEMS if image.startswith(start)), "")
    number = _NUMBER.search(_SERVICE_PACK.sub(".", image))
    if not family or number is None or "CoreOS" in image:
        return unknown(f"until when {image or 'the system of the node'} is supported is not in the table")
    return support.answer(Distribution(family, number[0]), world.now)


def _runtime(world: World, runtime: str) -> Answer:
    name, _, version = runtime.partition("://")
    number = _NUMBER.match(version.removeprefix("v"))
    if name not in _RUNTIMES or number is None:
        return unknown(f"until when {runtime or 'the runtime of the node'} is supported is not in the table")
    found = support.answer(Distribution(_RUNTIMES[name], number[0]), world.now)
    return Answer(found.verdict, found.reason.replace(_RUNTIMES[name], name, 1))


_ANSWERS: Mapping[str, Callable[[World, str], Answer]] = {
    "kubernetes": _kubernetes, "system": _system, "runtime": _runtime,
}  # fmt: skip

FUNCTIONS = (Function("supported", (TYPE, "string", "string"), "dyn", supported, receiver=True),)
