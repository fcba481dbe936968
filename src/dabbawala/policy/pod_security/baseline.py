"""The checks of level `baseline`: nothing that is known to lead out of a container.

Each gives the reason and the detail of a violation in upstream's words, or None.
Source: k8s.io/pod-security-admission/policy/check_*.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import pods, wording
from dabbawala.policy.pod_security.pods import mapping, text

Finding = tuple[str, str]
"""A reason, and its detail."""

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
CONFINED = ("RuntimeDefault", "Localhost")
"""Types of seccomp and AppArmor profiles that confine."""

CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
SELINUX_TYPES_1_0 = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
SELINUX_TYPES_1_31 = SELINUX_TYPES_1_0 | {"container_engine_t"}
SYSCTLS_1_0 = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
    }
)  # fmt: skip
SYSCTLS_1_27 = SYSCTLS_1_0 | {"net.ipv4.ip_local_reserved_ports"}
SYSCTLS_1_29 = SYSCTLS_1_27 | {
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
SYSCTLS_1_32 = SYSCTLS_1_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
SYSCTLS_1_37 = SYSCTLS_1_32 | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}

_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_CALLS = ("httpGet", "tcpSocket")


def privileged(metadata: Object, spec: Object) -> Finding | None:
    bad = [name for name, context in pods.contexts(spec) if context.get("privileged") is True]
    if not bad:
        return None
    return "privileged", f"{wording.containers(bad)} must not set securityContext.privileged=true"


def host_namespaces(metadata: Object, spec: Object) -> Finding | None:
    shared = [f"{field}=true" for field in _HOST_NAMESPACES if spec.get(field) is True]
    return ("host namespaces", ", ".join(shared)) if shared else None


def host_path_volumes(metadata: Object, spec: Object) -> Finding | None:
    bad = [text(volume, "name") for volume in pods.items(spec, "volumes") if volume.get("hostPath") is not None]
    return ("hostPath volumes", f"{wording.plural('volume', bad)} {wording.quoted(bad)}") if bad else None


def host_ports(metadata: Object, spec: Object) -> Finding | None:
    bad: list[str] = []
    taken: set[str] = set()
    for name, container in pods.containers(spec):
        ports = {str(port["hostPort"]) for port in pods.items(container, "ports") if port.get("hostPort")}
        if ports:
            bad.append(name)
            taken |= ports
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    return (
        "hostPort",
        f"{wording.containers(bad)} {verb} {wording.plural('hostPort', taken)} {', '.join(sorted(taken))}",
    )


def capabilities(metadata: Object, spec: Object) -> Finding | None:
    bad: list[str] = []
    added: set[str] = set()
    for name, context in pods.contexts(spec):
        beyond = set(pods.texts(mapping(context, "capabilities"), "add")) - CAPABILITIES
        if beyond:
            bad.append(name)
            added |= beyond
    if not bad:
        return None
    listed = wording.quoted(sorted(added))
    return (
        "non-default capabilities",
        f"{wording.containers(bad)} must not include {listed} in securityContext.capabilities.add",
    )


def proc_mount(metadata: Object, spec: Object) -> Finding | None:
    bad: list[str] = []
    types: set[str] = set()
    for name, context in pods.contexts(spec):
        if context.get("procMount") not in (None, "Default"):
            bad.append(name)
            types.add(str(context["procMount"]))
    if not bad:
        return None
    listed = wording.quoted(sorted(types))
    return "procMount", f"{wording.containers(bad)} must not set securityContext.procMount to {listed}"


def proc_mount_1_35(metadata: Object, spec: Object) -> Finding | None:
    return None if pods.in_user_namespace(spec) else proc_mount(metadata, spec)


def host_process(metadata: Object, spec: Object) -> Finding | None:
    def asks(context: Object) -> bool:
        return mapping(context, "windowsOptions").get("hostProcess") is True

    pod = asks(mapping(spec, "securityContext"))
    bad = [name for name, context in pods.contexts(spec) if asks(context)]
    if not pod and not bad:
        return None
    who = wording.setters(pod, bad)
    return "hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true"


def app_armor(metadata: Object, spec: Object) -> Finding | None:
    pod, bad, types = unconfined(spec, "appArmorProfile")
    annotations = sorted(
        f"{key}={wording.literal(value)}"
        for key, value in mapping(metadata, "annotations").items()
        if key.startswith(APPARMOR_ANNOTATION) and not _app_armor_value(value)
    )
    who = wording.setters(pod, bad, *([wording.plural("annotation", annotations)] if annotations else []))
    if not who:
        return None
    values = [*sorted(types), *annotations]
    reason = wording.plural("forbidden AppArmor profile", values)
    return reason, f"{who} must not set AppArmor profile type to {wording.quoted(values)}"


def _app_armor_value(value: object) -> bool:
    return not isinstance(value, str) or value in ("", "runtime/default") or value.startswith("localhost/")


def unconfined(spec: Object, field: str) -> tuple[bool, list[str], set[str]]:
    """Whose profile of that field does not confine: the pod's, which containers'; and the types that they name."""
    types: set[str] = set()

    def wrong(context: Object) -> bool:
        profile = context.get(field)
        if not isinstance(profile, dict) or text(profile, "type") in CONFINED:
            return False
        types.add(text(profile, "type"))
        return True

    pod = wrong(mapping(spec, "securityContext"))
    return pod, [name for name, context in pods.contexts(spec) if wrong(context)], types


def seccomp_1_0(metadata: Object, spec: Object) -> Finding | None:
    """Before there was a field for it, the profile stood in annotations."""
    annotations = mapping(metadata, "annotations")
    keys = [SECCOMP_ANNOTATION, *(SECCOMP_CONTAINER_ANNOTATION + name for name, _ in pods.containers(spec))]
    bad = {f"{key}={wording.literal(annotations[key])}" for key in keys if _unconfined_annotation(annotations.get(key))}
    if not bad:
        return None
    return "seccompProfile", f"forbidden {wording.plural('annotation', bad)} {', '.join(sorted(bad))}"


def _unconfined_annotation(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return value not in ("runtime/default", "docker/default") and not value.startswith("localhost/")


def seccomp_1_19(metadata: Object, spec: Object) -> Finding | None:
    pod, bad, types = unconfined(spec, "seccompProfile")
    who = wording.setters(pod, bad)
    if not who:
        return None
    listed = wording.quoted(sorted(types))
    return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {listed}"


def _selinux(allowed: Collection[str], metadata: Object, spec: Object) -> Finding | None:
    types: set[str] = set()
    set_too: set[str] = set()

    def wrong(context: Object) -> bool:
        options = mapping(context, "seLinuxOptions")
        bad = {text(options, "type")} - set(allowed)
        others = {field for field in ("user", "role") if options.get(field)}
        types.update(bad)
        set_too.update(others)
        return bool(bad or others)

    pod = wrong(mapping(spec, "securityContext"))
    who = wording.setters(pod, [name for name, context in pods.contexts(spec) if wrong(context)])
    if not who:
        return None
    data = [f"{wording.plural('type', types)} {wording.quoted(sorted(types))}"] if types else []
    data += [f"{field} may not be set" for field in ("user", "role") if field in set_too]
    return "seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"


def _sysctls(allowed: Collection[str], metadata: Object, spec: Object) -> Finding | None:
    listed = pods.items(mapping(spec, "securityContext"), "sysctls")
    bad = [name for name in (text(item, "name") for item in listed) if name not in allowed]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def host_probes(metadata: Object, spec: Object) -> Finding | None:
    """A probe with a host of its own makes the kubelet call whom the pod's author likes."""
    bad: set[str] = set()
    hosts: set[str] = set()
    for name, container in pods.containers(spec):
        hooks = mapping(container, "lifecycle")
        handlers = [mapping(container, probe) for probe in _PROBES] + [mapping(hooks, hook) for hook in _HOOKS]
        named = {host for handler in handlers for call in _CALLS if (host := text(mapping(handler, call), "host"))}
        if named:
            bad.add(name)
            hosts |= named
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    what = wording.plural("probe or lifecycle host", hosts)
    detail = f"{wording.containers(sorted(bad))} {verb} {what} {wording.quoted(sorted(hosts))}"
    return "probe or lifecycle host", detail


CheckPod = Callable[[Object, Object], Finding | None]

selinux_1_0: CheckPod = partial(_selinux, SELINUX_TYPES_1_0)
selinux_1_31: CheckPod = partial(_selinux, SELINUX_TYPES_1_31)
sysctls_1_0: CheckPod = partial(_sysctls, SYSCTLS_1_0)
sysctls_1_27: CheckPod = partial(_sysctls, SYSCTLS_1_27)
sysctls_1_29: CheckPod = partial(_sysctls, SYSCTLS_1_29)
sysctls_1_32: CheckPod = partial(_sysctls, SYSCTLS_1_32)
sysctls_1_37: CheckPod = partial(_sysctls, SYSCTLS_1_37)
