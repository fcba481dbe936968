"""From a pod to what the sandbox is asked for: the pod's place and the container's command, user, files, limits. Pure.

Source: pkg/kubelet/kuberuntime generatePodSandboxConfig, generateContainerConfig; pkg/kubelet/network/dns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import admission, pod_spec
from dabbawala.cluster.kubelet.environment import ConfigError
from dabbawala.cluster.kubelet.expansion import expand
from dabbawala.cluster.sandbox import sysctls
from dabbawala.cluster.sandbox.spec import ContainerSpec, Limits, Mount, PodSpec, User

CLUSTER_DOMAIN = "cluster.local"
CLUSTER_DNS = "10.96.0.10"


class LocalImage(Protocol):
    """What an image of the local store says of its program."""

    @property
    def name(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def entrypoint(self) -> tuple[str, ...]: ...
    @property
    def cmd(self) -> tuple[str, ...]: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def workdir(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def stop_signal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was put in place for one start: variables, mounts, where the log goes, host paths of the image."""

    variables: Mapping[str, str]
    mounts: tuple[Mount, ...]
    log_path: str
    host_paths: tuple[str, ...] = ()


def hostname(pod: Mapping[str, Any]) -> str:
    return str(pod_spec.spec(pod).get("hostname") or meta.name(pod))[:63].rstrip("-.")


def sandbox(pod: Mapping[str, Any], node: str, address: str, state_dir: str) -> PodSpec:
    """Raises ConfigError for a pod that asks to share or to change what belongs to the machine."""
    spec = pod_spec.spec(pod)
    for field, what in (("hostNetwork", "network"), ("hostPID", "processes"), ("hostIPC", "shared memory")):
        if spec.get(field):
            raise ConfigError(f"{field} is not possible here: the pod would share the machine's {what}; leave it out")
    forbidden = admission.refuse_sysctls(pod)
    if forbidden is not None:
        raise ConfigError(forbidden[1])
    settings = {sysctls.dotted(name): value for name, value in pod_spec.sysctls(pod).items()}
    return PodSpec(
        uid=meta.uid(pod), namespace=meta.namespace(pod), name=meta.name(pod), node=node, address=address,
        hostname=hostname(pod), state_dir=state_dir, hosts=hosts(pod, address), resolv_conf=resolv_conf(pod),
        share_process_namespace=bool(spec.get("shareProcessNamespace")), sysctls=settings,
    )  # fmt: skip


def hosts(pod: Mapping[str, Any], address: str) -> str:
    spec = pod_spec.spec(pod)
    name = hostname(pod)
    if spec.get("subdomain"):
        name = f"{name}.{spec['subdomain']}.{meta.namespace(pod)}.svc.{CLUSTER_DOMAIN}\t{name}"
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        f"{address}\t{name}",
    ]
    if spec.get("hostAliases"):
        lines.append("\n# Entries added by HostAliases.")
        lines += [f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) for alias in spec["hostAliases"]]
    return "\n".join(lines) + "\n"


def resolv_conf(pod: Mapping[str, Any]) -> str:
    spec = pod_spec.spec(pod)
    servers, searches, options = [CLUSTER_DNS], [], {}
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy.startswith("ClusterFirst"):
        domain = f"svc.{CLUSTER_DOMAIN}"
        searches = [f"{meta.namespace(pod)}.{domain}", domain, CLUSTER_DOMAIN]
        options = {"ndots": "5"}
    elif policy == "None":
        servers = []
    extra = spec.get("dnsConfig") or {}
    servers = list(dict.fromkeys([*servers, *(extra.get("nameservers") or ())]))
    searches = list(dict.fromkeys([*searches, *(extra.get("searches") or ())]))
    options |= {option["name"]: option.get("value") or "" for option in extra.get("options") or ()}
    lines = [f"nameserver {server}" for server in servers]
    if searches:
        lines.insert(0, "search " + " ".join(searches))
    if options:
        lines.append("options " + " ".join(f"{name}:{value}" if value else name for name, value in options.items()))
    return "\n".join(lines) + "\n"


def container(
    pod: Mapping[str, Any], item: Object, attempt: int, image: LocalImage, prepared: Prepared
) -> ContainerSpec:
    """Raises ConfigError for what cannot be given to a container here."""
    variables = {**image.env, **prepared.variables}
    context = item.get("securityContext") or {}
    if context.get("privileged"):
        raise ConfigError(
            "privileged containers cannot run in a sandbox without root; leave securityContext.privileged out"
        )
    argv = command(item, image, variables)
    if not argv:
        raise ConfigError(f'image "{image.name}" has no command, and the container gives none')
    return ContainerSpec(
        name=item["name"], argv=argv, log_path=prepared.log_path, attempt=attempt, env=dict(variables),
        cwd=item.get("workingDir") or image.workdir or "/", image_root=str(image.root) if image.root else "",
        host_paths=prepared.host_paths, mounts=prepared.mounts, user=user(pod, item, image),
        read_only_root=bool(context.get("readOnlyRootFilesystem")), limits=limits(item),
        tty=bool(item.get("tty")), stdin=bool(item.get("stdin")),
        termination_message_path=item.get("terminationMessagePath") or "/dev/termination-log",
    )  # fmt: skip


def command(item: Object, image: LocalImage, variables: Mapping[str, str]) -> tuple[str, ...]:
    """command replaces ENTRYPOINT and CMD, args replaces CMD; `$(NAME)` is expanded in both."""
    own, args = item.get("command") or (), item.get("args") or ()
    program = [expand(str(part), variables) for part in own] if own else list(image.entrypoint)
    if args:
        return (*program, *(expand(str(part), variables) for part in args))
    return tuple(program) if own else (*program, *image.cmd)


def user(pod: Mapping[str, Any], item: Object, image: LocalImage) -> User:
    """Who the container runs as: its own securityContext, the pod's, the image's USER, root. Raises ConfigError."""
    context = {**pod_spec.security_context(pod), **(item.get("securityContext") or {})}
    named, _, group = image.user.partition(":")
    wanted = context.get("runAsUser")
    if wanted is None and named and not named.isdecimal():
        if named == "root":
            named = "0"
        elif context.get("runAsNonRoot"):
            raise ConfigError(
                f"container has runAsNonRoot and image has non-numeric user ({named}), cannot verify user is non-root"
            )
        else:
            raise ConfigError(f'image "{image.name}" runs as user {named}, which has no number; set runAsUser')
    uid = int(wanted if wanted is not None else named or 0)
    if context.get("runAsNonRoot") and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    chosen = context.get("runAsGroup")
    gid = int(chosen if chosen is not None else group if group.isdecimal() else 0)
    groups = [int(one) for one in context.get("supplementalGroups") or ()]
    if context.get("fsGroup") is not None:
        groups.append(int(context["fsGroup"]))
    return User(uid, gid, tuple(dict.fromkeys(groups)))


def limits(item: Object) -> Limits:
    memory = pod_spec.amount(item, "limits", "memory")
    cpu = pod_spec.amount(item, "limits", "cpu")
    return Limits(memory_bytes=int(memory or 0), cpu_milli=math.ceil((cpu or 0) * 1000))
