"""Which policy the labels of a namespace ask for."""

from __future__ import annotations

import pytest

from dabbawala.policy.pod_security.levels import (
    BASELINE,
    LATEST,
    PRIVILEGED,
    RESTRICTED,
    LevelVersion,
    Policy,
    Version,
    policy_of,
)

P = "pod-security.kubernetes.io/"


def shown(policy: Policy) -> tuple[str, str, str]:
    return str(policy.enforce), str(policy.audit), str(policy.warn)


def test_a_namespace_without_labels_gets_the_defaults() -> None:
    defaults = Policy(warn=LevelVersion(BASELINE, Version(30)))
    assert policy_of({"kubernetes.io/metadata.name": "shop"}, defaults) == (defaults, [])
    assert policy_of({})[0].asks_nothing


def test_each_mode_has_its_level_and_its_version() -> None:
    labels = {
        f"{P}enforce": "baseline", f"{P}enforce-version": "v1.30", f"{P}audit": "restricted", f"{P}warn": "restricted",
        f"{P}warn-version": "latest",
    }  # fmt: skip
    policy, errors = policy_of(labels)
    assert shown(policy) == ("baseline:v1.30", "restricted:latest", "restricted:latest")
    assert errors == []


def test_who_enforces_warns_unless_told_otherwise() -> None:
    assert shown(policy_of({f"{P}enforce": "restricted", f"{P}enforce-version": "v1.30"})[0])[2] == "restricted:v1.30"
    assert shown(policy_of({f"{P}enforce": "restricted", f"{P}warn-version": "v1.20"})[0])[2] == "restricted:v1.20"
    assert shown(policy_of({f"{P}enforce": "restricted", f"{P}warn": "privileged"})[0])[2] == "privileged:latest"
    stricter = Policy(warn=LevelVersion(RESTRICTED, LATEST))
    assert shown(policy_of({f"{P}enforce": "baseline"}, stricter)[0])[2] == "restricted:latest"


def test_a_wrong_label_closes_enforcement_and_opens_the_rest() -> None:
    labels = {
        f"{P}enforce": "Baseline", f"{P}enforce-version": "1.30", f"{P}audit": "strict", f"{P}audit-version": "v2.0",
        f"{P}warn": "", f"{P}warn-version": "v1.030",
    }  # fmt: skip
    policy, errors = policy_of(labels)
    assert shown(policy) == ("restricted:latest", "privileged:latest", "privileged:latest")
    levels, versions = "must be one of privileged, baseline, restricted", 'must be "latest" or "v1.x"'
    assert [(error.field, error.message) for error in errors] == [
        (f"metadata.labels[{P}enforce]", f'Invalid value: "Baseline": {levels}'),
        (f"metadata.labels[{P}enforce-version]", f'Invalid value: "1.30": {versions}'),
        (f"metadata.labels[{P}audit]", f'Invalid value: "strict": {levels}'),
        (f"metadata.labels[{P}audit-version]", f'Invalid value: "v2.0": {versions}'),
        (f"metadata.labels[{P}warn]", f'Invalid value: "": {levels}'),
        (f"metadata.labels[{P}warn-version]", f'Invalid value: "v1.030": {versions}'),
    ]


def test_a_level_that_cannot_be_read_does_not_become_a_warning() -> None:
    assert shown(policy_of({f"{P}enforce": "nonsense"})[0]) == (
        "restricted:latest", "privileged:latest", "privileged:latest",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["v1.0", "v1.9", "v1.37", "v1.100", "latest"])
def test_a_version_is_shown_as_it_was_written(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1.30", "v1", "v1.", "v1.01", "v1.-1", "v2.0", "v1.30.1", "LATEST", "v1.9\n", "v1.²"]
)
def test_anything_else_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match=r'must be "latest" or "v1\.x"'):
        Version.parse(text)


def test_latest_is_newer_than_every_version() -> None:
    assert Version(9) < Version(10) < Version(10**8) < LATEST


def test_privileged_means_the_same_at_every_version() -> None:
    old, new = LevelVersion(PRIVILEGED, Version(20)), LevelVersion(PRIVILEGED, LATEST)
    assert old.means(new)
    assert old != new
    assert not LevelVersion(BASELINE, Version(20)).means(LevelVersion(BASELINE, LATEST))
    assert Policy(old, old, old).means(Policy())
    asked = LevelVersion(BASELINE, LATEST)
    for policy in (Policy(enforce=asked), Policy(audit=asked), Policy(warn=asked)):
        assert not policy.means(Policy())
        assert not policy.asks_nothing
