"""Claims and volumes: binding, local provisioning, protection and reclaiming.

A claim takes the smallest volume that fits, or gets one made. Binding is written on the volume first and on the claim
second, so that a crash between leaves a volume that knows its claim and is found again.
Source: pkg/controller/volume/persistentvolume and pvcprotection in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile import persistent_volumes, pods
from dabbawala.reconcile.plan import Action, Create, Delete, Patch, Plan, Record, patch_status, status_change

PROVISIONER = "dabbawala.dev/local"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BOUND = "pv.kubernetes.io/bind-completed"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"

PathOf = Callable[[str], str]
"""Where on the host the data of the volume of this name lives."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a claim is planned with: its class, all volumes, the pods of its namespace."""

    storage_class: Object | None
    volumes: Sequence[Object]
    pods: Sequence[Object]


def plan_claim(claim: Object, around: Surroundings, path_of: PathOf) -> Plan:
    if meta.is_deleting(claim):
        return _release_protection(claim, around.pods)
    name = claim["spec"].get("volumeName")
    if name:
        return _complete(claim, next((volume for volume in around.volumes if meta.name(volume) == name), None))
    fitting = persistent_volumes.fitting(around.volumes, claim)
    if fitting and persistent_volumes.is_for(fitting[0], claim):
        return _bind(claim, fitting[0])
    waiting = _waits_for_consumer(around.storage_class) and SELECTED_NODE not in meta.annotations(claim)
    if waiting:
        text = "waiting for first consumer to be created before binding"
        return Plan((*_pending(claim), Record(claim, "WaitForFirstConsumer", text)))
    if fitting:
        return _bind(claim, fitting[0])
    return _provision(claim, around.storage_class, path_of)


def _pending(claim: Object) -> tuple[Action, ...]:
    return status_change(core_v1.PERSISTENT_VOLUME_CLAIM, claim, {"phase": "Pending"})


def _waits_for_consumer(storage_class: Object | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _bind(claim: Object, volume: Object) -> Plan:
    actions: list[Action] = []
    reference = persistent_volumes.reference(claim)
    if (volume["spec"].get("claimRef") or {}).get("uid") != meta.uid(claim):
        body: Object = {
            "spec": {"claimRef": reference},
            "metadata": {"annotations": {persistent_volumes.BOUND_BY_US: "yes"}},
        }
        version = meta.resource_version(volume)
        actions.append(Patch(core_v1.PERSISTENT_VOLUME, meta.key(volume), body, resource_version=version))
    marks = {BOUND: "yes", persistent_volumes.BOUND_BY_US: "yes"}
    body = {"spec": {"volumeName": meta.name(volume)}, "metadata": {"annotations": marks}}
    actions.append(Patch(core_v1.PERSISTENT_VOLUME_CLAIM, meta.key(claim), body))
    return Plan((*actions, *_bound_status(claim, volume)))


def _bound_status(claim: Object, volume: Object) -> tuple[Action, ...]:
    status = {
        "phase": "Bound",
        "accessModes": list(volume["spec"].get("accessModes") or ()),
        "capacity": dict(volume["spec"].get("capacity") or {}),
    }
    return status_change(core_v1.PERSISTENT_VOLUME_CLAIM, claim, status)


def _complete(claim: Object, volume: Object | None) -> Plan:
    """A claim that names its volume: Bound when the volume agrees, Lost when it is gone after they were bound."""
    if volume is None or not _agrees(volume, claim):
        if BOUND not in meta.annotations(claim):
            return Plan(_pending(claim))
        text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        lost = status_change(core_v1.PERSISTENT_VOLUME_CLAIM, claim, {"phase": "Lost"})
        return Plan((*lost, *((Record(claim, "ClaimLost", text, "Warning"),) if lost else ())))
    if BOUND in meta.annotations(claim) and (volume["spec"].get("claimRef") or {}).get("uid"):
        return Plan(_bound_status(claim, volume))
    return _bind(claim, volume)


def _agrees(volume: Object, claim: Object) -> bool:
    return not volume["spec"].get("claimRef") or persistent_volumes.is_for(volume, claim)


def _provision(claim: Object, storage_class: Object | None, path_of: PathOf) -> Plan:
    wanted = claim["spec"].get("storageClassName")
    if storage_class is None:
        text = "no persistent volumes available for this claim and no storage class is set"
        reason = "FailedBinding"
        if wanted:
            text, reason = f'storageclass.storage.k8s.io "{wanted}" not found', "ProvisioningFailed"
        return Plan((*_pending(claim), Record(claim, reason, text, "Warning" if wanted else "Normal")))
    if storage_class.get("provisioner") != PROVISIONER:
        name = storage_class.get("provisioner")
        text = f"Waiting for a volume to be created either by the external provisioner '{name}' or manually"
        return Plan((*_pending(claim), Record(claim, "ExternalProvisioning", text)))
    made = _volume(claim, storage_class, path_of)
    text = f"Successfully provisioned volume {meta.name(made)}"
    return Plan((Create(core_v1.PERSISTENT_VOLUME, made), Record(claim, "ProvisioningSucceeded", text)))


def _volume(claim: Object, storage_class: Object, path_of: PathOf) -> Object:
    name = f"pvc-{meta.uid(claim)}"
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}, "finalizers": [VOLUME_PROTECTION]},
        "spec": {
            "capacity": {"storage": requests.get("storage", "0")},
            "accessModes": list(claim["spec"].get("accessModes") or ("ReadWriteOnce",)),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": meta.name(storage_class),
            "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
            "hostPath": {"path": path_of(name), "type": "DirectoryOrCreate"},
            "claimRef": persistent_volumes.reference(claim),
            **_affinity(claim, storage_class),
        },
    }


def _affinity(claim: Object, storage_class: Object) -> Object:
    """With parameter `nodeAffinity: "true"` the volume stays on the node that was selected, as a local disk would;
    otherwise every node of this machine can mount it."""
    node = meta.annotations(claim).get(SELECTED_NODE)
    if not node or (storage_class.get("parameters") or {}).get("nodeAffinity") != "true":
        return {}
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}


def _release_protection(claim: Object, users: Sequence[Object]) -> Plan:
    """A claim in use stays until the last pod that uses it has ended."""
    finalizers = meta.finalizers(claim)
    if CLAIM_PROTECTION not in finalizers or any(_uses(pod, meta.name(claim)) for pod in users):
        return Plan()
    kept = [item for item in finalizers if item != CLAIM_PROTECTION]
    return Plan((_finalizers(core_v1.PERSISTENT_VOLUME_CLAIM, claim, kept),))


def _uses(pod: Object, claim: str) -> bool:
    return not pods.is_finished(pod) and claim in claims_of(pod)


def claims_of(pod: Object) -> list[str]:
    """Names of the claims that a pod mounts."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return [item["persistentVolumeClaim"]["claimName"] for item in volumes if item.get("persistentVolumeClaim")]


def plan_volume(volume: Object, claim: Object | None, *, data_removed: bool) -> Plan:
    """`claim` is the one that the volume names, when it exists with that uid; `data_removed` that nothing is left of
    a released volume's data, so that it may go."""
    if meta.is_deleting(volume):
        return _volume_gone(volume, claim)
    reference = volume["spec"].get("claimRef") or {}
    if not reference:
        return Plan(_phase(volume, "Available"))
    if claim is not None or not reference.get("uid"):
        bound = claim is not None and claim["spec"].get("volumeName") == meta.name(volume)
        return Plan(_phase(volume, "Bound" if bound else _phase_of(volume, "Available")))
    if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete" or not is_ours(volume):
        return Plan(_phase(volume, "Released"))
    released = _phase(volume, "Released")
    if released or not data_removed:
        return Plan(released)
    return Plan((Delete(core_v1.PERSISTENT_VOLUME, meta.key(volume), uid=meta.uid(volume)),))


def is_ours(volume: Object) -> bool:
    """Made by the local provisioner, as far as the volume itself tells."""
    return meta.annotations(volume).get(PROVISIONED_BY) == PROVISIONER


def is_to_be_erased(volume: Object, claim: Object | None, path_of: PathOf) -> bool:
    """Released, ours, and meant to be deleted with its claim. Anybody may write a volume that says it is ours: nothing
    is erased but the folder that the provisioner gives to a volume of this name."""
    if (volume["spec"].get("hostPath") or {}).get("path") != path_of(meta.name(volume)):
        return False
    released = (volume.get("status") or {}).get("phase") == "Released" and claim is None
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    return released and is_ours(volume) and policy == "Delete" and not meta.is_deleting(volume)


def _phase_of(volume: Object, default: str) -> str:
    return str((volume.get("status") or {}).get("phase") or default)


def _phase(volume: Object, phase: str) -> tuple[Action, ...]:
    if _phase_of(volume, "") == phase:
        return ()
    return (patch_status(core_v1.PERSISTENT_VOLUME, meta.key(volume), {"phase": phase}),)


def _volume_gone(volume: Object, claim: Object | None) -> Plan:
    """A volume that is bound stays until its claim is gone."""
    if claim is not None or VOLUME_PROTECTION not in meta.finalizers(volume):
        return Plan()
    kept = [item for item in meta.finalizers(volume) if item != VOLUME_PROTECTION]
    return Plan((_finalizers(core_v1.PERSISTENT_VOLUME, volume, kept),))


def _finalizers(kind: Kind, obj: Object, kept: list[str]) -> Patch:
    body = {"metadata": {"uid": meta.uid(obj), "finalizers": kept or None}}
    return Patch(kind, meta.key(obj), body, resource_version=meta.resource_version(obj))


def claim_key(volume: Object) -> ObjectKey | None:
    """The claim that a volume names."""
    reference = volume["spec"].get("claimRef") or {}
    return ObjectKey(reference["namespace"], reference["name"]) if reference.get("name") else None
