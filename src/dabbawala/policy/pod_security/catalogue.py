"""Every check of the Pod Security Standards with its history, as data.

A check has a level, a form for each version that changed it, and a check of `baseline` that it may stand in for at
`restricted`. A version asks what was asked then, so that a namespace that names one is not surprised by an upgrade.
Two checks were changed without a new version (AppArmor looks at fields too, `image` volumes are allowed): that holds
for all versions. Source: k8s.io/pod-security-admission/policy (registry.go, check_*.go) of Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dabbawala.policy.pod_security import baseline, restricted
from dabbawala.policy.pod_security.baseline import CheckPod
from dabbawala.policy.pod_security.levels import BASELINE, LEVELS, RESTRICTED, Version


@dataclass(frozen=True, slots=True)
class Form:
    """How a check looks at pods from version 1.`since` on."""

    since: int
    check: CheckPod


@dataclass(frozen=True, slots=True)
class Check:
    """`forms` are in the order of their versions. At `restricted` those of `instead_of` are not asked any more."""

    id: str
    level: str
    forms: tuple[Form, ...]
    instead_of: str = ""

    def at(self, version: Version) -> CheckPod | None:
        """Its form at that version; None before there was one."""
        return next((form.check for form in reversed(self.forms) if form.since <= version.minor), None)


CHECKS: Sequence[Check] = (
    Check("appArmorProfile", BASELINE, (Form(0, baseline.app_armor),)),
    Check("capabilities_baseline", BASELINE, (Form(0, baseline.capabilities),)),
    Check("hostNamespaces", BASELINE, (Form(0, baseline.host_namespaces),)),
    Check("hostPathVolumes", BASELINE, (Form(0, baseline.host_path_volumes),)),
    Check("hostPorts", BASELINE, (Form(0, baseline.host_ports),)),
    Check("hostProbesAndHostLifecycle", BASELINE, (Form(34, baseline.host_probes),)),
    Check("privileged", BASELINE, (Form(0, baseline.privileged),)),
    Check("procMount", BASELINE, (Form(0, baseline.proc_mount), Form(35, baseline.proc_mount_1_35))),
    Check("seLinuxOptions", BASELINE, (Form(0, baseline.selinux_1_0), Form(31, baseline.selinux_1_31))),
    Check("seccompProfile_baseline", BASELINE, (Form(0, baseline.seccomp_1_0), Form(19, baseline.seccomp_1_19))),
    Check(
        "sysctls",
        BASELINE,
        (
            Form(0, baseline.sysctls_1_0),
            Form(27, baseline.sysctls_1_27),
            Form(29, baseline.sysctls_1_29),
            Form(32, baseline.sysctls_1_32),
            Form(37, baseline.sysctls_1_37),
        ),
    ),
    Check("windowsHostProcess", BASELINE, (Form(0, baseline.host_process),)),
    Check(
        "allowPrivilegeEscalation",
        RESTRICTED,
        (Form(8, restricted.privilege_escalation), Form(25, restricted.privilege_escalation_1_25)),
    ),
    Check(
        "capabilities_restricted",
        RESTRICTED,
        (Form(22, restricted.capabilities), Form(25, restricted.capabilities_1_25)),
        instead_of="capabilities_baseline",
    ),
    Check("procMount_restricted", RESTRICTED, (Form(35, baseline.proc_mount),), instead_of="procMount"),
    Check("restrictedVolumes", RESTRICTED, (Form(0, restricted.volumes),), instead_of="hostPathVolumes"),
    Check("runAsNonRoot", RESTRICTED, (Form(0, restricted.run_as_non_root), Form(35, restricted.run_as_non_root_1_35))),
    Check("runAsUser", RESTRICTED, (Form(23, restricted.run_as_user), Form(35, restricted.run_as_user_1_35))),
    Check(
        "seccompProfile_restricted",
        RESTRICTED,
        (Form(19, restricted.seccomp), Form(25, restricted.seccomp_1_25)),
        instead_of="seccompProfile_baseline",
    ),
)
"""In the order in which violations are told: those of `baseline` by their ids, then those of `restricted`."""


NEWEST = Version(max(form.since for check in CHECKS for form in check.forms))
"""The version that `latest`, and each that is not known yet, stands for."""


def checks_of(level: str, version: Version) -> tuple[tuple[Check, CheckPod], ...]:
    """What a level asks at a version: its checks, each with its form. Raises ValueError for an unknown level."""
    return _checks_of(level, min(version, NEWEST))


@lru_cache(maxsize=128)
def _checks_of(level: str, version: Version) -> tuple[tuple[Check, CheckPod], ...]:
    if level not in LEVELS:
        raise ValueError(f"level {level!r} must be one of {', '.join(LEVELS)}")
    asked = LEVELS[: LEVELS.index(level) + 1]
    known = [(check, form) for check in CHECKS if check.level in asked and (form := check.at(version)) is not None]
    replaced = {check.instead_of for check, _ in known}
    return tuple((check, form) for check, form in known if check.id not in replaced)
