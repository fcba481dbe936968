"""What is kept and what is backed up: which namespaces hold data, and which schedules would bring it back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.inventory import Item
from dabbawala.guard.world import TYPE, World

_VELERO = "Schedule.velero.io"
_OF_NAMESPACES = (
    "ScheduledBackup.postgresql.cnpg.io", "Schedule.k8up.io", "BackupConfiguration.stash.appscode.com",
    "BackupConfiguration.core.kubestash.com", "SnapshotSchedule.snapscheduler.backube",
    "ReplicationSource.volsync.backube", "PerconaServerMongoDBBackup.psmdb.percona.com",
)  # fmt: skip
_OF_THE_CLUSTER = ("Policy.config.kio.kasten.io", "RecurringJob.longhorn.io", "RecurringJob.longhorn.rancher.io")
_DATABASES = (
    "Cluster.postgresql.cnpg.io", "postgresql.acid.zalan.do", "PostgresCluster.postgres-operator.crunchydata.com",
    "PerconaXtraDBCluster.pxc.percona.com", "PerconaServerMongoDB.psmdb.percona.com",
    "MongoDBCommunity.mongodbcommunity.mongodb.com", "InnoDBCluster.mysql.oracle.com", "Kafka.kafka.strimzi.io",
    "Elasticsearch.elasticsearch.k8s.elastic.co", "CassandraDatacenter.cassandra.datastax.com",
    "K8ssandraCluster.k8ssandra.io",
)  # fmt: skip
_BACKUP = re.compile(r"backup|dump|snapshot")


def stateful(world: World, namespace: str) -> list[str]:
    """What of a namespace holds data: claims, StatefulSets with volumes of their own, databases of operators."""
    return [f"{item.kind} {item.name}" for item in _stateful(world, namespace)]


def _stateful(world: World, namespace: str) -> Iterator[Item]:
    yield from world.items("PersistentVolumeClaim", namespace)
    for item in world.items("StatefulSet", namespace):
        if (item.object.get("spec") or {}).get("volumeClaimTemplates"):
            yield item
    for kind in _DATABASES:
        yield from world.items(kind, namespace)


def scheduled(world: World, namespace: str) -> list[str]:
    """The schedules that back up a namespace, as `Schedule velero/daily`."""
    return [repr(item).removeprefix("Item(").removesuffix(")") for item in _scheduled(world, namespace)]


def _scheduled(world: World, namespace: str) -> Iterator[Item]:
    for item in world.items(_VELERO):
        if _includes(item.object, namespace):
            yield item
    for kind in _OF_NAMESPACES:
        yield from world.items(kind, namespace)
    for kind in _OF_THE_CLUSTER:
        yield from world.items(kind)
    yield from (item for item in world.items("CronJob", namespace) if _BACKUP.search(item.name))


def _includes(schedule: Object, namespace: str) -> bool:
    spec = schedule.get("spec") or {}
    template = spec.get("template") or {}
    included, excluded = template.get("includedNamespaces") or ["*"], template.get("excludedNamespaces") or ()
    return not spec.get("paused") and _among(namespace, included) and not _among(namespace, excluded)


def _among(name: str, patterns: Any) -> bool:
    return any(p == "*" or p == name or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def has_schedules(world: World) -> bool:
    """Whether the scan has any schedule of backups: who keeps them here, keeps all of them here."""
    kinds = (_VELERO, *_OF_NAMESPACES, *_OF_THE_CLUSTER)
    return any(world.items(kind) for kind in kinds)


def last_good(world: World, schedule: Mapping[str, Any]) -> str:
    """When the last backup of a Velero Schedule was completed without a failure, as RFC 3339; empty if none was."""
    metadata = schedule.get("metadata") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace") or ""
    ends = [
        str((backup.get("status") or {}).get("completionTimestamp") or "")
        for backup in world.objects("Backup.velero.io", namespace)
        if ((backup.get("metadata") or {}).get("labels") or {}).get("velero.io/schedule-name") == name
        and (backup.get("status") or {}).get("phase") == "Completed"
    ]
    return max(ends, default="")


FUNCTIONS = (
    Function("stateful", (TYPE, "string"), "list<string>", stateful, receiver=True),
    Function("scheduled", (TYPE, "string"), "list<string>", scheduled, receiver=True),
    Function("hasSchedules", (TYPE,), "bool", has_schedules, receiver=True),
    Function("lastGood", (TYPE, "dyn"), "string", last_good, receiver=True),
)
