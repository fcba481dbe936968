"""Starting one container: its environment, image, mounts and user are gathered, and the runtime is asked.

What cannot be gathered is a state that the pod's status shows (CreateContainerConfigError and its kin), not a failure
of the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.kubelet import environment, launch
from dabbawala.cluster.kubelet.environment import ConfigError
from dabbawala.cluster.kubelet.launch import Prepared
from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.kubelet.observed import Waiting
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure
from dabbawala.cluster.kubelet.volumes.content import VolumeError

CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
RETRY = timedelta(seconds=1)

START_ERRORS = frozenset({"StartError"})
"""Refusals after which the runtime has a run on record, which ended before it began."""


async def start(parts: NodeParts, pod: Mapping[str, Any], item: Object, attempt: int, address: str) -> Waiting | None:
    """None when the container was started, or has a failed run on record; else why it must wait."""
    try:
        image = parts.images.resolve(item.get("image", ""))
        if image is None:
            raise ConfigError(f'image "{item.get("image", "")}" is gone from the local image store')
        prepared = await _prepare(parts, pod, item, attempt, address)
        wanted = launch.container(pod, item, attempt, image, prepared)
        await parts.runtime.start(meta.uid(pod), wanted)
    except (ConfigError, VolumeError) as bad:
        return Waiting(CONFIG_ERROR, str(bad), parts.clock.now() + RETRY)
    except StatusError as unanswered:
        return Waiting(CONFIG_ERROR, unanswered.message, parts.clock.now() + RETRY)
    except RuntimeFailure as failed:
        if failed.reason in START_ERRORS or failed.reason == "AlreadyRunning":
            return None
        reason = CONFIG_ERROR if failed.reason == "IdsNotMapped" else CREATE_ERROR
        return Waiting(reason, failed.message, parts.clock.now() + RETRY)
    return None


async def _prepare(parts: NodeParts, pod: Mapping[str, Any], item: Object, attempt: int, address: str) -> Prepared:
    """Raises ConfigError, VolumeError or StatusError."""
    sources = await parts.sources.read(meta.namespace(pod), environment.references(item), services=True)
    variables = environment.variables(pod, item, sources, parts.place(address))
    mounts = parts.volumes.mounts(pod, item, variables)
    log = parts.files.log(meta.uid(pod), item["name"], attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    return Prepared(variables, mounts, str(log))
