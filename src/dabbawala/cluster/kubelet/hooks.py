"""Running a lifecycle hook: exec, httpGet, tcpSocket (accepted, does nothing, as upstream) and sleep.

Source: pkg/kubelet/lifecycle/handlers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet.probes import ask
from dabbawala.cluster.kubelet.probes.ask import BadPort, Reach
from dabbawala.cluster.kubelet.probes.verdict import NotAsked


async def run(item: Object, hook: Mapping[str, Any], reach: Reach, clock: Clock) -> str:
    """Why the hook failed; empty when it did not. Takes as long as the hook: whoever stops a container has a timer."""
    try:
        return await _run(item, hook, reach, clock)
    except (BadPort, NotAsked) as failed:
        return str(failed)


async def _run(item: Object, hook: Mapping[str, Any], reach: Reach, clock: Clock) -> str:
    if hook.get("sleep"):
        await clock.sleep(float(hook["sleep"]["seconds"]))
        return ""
    if hook.get("exec"):
        code, output = await reach.run(list(hook["exec"].get("command") or ()))
        return "" if code == 0 else f"exited with {code}: {output[: ask.MAX_BODY].decode(errors='replace').strip()}"
    if hook.get("httpGet"):
        answer = await ask.http_get(item, hook["httpGet"], reach)
        return "" if answer.ok else answer.text
    return ""
