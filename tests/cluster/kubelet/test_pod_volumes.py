"""What of the host a pod's volumes show: their own place, and not what a pod has put links to in the meantime."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.downward import Place
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.sources import SourceReader
from dabbawala.cluster.kubelet.tokens import Tokens
from dabbawala.cluster.kubelet.volumes.content import VolumeError
from dabbawala.cluster.kubelet.volumes.pod_volumes import PodVolumes
from dabbawala.cluster.sandbox.spec import Mount
from tests.cluster.kubelet.pods import container, pod

PLACE = Place("node-1", "10.42.1.1", "10.42.1.2", nodes.this_machine())
OURS = {"pv.kubernetes.io/provisioned-by": "dabbawala.dev/local"}


class Shown:
    """The volumes of one pod, on a node whose data directory is in `folder`."""

    def __init__(self, volumes: PodVolumes, folder: Path) -> None:
        self.volumes = volumes
        self.folder = folder

    async def prepare(self, volume: dict[str, Any], **mount: Any) -> dict[str, Any]:
        mounts = [{"name": "v", "mountPath": "/v", **mount}]
        made = pod(container(volumeMounts=mounts), volumes=[{"name": "v", **volume}])
        await self.volumes.prepare(made, PLACE)
        return made

    def mount(self, made: dict[str, Any], **mount: Any) -> Mount:
        item = made["spec"]["containers"][0]
        (found,) = self.volumes.mounts(made, {**item, "volumeMounts": [{**item["volumeMounts"][0], **mount}]}, {})
        return found

    async def claim(self, path: Path, **metadata: Any) -> dict[str, Any]:
        """A bound claim of a volume at the path, as a pod's volume."""
        client = self.volumes.client
        node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
        storage = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": str(path)}}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}}
        body = {"metadata": {"name": "pv", **metadata}, "spec": {**storage, "nodeAffinity": affinity}}
        await client.create(core_v1.PERSISTENT_VOLUME, body)
        asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"}
        claim = {"metadata": {"name": "claim"}, "spec": asked}
        await client.create(core_v1.PERSISTENT_VOLUME_CLAIM, claim, "default")
        bound = {"status": {"phase": "Bound"}}
        await client.patch(core_v1.PERSISTENT_VOLUME_CLAIM, "claim", "default", bound, subresource="status")
        return {"persistentVolumeClaim": {"claimName": "claim"}}


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Shown]:
    data = tmp_path / "data"
    files = PodFiles(data / "nodes/node-1", protected=(data, tmp_path / "run"), local_volumes=data / "volumes")
    async with APIServer.in_memory(KINDS) as server:
        client, clock = Client(server.transport()), SystemClock()
        yield Shown(PodVolumes(client, files, SourceReader(client, clock), Tokens(client, clock)), tmp_path)


async def test_a_sub_path_through_the_pods_own_link_touches_nothing_outside(shown: Shown) -> None:
    made = await shown.prepare({"emptyDir": {}})
    volume = Path(shown.mount(made).source)
    outside = shown.folder / "outside"
    outside.mkdir(mode=0o700)
    (volume / "link").symlink_to(outside)
    (volume / "missing").symlink_to(outside / "not-there")
    for path in ("link", "link/made", "missing", "missing/made"):
        with pytest.raises(VolumeError, match="leads out of its volume"):
            shown.mount(made, subPath=path)
    assert not list(outside.iterdir())
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


async def test_a_sub_path_is_made_with_the_mode_of_its_volume(shown: Shown) -> None:
    made = await shown.prepare({"emptyDir": {}})
    old = os.umask(0o077)
    try:
        mount = shown.mount(made, subPath="deep/er")
    finally:
        os.umask(old)
    volume = Path(mount.source)
    assert [stat.S_IMODE((volume / path).stat().st_mode) for path in ("deep", "deep/er")] == [0o777, 0o777]
    (volume / "alias").symlink_to("deep/er/../er")
    assert shown.mount(made, subPath="alias").sub_path == "alias"


async def test_a_host_path_is_looked_at_again_for_every_container(shown: Shown) -> None:
    (shown.folder / "host/real").mkdir(parents=True)
    link = shown.folder / "host/link"
    link.symlink_to("real")
    made = await shown.prepare({"hostPath": {"path": str(link)}})
    assert shown.mount(made).source == str(shown.folder / "host/real")
    link.unlink()
    link.symlink_to(shown.folder / "data/volumes")
    with pytest.raises(VolumeError, match="cluster's own state"):
        shown.mount(made)


@pytest.mark.parametrize("kind", ["DirectoryOrCreate", "FileOrCreate"])
async def test_a_host_path_that_leads_into_the_clusters_state_makes_nothing_there(shown: Shown, kind: str) -> None:
    (shown.folder / "data").mkdir()
    (shown.folder / "link").symlink_to(shown.folder / "data/planted")
    with pytest.raises(VolumeError, match="cluster's own state"):
        await shown.prepare({"hostPath": {"path": str(shown.folder / "link"), "type": kind}})
    assert not list((shown.folder / "data").iterdir())


async def test_a_host_path_is_made_as_its_type_asks(shown: Shown) -> None:
    folder, file = shown.folder / "host/new/folder", shown.folder / "host/new/file"
    await shown.prepare({"hostPath": {"path": str(folder), "type": "DirectoryOrCreate"}})
    await shown.prepare({"hostPath": {"path": str(file), "type": "FileOrCreate"}})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert file.is_file()
    with pytest.raises(VolumeError, match="No such file"):
        await shown.prepare({"hostPath": {"path": str(shown.folder / "none/file"), "type": "FileOrCreate"}})


async def test_links_in_a_circle_are_said(shown: Shown) -> None:
    (shown.folder / "circle").symlink_to("circle")
    with pytest.raises(VolumeError, match="too many symbolic links"):
        await shown.prepare({"hostPath": {"path": str(shown.folder / "circle")}})


async def test_a_claim_shows_its_volume_and_no_other_volume_of_the_cluster(shown: Shown) -> None:
    path = shown.folder / "data/volumes/pv"
    made = await shown.prepare(await shown.claim(path, annotations=OURS))
    assert shown.mount(made).source == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


async def test_a_claim_of_a_path_that_has_come_to_lead_into_the_clusters_state_is_refused(shown: Shown) -> None:
    (shown.folder / "data/volumes/other").mkdir(parents=True)
    path = shown.folder / "elsewhere"
    path.symlink_to(shown.folder / "data/volumes/other")
    with pytest.raises(VolumeError, match="cluster's own state"):
        await shown.prepare(await shown.claim(path))


async def test_a_read_only_claim_is_read_only_whatever_the_mount_says(shown: Shown) -> None:
    volume = await shown.claim(shown.folder / "data/volumes/pv", annotations=OURS)
    volume["persistentVolumeClaim"]["readOnly"] = True
    made = await shown.prepare(volume, readOnly=False)
    assert shown.mount(made).read_only
    assert shown.mount(made, subPath="deep").read_only
