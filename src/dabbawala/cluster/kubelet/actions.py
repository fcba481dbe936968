"""What a node agent can do for a pod: a small closed set. Whoever adds an action completes the worker's match."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from dabbawala.apimachinery.meta import Object


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """Patch these fields of the pod's status; None removes a field."""

    changes: Object


@dataclass(frozen=True, slots=True)
class PrepareVolumes:
    """Put every volume of the pod in place."""


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Create the pod's namespaces and address."""


@dataclass(frozen=True, slots=True)
class ResolveImage:
    """Find the image on this node. `policy` is the container's imagePullPolicy."""

    image: str
    policy: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start the container. `crashes` counts starts after an exit in a row, this one included."""

    name: str
    attempt: int
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a lifecycle hook beside everything else; its end wakes the pod's worker."""

    name: str
    attempt: int
    hook: Literal["postStart", "preStop"]


@dataclass(frozen=True, slots=True)
class BeginStop:
    """Note that the container is being stopped, from now on and with this grace in seconds."""

    name: str
    attempt: int
    grace_seconds: int
    reason: str
    message: str
    has_hook: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to the container's first process."""

    name: str
    attempt: int
    signal: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """Give back namespaces, address and, unless the sandbox was `lost` and a new one will follow, the volumes."""

    lost: bool = False


@dataclass(frozen=True, slots=True)
class FinishDelete:
    """Delete the pod from the API with grace 0, and forget it here."""


Action = (
    PublishStatus | PrepareVolumes | CreateSandbox | ResolveImage | StartContainer | RunHook | BeginStop | Signal
    | RemoveSandbox | FinishDelete
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KubeletPlan:
    """Actions in order, and how long to rest at most when nothing else happens."""

    actions: tuple[Action, ...] = ()
    requeue_after: timedelta | None = None
