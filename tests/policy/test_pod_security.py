"""What Pod Security says, word for word, and what it must never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import catalogue, evaluation, pods, wording
from dabbawala.policy.pod_security.catalogue import CHECKS, NEWEST
from dabbawala.policy.pod_security.levels import BASELINE, LATEST, PRIVILEGED, RESTRICTED, Version
from tests.policy.pod_security_fixtures import GENERATORS, changed, least_pod

VIOLATION = tuple[str, str, str]


def said(
    check_id: str, spec: Object, *, minor: int = 37, notes: dict[str, str] | None = None
) -> tuple[str, str] | None:
    """Reason and detail of one check."""
    check = next(check for check in CHECKS if check.id == check_id)
    form = check.at(Version(minor))
    assert form is not None
    return form({"annotations": notes} if notes else {}, spec)


def containers(**contexts: Any) -> list[Object]:
    """By name; a context of None means none."""
    return [
        {"name": name, **({} if context is None else {"securityContext": context})}
        for name, context in contexts.items()
    ]


PROFILE = "container.apparmor.security.beta.kubernetes.io/"
UNCONFINED = {"type": "Unconfined"}
CONFINED = {"type": "RuntimeDefault"}
CAPABLE = containers(
    a={"capabilities": {"add": ["FOO", "BAR"]}},
    b={"capabilities": {"add": ["BAR", "BAZ"]}},
    c={"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"], "drop": ["ALL", "FOO"]}},
)
PROCS = containers(a=None, b={}, c={"procMount": "Default"}, d={"procMount": "Unmasked"}, e={"procMount": "other"})
CONTEXTS_OF_PROFILES = containers(
    a=None, b={}, c={"seccompProfile": UNCONFINED}, d={"seccompProfile": UNCONFINED}, e={"seccompProfile": CONFINED}
)

WORDS: list[tuple[str, Object, str, str]] = [
    (
        "hostNamespaces",
        {"hostNetwork": True, "hostPID": True, "hostIPC": True},
        "host namespaces",
        "hostNetwork=true, hostPID=true, hostIPC=true",
    ),
    (
        "privileged",
        {
            "containers": containers(
                a=None, b={}, c={"privileged": False}, d={"privileged": True}, e={"privileged": True}
            )
        },
        "privileged",
        'containers "d", "e" must not set securityContext.privileged=true',
    ),
    (
        "hostPathVolumes",
        {"volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {}}, {"name": "c", "emptyDir": {}}]},
        "hostPath volumes",
        'volumes "a", "b"',
    ),
    (
        "hostPorts",
        {"containers": [{"name": "a", "ports": [{"hostPort": 0}]}, {"name": "b", "ports": [{}, {"hostPort": 20}]}]},
        "hostPort",
        'container "b" uses hostPort 20',
    ),
    (
        "hostPorts",
        {
            "containers": [{"name": "b", "ports": [{"hostPort": 10}, {"hostPort": 20}]}],
            "initContainers": [{"name": "c", "ports": [{"hostPort": 10}, {"hostPort": 9}]}],
        },
        "hostPort",
        'containers "c", "b" use hostPorts 10, 20, 9',
    ),
    (
        "capabilities_baseline",
        {"containers": CAPABLE},
        "non-default capabilities",
        'containers "a", "b" must not include "BAR", "BAZ", "FOO" in securityContext.capabilities.add',
    ),
    (
        "capabilities_restricted",
        {"containers": CAPABLE},
        "unrestricted capabilities",
        'containers "a", "b" must set securityContext.capabilities.drop=["ALL"]; containers "a", "b", "c" must not '
        'include "BAR", "BAZ", "CHOWN", "FOO" in securityContext.capabilities.add',
    ),
    (
        "procMount",
        {"containers": PROCS},
        "procMount",
        'containers "d", "e" must not set securityContext.procMount to "Unmasked", "other"',
    ),
    (
        "procMount_restricted",
        {"containers": PROCS, "hostUsers": False},
        "procMount",
        'containers "d", "e" must not set securityContext.procMount to "Unmasked", "other"',
    ),
    (
        "windowsHostProcess",
        {
            "securityContext": {"windowsOptions": {"hostProcess": True}},
            "containers": containers(
                a=None, b={"windowsOptions": {"hostProcess": False}}, c={"windowsOptions": {"hostProcess": True}}
            ),
        },
        "hostProcess",
        'pod and container "c" must not set securityContext.windowsOptions.hostProcess=true',
    ),
    (
        "appArmorProfile",
        {
            "securityContext": {"appArmorProfile": CONFINED},
            "initContainers": containers(bar={"appArmorProfile": UNCONFINED}),
        },
        "forbidden AppArmor profile",
        'container "bar" must not set AppArmor profile type to "Unconfined"',
    ),
    (
        "seccompProfile_baseline",
        {"securityContext": {"seccompProfile": UNCONFINED}, "containers": CONTEXTS_OF_PROFILES},
        "seccompProfile",
        'pod and containers "c", "d" must not set securityContext.seccompProfile.type to "Unconfined"',
    ),
    (
        "seccompProfile_restricted",
        {"containers": containers(a=None, b={}, d={"seccompProfile": CONFINED})},
        "seccompProfile",
        'pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
    ),
    (
        "seccompProfile_restricted",
        {"securityContext": {"seccompProfile": CONFINED}, "containers": CONTEXTS_OF_PROFILES},
        "seccompProfile",
        'containers "c", "d" must not set securityContext.seccompProfile.type to "Unconfined"',
    ),
    (
        "seLinuxOptions",
        {
            "securityContext": {"seLinuxOptions": {"type": "foo", "user": "bar", "role": "baz"}},
            "containers": containers(
                d={"seLinuxOptions": {"type": "container_engine_t"}},
                e={"seLinuxOptions": {"type": "bar"}},
                f={"seLinuxOptions": {"user": "bar"}},
            ),
        },
        "seLinuxOptions",
        'pod and containers "e", "f" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be '
        "set; role may not be set",
    ),
    (
        "sysctls",
        {"securityContext": {"sysctls": [{"name": "a"}, {"name": "net.ipv4.tcp_rmem"}, {"name": "b"}]}},
        "forbidden sysctls",
        "a, b",
    ),
    (
        "hostProbesAndHostLifecycle",
        {
            "containers": [
                {"name": "b", "livenessProbe": {"httpGet": {"host": "bad.host"}}},
                {"name": "a", "lifecycle": {"preStop": {"tcpSocket": {"host": "::1"}}}},
            ]
        },
        "probe or lifecycle host",
        'containers "a", "b" use probe or lifecycle hosts "::1", "bad.host"',
    ),
    (
        "allowPrivilegeEscalation",
        {
            "containers": containers(
                a=None, b={}, c={"allowPrivilegeEscalation": True}, d={"allowPrivilegeEscalation": False}
            )
        },
        "allowPrivilegeEscalation != false",
        'containers "a", "b", "c" must set securityContext.allowPrivilegeEscalation=false',
    ),
    (
        "restrictedVolumes",
        {
            "volumes": [
                {"name": "a", "hostPath": {}},
                {"name": "b", "nfs": {}},
                {"name": "c"},
                {"name": "d", "image": {}},
            ]
        },
        "restricted volume types",
        'volumes "a", "b", "c" use restricted volume types "hostPath", "nfs", "unknown"',
    ),
    (
        "restrictedVolumes",
        {"volumes": [{"name": "a", "hostPath": {}}]},
        "restricted volume types",
        'volume "a" uses restricted volume type "hostPath"',
    ),
    (
        "runAsNonRoot",
        {"containers": containers(a=None, b={}, d={"runAsNonRoot": True})},
        "runAsNonRoot != true",
        'pod or containers "a", "b" must set securityContext.runAsNonRoot=true',
    ),
    (
        "runAsNonRoot",
        {"securityContext": {"runAsNonRoot": False}, "containers": containers(a={"runAsNonRoot": False})},
        "runAsNonRoot != true",
        'pod and container "a" must not set securityContext.runAsNonRoot=false',
    ),
    (
        "runAsUser",
        {"securityContext": {"runAsUser": 0}, "containers": containers(a=None, b={"runAsUser": 0}, c={"runAsUser": 1})},
        "runAsUser=0",
        'pod and container "b" must not set runAsUser=0',
    ),
]


@pytest.mark.parametrize(("check", "spec", "reason", "detail"), WORDS)
def test_a_violation_is_told_in_the_words_of_upstream(check: str, spec: Object, reason: str, detail: str) -> None:
    assert said(check, spec) == (reason, detail)


def test_annotations_are_told_with_their_values_as_go_quotes_them() -> None:
    notes = {PROFILE: "bogus", f"{PROFILE}b": "runtime/default", f"{PROFILE}e": 'un"confined\n', f"{PROFILE}d": ""}
    assert said("appArmorProfile", {}, notes=notes) == (
        "forbidden AppArmor profiles",
        f'annotations must not set AppArmor profile type to "{PROFILE}="bogus"", "{PROFILE}e="un\\"confined\\n""',
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("tab\there", r'"tab\there"'), ("back\\slash", r'"back\\slash"'), ("\x1f \x7f", r'"\x1f \x7f"'),
        ("दुकान", '"दुकान"'), ("\u200b", r'"\u200b"'), ("\U000e0001", r'"\U000e0001"'),
    ],
)  # fmt: skip
def test_a_value_is_quoted_as_go_does(value: str, shown: str) -> None:
    assert wording.literal(value) == shown


def test_every_source_of_a_volume_is_known_by_its_name() -> None:
    allowed = [
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
        "secret",
    ]  # fmt: skip
    others = [
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker",
        "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "iscsi", "nfs", "photonPersistentDisk",
        "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
    ]  # fmt: skip
    assert said("restrictedVolumes", {"volumes": [{"name": "v", source: {}} for source in allowed]}) is None
    for source in others:
        assert said("restrictedVolumes", {"volumes": [{"name": "v", source: {}}]}) == (
            "restricted volume types", f'volume "v" uses restricted volume type "{source}"',
        )  # fmt: skip


def test_a_pod_is_found_where_its_kind_keeps_it() -> None:
    metadata, spec = {"name": "web"}, {"hostPID": True}
    assert pods.pod_of("pods", {"metadata": metadata, "spec": spec}) == (metadata, spec)
    assert pods.pod_of("configmaps", {"data": {}}) is None
    assert pods.pod_of("replicationcontrollers", {"spec": {"replicas": 1}}) is None


def test_seccomp_was_an_annotation_before_1_19() -> None:
    pod, of = "seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"
    notes = {pod: "unconfined", f"{of}a": "unconfined", f"{of}b": "unknown", f"{of}missing": "unconfined"}
    spec = {"containers": containers(a={"seccompProfile": UNCONFINED}, b=None)}
    assert said("seccompProfile_baseline", spec, notes=notes, minor=18) == (
        "seccompProfile",
        f'forbidden annotations {of}a="unconfined", {of}b="unknown", {pod}="unconfined"',
    )
    fine = {pod: "docker/default", f"{of}a": "runtime/default", f"{of}b": "localhost/mine"}
    assert said("seccompProfile_baseline", spec, notes=fine, minor=18) is None


def test_a_pod_for_windows_need_not_say_what_windows_does_not_know() -> None:
    spec = {"os": {"name": "windows"}, "containers": containers(a=None)}
    for check in ("allowPrivilegeEscalation", "capabilities_restricted", "seccompProfile_restricted"):
        assert said(check, spec, minor=24) is not None
        assert said(check, spec, minor=25) is None
        assert said(check, {**spec, "os": {"name": "linux"}}) is not None


def test_root_in_a_user_namespace_is_nobody_from_1_35_on() -> None:
    root = {"hostUsers": False, "containers": containers(a={"runAsUser": 0, "procMount": "Unmasked"})}
    for check in ("runAsNonRoot", "runAsUser", "procMount"):
        assert said(check, root, minor=34) is not None
        assert said(check, root, minor=35) is None
        assert said(check, {**root, "hostUsers": True}, minor=35) is not None


def test_a_debugging_container_is_looked_at_like_the_others() -> None:
    spec = {"ephemeralContainers": containers(debug={"privileged": True})}
    assert said("privileged", spec) == ("privileged", 'container "debug" must not set securityContext.privileged=true')


def test_a_pod_is_told_everything_in_the_order_of_the_ids_first_baseline_then_restricted() -> None:
    spec = {"hostPID": True, "containers": [{"name": "a"}], "volumes": [{"name": "v", "hostPath": {}}]}
    found = evaluation.evaluate(RESTRICTED, LATEST, {}, spec)
    assert [item.check_id for item in found] == [
        "hostNamespaces", "allowPrivilegeEscalation", "capabilities_restricted", "restrictedVolumes", "runAsNonRoot",
        "seccompProfile_restricted",
    ]  # fmt: skip
    assert evaluation.details(found).startswith(
        'host namespaces (hostPID=true), allowPrivilegeEscalation != false (container "a" must set '
        "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities ("
    )
    assert evaluation.reasons(found[:2]) == "host namespaces, allowPrivilegeEscalation != false"


# The catalogue ---------------------------------------------------------------------------------------------------


def ids(level: str, version: Version) -> list[str]:
    return [check.id for check, _ in catalogue.checks_of(level, version)]


def test_a_version_asks_what_was_asked_then() -> None:
    counts = {
        minor: (len(ids(BASELINE, Version(minor))), len(ids(RESTRICTED, Version(minor)))) for minor in (0, 24, 37)
    }
    assert counts == {0: (11, 12), 24: (11, 14), 37: (12, 15)}
    assert "hostPathVolumes" not in ids(RESTRICTED, Version(0))
    assert "procMount" in ids(RESTRICTED, Version(34))
    assert "procMount" not in ids(RESTRICTED, Version(35))


def test_latest_and_versions_to_come_mean_the_newest() -> None:
    assert Version(37) == NEWEST
    assert catalogue.checks_of(RESTRICTED, LATEST) == catalogue.checks_of(RESTRICTED, Version(99))
    assert catalogue.checks_of(RESTRICTED, LATEST) == catalogue.checks_of(RESTRICTED, NEWEST)


def test_a_level_that_does_not_exist_is_an_error_and_not_an_open_door() -> None:
    with pytest.raises(ValueError, match="must be one of privileged, baseline, restricted"):
        evaluation.evaluate("Restricted", LATEST, {}, {})
    assert list(evaluation.evaluate(PRIVILEGED, LATEST, {}, {"hostPID": True})) == []


def test_the_catalogue_is_in_order() -> None:
    baseline = [check.id for check in CHECKS if check.level == BASELINE]
    restricted = [check.id for check in CHECKS if check.level == RESTRICTED]
    assert [*sorted(baseline), *sorted(restricted)] == [check.id for check in CHECKS]
    assert {check.instead_of for check in CHECKS} - {""} <= set(baseline)
    for check in CHECKS:
        since = [form.since for form in check.forms]
        assert since == sorted(set(since))


# Laws ------------------------------------------------------------------------------------------------------------

CHANGES = [
    change
    for generators in GENERATORS.values()
    for generator in generators
    for change in (*generator.fails, *generator.passes, *generator.passes_at_baseline)
]
VERSIONS = st.integers(0, NEWEST.minor + 2).map(Version)
SCALARS = st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from(["", "ALL", "windows", "Unconfined", "a"])
FIELDS = st.sampled_from(
    [
        "annotations", "containers", "initContainers", "volumes", "securityContext", "capabilities", "add", "drop",
        "os", "name", "seccompProfile", "appArmorProfile", "seLinuxOptions", "type", "user", "ports", "hostPort",
        "sysctls", "windowsOptions", "hostProcess", "lifecycle", "preStop", "livenessProbe", "httpGet", "host",
        "runAsUser", "hostPath", "procMount", "hostUsers", "seccomp.security.alpha.kubernetes.io/pod",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=25
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(CHANGES), max_size=4), VERSIONS)
def test_what_restricted_allows_baseline_allows(chosen: list[dict[str, Any]], version: Version) -> None:
    pod = least_pod(RESTRICTED, version.minor)
    for change in chosen:
        pod = changed(pod, change)
    if not evaluation.evaluate(RESTRICTED, version, pod["metadata"], pod["spec"]):
        assert not evaluation.evaluate(BASELINE, version, pod["metadata"], pod["spec"])


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, ANYTHING, max_size=5), st.dictionaries(FIELDS, ANYTHING, max_size=8), VERSIONS)
def test_a_pod_of_any_shape_is_judged_without_an_error(metadata: Object, spec: Object, version: Version) -> None:
    for level in (BASELINE, RESTRICTED):
        assert all(
            isinstance(part, str) for item in evaluation.evaluate(level, version, metadata, spec) for part in item
        )
    for resource in pods.TEMPLATES:
        pods.pod_of(resource, {"metadata": metadata, "spec": spec})
