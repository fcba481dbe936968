"""Whose a process is, and what of its files the image brought: read off what the node shows."""

from __future__ import annotations

import pytest

from dabbawala.guard.runtime import containers, mounts, pods
from dabbawala.guard.runtime.events import Container
from tests.guard.runtime import given

UID = "3f2a1b4c-0d1e-4f20-8a3b-9c4d5e6f7081"
ID = "ab" * 32


@pytest.mark.parametrize(
    "path",
    [
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/"
        f"cri-containerd-{ID}.scope",
        f"11:memory:/kubepods/besteffort/pod{UID}/{ID}",
        f"1:name=systemd:/\n0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope",
    ],
)
def test_a_kubelets_control_group_names_pod_and_container(path: str) -> None:
    assert containers.from_cgroup(path) == Container(ID, UID, id=ID[:12])


@pytest.mark.parametrize("path", ["0::/", "0::/user.slice/user-1000.slice", f"0::/docker/{ID}", f"0::/pod{UID}"])
def test_other_control_groups_name_nothing(path: str) -> None:
    assert containers.from_cgroup(path) is None


def test_the_embedded_clusters_init_is_titled_with_the_containers_id() -> None:
    assert containers.from_title(f"dabba-init {UID}/web/2") == Container(f"{UID}/web/2", UID, "web", f"{UID}/web/2")
    assert containers.from_title("dabba-init") is None
    assert containers.from_title(f"dabba-shim {UID}") is None
    assert containers.from_title(f"python dabba-init {UID}/web/2") is None


POD = {
    "metadata": {"name": "web-0", "namespace": "shop", "uid": UID, "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web-server", "image": "a:v1"}, {"name": "proxy", "image": "b:v2"}],
             "initContainers": [{"name": "setup", "image": "c:v3"}]},
    "status": {"containerStatuses": [{"name": "proxy", "containerID": f"containerd://{ID}"}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("container", "name", "image"),
    [
        (Container("k", UID, "web-server"), "web-server", "a:v1"),
        (Container("k", UID, "setup"), "setup", "c:v3"),
        (Container(ID, UID, id=ID[:12]), "proxy", "b:v2"),
        (Container("k", UID, "web-ser"), "web-server", "a:v1"),  # a title that was cut short
        (Container("k", UID), "", ""),
    ],
)
def test_the_pod_says_what_a_container_is(container: Container, name: str, image: str) -> None:
    found = pods.workload(POD, container)
    assert (found.container, found.image, found.namespace, found.pod_name) == (name, image, "shop", "web-0")
    assert found.pod["metadata"]["uid"] == UID


MOUNTINFO = """
100 99 0:50 / / rw,nosuid - tmpfs root rw
101 100 8:1 /usr /usr ro,nosuid - ext4 /dev/sda1 rw
102 100 8:1 /etc/ssl/certs /etc/ssl/certs ro - ext4 /dev/sda1 rw
103 100 0:51 / /app rw - overlay overlay rw,lowerdir=/x
104 100 8:1 /state/volumes/data /data rw shared:1 - ext4 /dev/sda1 rw
105 100 8:1 /state/volumes/keys /etc/secrets ro - ext4 /dev/sda1 rw
106 100 0:52 / /proc rw - proc proc rw
107 106 0:52 /sys /proc/sys ro - proc proc rw
108 100 0:53 / /sys ro - sysfs sysfs rw
109 100 0:54 / /dev rw - tmpfs dev rw
110 109 0:6 /null /dev/null rw - devtmpfs devtmpfs rw
111 100 8:1 /with\\040blank /with\\040blank\\040too rw - ext4 /dev/sda1 rw
"""
STARTED = 1000.0


def test_own_mounts_are_told_from_what_the_node_shows() -> None:
    found = mounts.parse(MOUNTINFO.splitlines())
    assert {mount.point for mount in found.own} == {"/", "/app", "/data", "/etc/secrets", "/dev", "/with blank too"}
    assert {mount.point for mount in found.own if mount.lasting} == {"/data", "/etc/secrets", "/with blank too"}


@pytest.mark.parametrize(
    ("path", "changed_at", "is_changed"),
    [
        ("/tmp/dropped", STARTED + 1, True),
        ("/app/dropped", STARTED + 1, True),
        ("/data/dropped", STARTED + 1, True),
        ("/app/server", STARTED - 1, False),
        ("/usr/bin/python3", STARTED + 1, False),
        ("/etc/secrets/tool", STARTED + 1, False),
        ("/memfd:payload", STARTED + 1, False),
        ("/data/tool", STARTED - 1, False),
    ],
)
def test_a_program_is_the_containers_own_making_when_it_is_younger_and_lies_where_it_may_write(
    path: str, changed_at: float, is_changed: bool
) -> None:
    assert mounts.parse(MOUNTINFO.splitlines()).is_changed(path, changed_at, STARTED) is is_changed


@pytest.mark.parametrize(
    ("argv", "cwd", "speaks"),
    [
        (("cat", "/etc/secrets/id_rsa"), "/", True),
        (("cat", "id_rsa"), "/", True),
        (("tar", "c", "/etc/secrets/"), "/", True),
        (("tar", "c", "/etc"), "/", True),
        (("cat", "*"), "/etc/secrets", True),
        (("python3", "-c", "open('/etc/secrets/id_rsa')"), "/", True),
        (("cat", "/tmp/healthy"), "/", False),
        (("cat", "/tmp/healthy"), "/tmp", False),
        (("wget", "http://x/"), "/", False),
    ],
)
def test_a_program_speaks_of_a_file_on_its_command_line_or_by_where_it_runs(
    argv: tuple[str, ...], cwd: str, speaks: bool
) -> None:
    assert given.program(*argv, cwd=cwd).speaks_of("/etc/secrets/id_rsa") is speaks
