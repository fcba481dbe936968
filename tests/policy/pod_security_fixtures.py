"""The fixtures of upstream's Pod Security tests, made as upstream makes them: the least pod that a level allows at a
version, and for each check changes of it that pass and changes that fail.

A change names fields and their values: `pod.`, `container.` and `init.` are the three security contexts, `spec.`,
`containers.` and `inits.` what holds them, `note:` is an annotation; None takes a field away.
Source: k8s.io/pod-security-admission/test (fixtures.go, fixtures_*.go).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dabbawala.api import core_v1 as kinds
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security.catalogue import CHECKS
from dabbawala.policy.pod_security.levels import BASELINE, RESTRICTED

Change = Mapping[str, Any]
IMAGE = "registry.k8s.io/pause"
OLDEST_BY_SYSTEM = 25
"""From this minor version on the least pod may differ between Linux and Windows."""
APPARMOR = "note:container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "note:seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_OF = "note:container.seccomp.security.alpha.kubernetes.io/"


@dataclass(frozen=True)
class Generator:
    """From version 1.`since` on. `says` is in the message of every pod that fails. What passes at `baseline` only, or
    is already said by the least pod of `restricted`, is not made for `restricted`."""

    since: int
    says: str
    fails: Sequence[Change]
    passes: Sequence[Change] = ()
    passes_at_baseline: Sequence[Change] = ()


@dataclass(frozen=True)
class Fixture:
    level: str
    minor: int
    name: str
    pod: Object
    says: str = ""
    fails: bool = False

    def __str__(self) -> str:
        return f"{self.level}/v1.{self.minor}/{'fail' if self.fails else 'pass'}/{self.name}"


# The least pods --------------------------------------------------------------------------------------------------


def least_pod(level: str, minor: int, system: str = "") -> Object:
    """What a level asks at a version, and nothing else; of a system, if one is named."""
    pod: Object = {
        "metadata": {},
        "spec": {
            "initContainers": [{"name": "initcontainer1", "image": IMAGE}],
            "containers": [{"name": "container1", "image": IMAGE}],
        },
    }
    return changed(pod, _asked(minor, system)) if level == RESTRICTED else pod


def _asked(minor: int, system: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"pod.runAsNonRoot": True}
    if system:
        asked["spec.os.name"] = system
    if system == "windows" and minor >= OLDEST_BY_SYSTEM:
        return asked
    if minor >= 8:
        asked |= {"container.allowPrivilegeEscalation": False, "init.allowPrivilegeEscalation": False}
    if minor >= 19:
        asked["pod.seccompProfile.type"] = "RuntimeDefault"
    if minor >= 22:
        asked |= {"container.capabilities.drop": ["ALL"], "init.capabilities.drop": ["ALL"]}
    return asked


def defaulted(pod: Object) -> Object:
    """As a server has it when it is judged: a volume without a source, for one, is an emptyDir then."""
    kinds.POD.default(pod)
    return pod


def changed(pod: Object, change: Change) -> Object:
    """A copy with these fields."""
    result = copy.deepcopy(pod)
    for path, value in change.items():
        holder, parts = _place(result, path)
        for part in parts[:-1]:
            holder = holder.setdefault(part, {})
        if value is None:
            holder.pop(parts[-1], None)
        else:
            holder[parts[-1]] = value
    return result


def _place(pod: Object, path: str) -> tuple[Object, list[str]]:
    if path.startswith("note:"):
        return pod["metadata"].setdefault("annotations", {}), [path.removeprefix("note:")]
    where, *parts = path.split(".")
    spec = pod["spec"]
    container, init = spec["containers"][0], spec["initContainers"][0]
    holders = {"pod": spec, "container": container, "init": init, "spec": spec, "containers": container, "inits": init}
    return holders[where], ["securityContext", *parts] if where in ("pod", "container", "init") else parts


# The changes of each check -----------------------------------------------------------------------------------------


def _each(*names: str, **value: Any) -> list[Change]:
    """The same field, once in each of these places."""
    ((path, set_to),) = value.items()
    return [{f"{name}.{path.replace('__', '.')}": set_to} for name in names]


def _both(path: str, value: Any) -> dict[str, Any]:
    return {f"container.{path}": value, f"init.{path}": value}


DEFAULT_CAPABILITIES = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]  # fmt: skip
ONE_BY_ONE = [
    *DEFAULT_CAPABILITIES, "SYS_TIME", "SYS_MODULE", "SYS_RAWIO", "SYS_PACCT", "SYS_ADMIN", "SYS_NICE", "SYS_RESOURCE",
    "SYS_TTY_CONFIG", "AUDIT_CONTROL", "MAC_OVERRIDE", "MAC_ADMIN", "NET_ADMIN", "SYSLOG", "NET_RAW",
    "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "NET_BROADCAST", "IPC_LOCK", "IPC_OWNER", "SYS_PTRACE", "SYS_BOOT", "LEASE",
    "WAKE_ALARM", "BLOCK_SUSPEND",
]  # fmt: skip
SYSCTLS = {
    0: {
        "kernel.shm_rmid_forced": "0", "net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_syncookies": "0",
        "net.ipv4.ping_group_range": "1 0", "net.ipv4.ip_unprivileged_port_start": "1024",
    },
    27: {"net.ipv4.ip_local_reserved_ports": "1024-4999"},
    29: {
        "net.ipv4.tcp_keepalive_time": "7200", "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_keepalive_intvl": "75",
        "net.ipv4.tcp_keepalive_probes": "9",
    },
    32: {"net.ipv4.tcp_rmem": "4096 87380 16777216", "net.ipv4.tcp_wmem": "4096 65536 16777216"},
    37: {"net.ipv4.tcp_slow_start_after_idle": "0", "net.ipv4.tcp_notsent_lowat": "16384"},
}  # fmt: skip
ALLOWED_VOLUMES: Sequence[Object] = (
    {},
    {"emptyDir": {}},
    {"secret": {"secretName": "test"}},
    {"persistentVolumeClaim": {"claimName": "test"}},
    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    {"configMap": {"name": "test"}},
    {"projected": {"sources": []}},
)
OTHER_VOLUMES: Sequence[Object] = (
    {"gcePersistentDisk": {"pdName": "test"}},
    {"awsElasticBlockStore": {"volumeID": "test"}},
    {"gitRepo": {"repository": "github.com/kubernetes/kubernetes"}},
    {"nfs": {"server": "test", "path": "/test"}},
    {"iscsi": {"targetPortal": "test", "iqn": "iqn.2001-04.com.example:storage.kube.sys1.xyz", "lun": 0}},
    {"glusterfs": {"endpoints": "test", "path": "test"}},
    {"rbd": {"monitors": ["test"], "image": "test"}},
    {"flexVolume": {"driver": "test"}},
    {"cinder": {"volumeID": "test"}},
    {"cephfs": {"monitors": ["test"]}},
    {"flocker": {"datasetName": "test"}},
    {"fc": {"wwids": ["test"]}},
    {"azureFile": {"secretName": "test", "shareName": "test"}},
    {"vsphereVolume": {"volumePath": "test"}},
    {"quobyte": {"registry": "localhost:1234", "volume": "test"}},
    {"azureDisk": {"diskName": "test", "diskURI": "https://test.blob.core.windows.net/test/test.vhd"}},
    {"portworxVolume": {"volumeID": "test", "fsType": "ext4"}},
    {"scaleIO": {"volumeName": "test", "gateway": "localhost", "system": "test", "secretRef": None}},
    {"storageos": {"volumeName": "test"}},
    {"hostPath": {"path": "/dev/null"}},
)


def _sysctls(minor: int) -> Generator:
    known = {name: value for since, names in SYSCTLS.items() if since <= minor for name, value in names.items()}
    listed = [{"name": name, "value": value} for name, value in known.items()]
    other = [{"pod.sysctls": [{"name": "othersysctl", "value": "other"}]}]
    return Generator(minor, "forbidden sysctl", other, [{"pod.sysctls": None}, {"pod.sysctls": listed}])


def _selinux(minor: int, *types: str) -> Generator:
    pod, container, init = types
    return Generator(
        minor,
        "seLinuxOptions",
        [
            *_each("pod", "container", "init", seLinuxOptions__type="somevalue"),
            {"pod.seLinuxOptions.user": "somevalue"},
            {"pod.seLinuxOptions.role": "somevalue"},
        ],
        [
            {"pod.seLinuxOptions": None, "container.seLinuxOptions": None, "init.seLinuxOptions": {}},
            {
                "pod.seLinuxOptions": {"type": pod, "level": ""},
                "container.seLinuxOptions": {"type": container, "level": "somevalue"},
                "init.seLinuxOptions": {"type": init},
            },
        ],
    )


def _proc_mount(minor: int, *, host_users: bool) -> Generator:
    users = {"spec.hostUsers": host_users}
    return Generator(
        minor,
        "procMount",
        [{**change, **users} for change in _each("container", "init", procMount="Unmasked")],
        [{**_both("procMount", "Default"), "spec.hostUsers": False}],
    )


def _call(kind: str, host: str = "") -> Object:
    return {kind: {"port": 8080, **({"host": host} if host else {})}}


HOSTS = Generator(
    34,
    "probe or lifecycle host",
    [
        {"containers.livenessProbe": _call("httpGet", "bad.host")},
        {"inits.restartPolicy": "Always", "inits.readinessProbe": _call("tcpSocket", "8.8.8.8")},
        {"containers.lifecycle.postStart": _call("httpGet", "bad.host")},
        {"containers.livenessProbe": _call("httpGet", "127.0.0.1")},
        {"containers.readinessProbe": _call("tcpSocket", "::1")},
    ],
    [{}, {"containers.livenessProbe": _call("httpGet")}, {"containers.readinessProbe": _call("tcpSocket")}],
)
PORT_12345: Object = {"containerPort": 12345, "hostPort": 12345}
PORT_12346: Object = {"containerPort": 12346, "hostPort": 12346}
PROC_MOUNT_1_35 = _proc_mount(35, host_users=True)

GENERATORS: Mapping[str, Sequence[Generator]] = {
    "appArmorProfile": [
        Generator(
            0,
            "forbidden AppArmor profile",
            [{f"{APPARMOR}container1": "unconfined"}, {f"{APPARMOR}initcontainer1": "unconfined"}],
            [{f"{APPARMOR}container1": "localhost/foo"}],
        )
    ],
    "capabilities_baseline": [
        Generator(
            0,
            "capabilities",
            [
                *_each("container", "init", capabilities__add=["NET_RAW"]),
                {"container.capabilities.add": ["chown"]},
                {"container.capabilities.add": ["CAP_CHOWN"]},
            ],
            passes_at_baseline=[_both("capabilities.add", DEFAULT_CAPABILITIES)],
        )
    ],
    "hostNamespaces": [
        Generator(0, "host namespaces", [{"spec.hostIPC": True}, {"spec.hostNetwork": True}, {"spec.hostPID": True}])
    ],
    "hostPathVolumes": [
        Generator(
            0,
            "hostPath",
            [
                {"spec.volumes": [{"name": "one", "emptyDir": {}}, {"name": "two", "hostPath": {"path": "/a"}}]},
                {
                    "spec.volumes": [
                        {"name": "one", "hostPath": {"path": "/a"}},
                        {"name": "two", "hostPath": {"path": "/b"}},
                    ]
                },
            ],
        )
    ],
    "hostPorts": [
        Generator(
            0,
            "hostPort",
            [
                {"containers.ports": [PORT_12345]},
                {"inits.ports": [PORT_12346]},
                {
                    "containers.ports": [PORT_12345, {"containerPort": 12347}],
                    "inits.ports": [PORT_12346, {"containerPort": 12348}],
                },
            ],
            [{"containers.ports": [{"containerPort": 12345}], "inits.ports": [{"containerPort": 12346}]}],
        )
    ],
    "hostProbesAndHostLifecycle": [HOSTS],
    "privileged": [
        Generator(
            0,
            "privileged",
            [
                {"container.privileged": True, "container.allowPrivilegeEscalation": None},
                {"init.privileged": True, "init.allowPrivilegeEscalation": None},
            ],
            [_both("privileged", False)],
        )
    ],
    "procMount": [
        _proc_mount(0, host_users=False),
        Generator(
            35,
            "procMount",
            PROC_MOUNT_1_35.fails,
            PROC_MOUNT_1_35.passes,
            passes_at_baseline=[{**_both("procMount", "Unmasked"), "spec.hostUsers": False}],
        ),
    ],
    "procMount_restricted": [_proc_mount(35, host_users=False)],
    "seLinuxOptions": [
        _selinux(0, "container_t", "container_init_t", "container_kvm_t"),
        _selinux(31, "container_engine_t", "container_init_t", "container_kvm_t"),
    ],
    "seccompProfile_baseline": [
        Generator(
            0,
            "seccompProfile",
            [
                {SECCOMP: "unconfined"},
                {f"{SECCOMP_OF}container1": "unconfined"},
                {f"{SECCOMP_OF}initcontainer1": "unconfined"},
            ],
            [{SECCOMP: "runtime/default", f"{SECCOMP_OF}container1": "localhost/testing"}],
        ),
        Generator(
            19,
            "seccompProfile",
            _each("pod", "container", "init", seccompProfile__type="Unconfined"),
            passes_at_baseline=[
                {"pod.seccompProfile.type": "RuntimeDefault", "container.seccompProfile.type": "RuntimeDefault"}
            ],
        ),
    ],
    "sysctls": [_sysctls(minor) for minor in SYSCTLS],
    "windowsHostProcess": [
        Generator(
            0,
            "hostProcess",
            [
                {"spec.hostNetwork": True, "pod.windowsOptions.hostProcess": True},
                {"spec.hostNetwork": True, **_both("windowsOptions.hostProcess", True)},
            ],
        )
    ],
    "allowPrivilegeEscalation": [
        Generator(
            8,
            "allowPrivilegeEscalation",
            [
                *_each("container", "init", allowPrivilegeEscalation=True),
                {"container.allowPrivilegeEscalation": None},
                {"containers.securityContext": None},
            ],
        )
    ],
    "capabilities_restricted": [
        Generator(
            22,
            "unrestricted capabilities",
            [
                *_each("container", "init", capabilities__drop=[]),
                _both("capabilities.drop", ONE_BY_ONE),
                _both("capabilities.add", DEFAULT_CAPABILITIES),
            ],
            [_both("capabilities.add", ["NET_BIND_SERVICE"])],
        )
    ],
    "restrictedVolumes": [
        Generator(
            0,
            "restricted volume type",
            [{"spec.volumes": [{"name": "volume1", **source}]} for source in OTHER_VOLUMES],
            [{"spec.volumes": [{"name": f"volume{i}", **source} for i, source in enumerate(ALLOWED_VOLUMES)]}],
        )
    ],
    "runAsNonRoot": [
        Generator(
            0,
            "runAsNonRoot",
            [
                {"pod.runAsNonRoot": None},
                *_each("pod", "container", "init", runAsNonRoot=False),
            ],
            [{"pod.runAsNonRoot": True}, {"pod.runAsNonRoot": None, **_both("runAsNonRoot", True)}],
        )
    ],
    "runAsUser": [
        Generator(
            23,
            "runAsUser",
            _each("pod", "container", "init", runAsUser=0),
            [{"pod.runAsUser": 1000, **_both("runAsUser", 1000)}],
        )
    ],
    "seccompProfile_restricted": [
        Generator(
            19,
            "seccompProfile",
            [
                {"pod.seccompProfile": None},
                {"pod.seccompProfile.type": "Unconfined"},
                {"pod.seccompProfile": None, "container.seccompProfile.type": "RuntimeDefault"},
                {"pod.seccompProfile": None, "init.seccompProfile.type": "RuntimeDefault"},
                {
                    "pod.seccompProfile": None,
                    "container.seccompProfile.type": "RuntimeDefault",
                    "init.seccompProfile.type": "Unconfined",
                },
            ],
            [
                {"pod.seccompProfile.type": "RuntimeDefault"},
                {"pod.seccompProfile": {"type": "Localhost", "localhostProfile": "testing"}},
                {
                    "pod.seccompProfile": None,
                    "container.seccompProfile.type": "RuntimeDefault",
                    "init.seccompProfile": {"type": "Localhost", "localhostProfile": "testing"},
                },
            ],
        )
    ],
}


def fixtures(level: str, minor: int) -> Iterator[Fixture]:
    """Every fixture of a level at a version: the least pods, and what each check that applies lets pass and fail."""
    least = least_pod(level, minor)
    yield Fixture(level, minor, "base", defaulted(least))
    if level == RESTRICTED and minor >= OLDEST_BY_SYSTEM:
        for system in ("linux", "windows"):
            yield Fixture(level, minor, f"base_{system}", defaulted(least_pod(level, minor, system)))
    for check in CHECKS:
        if check.level in (level, BASELINE) and check.forms[0].since <= minor:
            yield from _of_check(level, minor, check.id, least)


def _of_check(level: str, minor: int, check_id: str, least: Object) -> Iterator[Fixture]:
    known = [generator for generator in GENERATORS[check_id] if generator.since <= minor]
    generator = known[-1]
    passes = [*generator.passes, *(generator.passes_at_baseline if level == BASELINE else ())]
    for number, change in enumerate(passes):
        yield Fixture(level, minor, f"{check_id}{number}", defaulted(changed(least, change)), generator.says)
    for number, change in enumerate(generator.fails):
        yield Fixture(
            level, minor, f"{check_id}{number}", defaulted(changed(least, change)), generator.says, fails=True
        )
