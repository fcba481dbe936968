"""What becomes of an image that is not there: first ErrImagePull, then ImagePullBackOff, or ErrImageNeverPull. Pure.

There is no registry: an image is in this machine's store or it must be built, and the message says how.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dabbawala.cluster.kubelet.observed import ImageState
from dabbawala.cluster.kubelet.restarts import BackOff

LOCAL_BACK_OFF = BackOff(timedelta(seconds=1), timedelta(seconds=10))
"""Looking into the local store costs nothing, so an image that has just been built is found soon."""


def missing(image: str, policy: str, known: ImageState | None, now: datetime, back_off: BackOff) -> ImageState:
    """The next state of an image that was looked for in vain."""
    failures = 0 if known is None else known.failures
    retry_at = now + back_off.wait(failures + 1)
    remedy = f"build it here: dabba image build DIR -t {image}"
    if policy == "Never":
        message = f'Container image "{image}" is not present with pull policy of Never; {remedy}'
        return ImageState(reason="ErrImageNeverPull", message=message, failures=failures + 1, retry_at=retry_at)
    why = f'image "{image}" is not in the local image store, and there is no registry to pull it from; {remedy}'
    if failures == 0:
        return ImageState(reason="ErrImagePull", message=why, failures=1, retry_at=retry_at)
    message = f'Back-off pulling image "{image}": ErrImagePull: {why}'
    return ImageState(reason="ImagePullBackOff", message=message, failures=failures + 1, retry_at=retry_at)
