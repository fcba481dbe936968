"""What a policy says to a write, and which writes it is asked about."""

from __future__ import annotations

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import review
from dabbawala.policy.pod_security.levels import (
    BASELINE,
    LATEST,
    PRIVILEGED,
    RESTRICTED,
    LevelVersion,
    Policy,
    Version,
)
from dabbawala.policy.pod_security.review import Census, Review

HOST_PID = 'PodSecurity "baseline:latest": host namespaces (hostPID=true)'
ASKED = LevelVersion(BASELINE, LATEST)
OPEN = LevelVersion(PRIVILEGED, LATEST)
SPEC = {"hostPID": True}


def pod(*, name: str = "web", **groups: list[str]) -> Object:
    """A pod with these images in these groups of containers, each named by its place."""
    spec = {
        group: [{"name": f"{group}-{place}", "image": image} for place, image in enumerate(images)]
        for group, images in groups.items()
    }
    return {"metadata": {"name": name}, "spec": spec}


def test_each_mode_says_its_own_sentence() -> None:
    assert review.review(Policy(ASKED, OPEN, OPEN), {}, SPEC, enforced=True) == Review(denial=f"violates {HOST_PID}")
    assert review.review(Policy(OPEN, ASKED, OPEN), {}, SPEC, enforced=True) == Review(
        audit=f"would violate {HOST_PID}"
    )
    assert review.review(Policy(OPEN, OPEN, ASKED), {}, SPEC, enforced=True) == Review(
        warning=f"would violate {HOST_PID}"
    )
    assert review.review(Policy(ASKED, ASKED, ASKED), {}, {}, enforced=True) == Review()


def test_who_is_refused_is_not_warned_as_well() -> None:
    said = review.review(Policy(ASKED, ASKED, ASKED), {}, SPEC, enforced=True)
    assert said == Review(f"violates {HOST_PID}", f"would violate {HOST_PID}", "")


def test_what_makes_pods_is_warned_and_never_refused() -> None:
    said = review.review(Policy(ASKED, OPEN, ASKED), {}, SPEC, enforced=False)
    assert said == Review(warning=f"would violate {HOST_PID}")


@pytest.mark.parametrize(
    ("new", "old", "judged"),
    [
        (pod(containers=["a"]), pod(containers=["a"]), False),
        (pod(containers=["b"]), pod(containers=["a"]), True),
        (pod(containers=["a"], initContainers=["x"]), pod(containers=["a"], initContainers=["y"]), True),
        (pod(containers=["a", "a"]), pod(containers=["a"]), True),
        (pod(containers=["a"], ephemeralContainers=["sh"]), pod(containers=["a"]), True),
        (pod(ephemeralContainers=["sh"]), pod(ephemeralContainers=["sh"]), False),
        (pod(ephemeralContainers=["sh:2"]), pod(ephemeralContainers=["sh"]), True),
        (pod(containers=["a"]), pod(containers=["a"], ephemeralContainers=["sh"]), False),
    ],
)
def test_an_update_is_judged_when_images_or_containers_change(new: Object, old: Object, judged: bool) -> None:
    assert review.matters(new, old) is judged


@pytest.mark.parametrize(
    ("new", "old", "tighter"),
    [
        (OPEN, OPEN, False),
        (ASKED, OPEN, True),
        (OPEN, ASKED, False),
        (LevelVersion(RESTRICTED, LATEST), ASKED, True),
        (ASKED, LevelVersion(RESTRICTED, LATEST), False),
        (LevelVersion(BASELINE, Version(30)), ASKED, True),
        (LevelVersion(PRIVILEGED, Version(30)), ASKED, False),
    ],
)
def test_another_version_or_a_stricter_level_may_be_in_the_way_of_pods(
    new: LevelVersion, old: LevelVersion, tighter: bool
) -> None:
    assert review.tightens(Policy(enforce=new), Policy(enforce=old)) is tighter


def test_a_label_that_is_ignored_is_named_with_what_it_would_ask() -> None:
    policy = Policy(ASKED, LevelVersion(RESTRICTED, Version(30)), ASKED)
    labels = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/audit-version": "v1.30"}
    assert review.ignored("shop", policy, labels) == (
        'namespace "shop" is exempt from Pod Security, and the policy (enforce=baseline:latest, '
        "audit=restricted:v1.30) will be ignored"
    )


def test_one_pod_of_each_owner_is_checked_before_their_twins() -> None:
    owners = [("u1", "a"), ("u1", "b"), ("", "c"), ("u2", "d"), ("", "e"), ("u2", "f")]
    assert review.one_of_each_first(owners) == ["a", "c", "d", "e", "b", "f"]


def test_a_census_names_the_first_of_those_that_violate_the_same() -> None:
    census = Census("shop", ASKED)
    for name, spec in (("b", SPEC), ("a", SPEC), ("c", {"hostIPC": True, "volumes": [{"name": "v", "hostPath": {}}]})):
        census.add({"metadata": {"name": name}, "spec": spec})
    census.add(pod(name="fine"))
    assert census.warnings(4) == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
        "c: host namespaces, hostPath volumes",
    ]
    assert Census("shop", ASKED).warnings(0) == []
