"""What a Rollout asks for, with Argo's defaults filled in on reading and never written back.

Source: Argo Rollouts, utils/defaults and pkg/apis/rollouts/v1alpha1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dabbawala.apimachinery.meta import Object

REVISION_HISTORY_LIMIT = 10
ANALYSIS_HISTORY_LIMIT = 5
PROGRESS_DEADLINE_SECONDS = 600
SCALE_DOWN_DELAY_SECONDS = 30
ABORT_SCALE_DOWN_DELAY_SECONDS = 30
MAX_WEIGHT = 100
SURGE = UNAVAILABLE = "25%"

_PARTS = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _spec(rollout: Object) -> Mapping[str, Any]:
    return rollout.get("spec") or {}


def replicas(rollout: Object) -> int:
    wanted = _spec(rollout).get("replicas")
    return 1 if wanted is None else int(wanted)


def template(rollout: Object) -> Object:
    return dict(_spec(rollout).get("template") or {})


def min_ready_seconds(rollout: Object) -> int:
    return int(_spec(rollout).get("minReadySeconds") or 0)


def is_paused(rollout: Object) -> bool:
    return bool(_spec(rollout).get("paused"))


def progress_deadline(rollout: Object) -> timedelta:
    given = _spec(rollout).get("progressDeadlineSeconds")
    return timedelta(seconds=PROGRESS_DEADLINE_SECONDS if given is None else int(given))


def revision_history_limit(rollout: Object) -> int:
    given = _spec(rollout).get("revisionHistoryLimit")
    return REVISION_HISTORY_LIMIT if given is None else int(given)


def analysis_history_limits(rollout: Object) -> tuple[int, int]:
    """Finished AnalysisRuns to keep: (successful, unsuccessful)."""
    analysis = _spec(rollout).get("analysis") or {}
    good, bad = analysis.get("successfulRunHistoryLimit"), analysis.get("unsuccessfulRunHistoryLimit")
    return (
        ANALYSIS_HISTORY_LIMIT if good is None else int(good),
        ANALYSIS_HISTORY_LIMIT if bad is None else int(bad),
    )


def canary(rollout: Object) -> Object | None:
    found: Object | None = (_spec(rollout).get("strategy") or {}).get("canary")
    return found


def blue_green(rollout: Object) -> Object | None:
    found: Object | None = (_spec(rollout).get("strategy") or {}).get("blueGreen")
    return found


def strategy(rollout: Object) -> Object:
    """The body of whichever strategy is there; empty when there is none."""
    chosen = blue_green(rollout)
    return chosen if chosen is not None else canary(rollout) or {}


def steps(rollout: Object) -> list[Object]:
    return list((canary(rollout) or {}).get("steps") or ())


def routing(rollout: Object) -> Object | None:
    """The trafficRouting block of a canary; None for one that divides traffic by pod counts only."""
    found: Object | None = (canary(rollout) or {}).get("trafficRouting")
    return found


def max_weight(rollout: Object) -> int:
    return int((routing(rollout) or {}).get("maxTrafficWeight") or MAX_WEIGHT)


def is_dynamic(rollout: Object) -> bool:
    return routing(rollout) is not None and bool((canary(rollout) or {}).get("dynamicStableScale"))


def min_pods(rollout: Object) -> int:
    return int((canary(rollout) or {}).get("minPodsPerReplicaSet") or 0)


def services(rollout: Object) -> dict[str, str]:
    """Role -> name of every Service that the Rollout names: active, preview, stable, canary."""
    roles = ("activeService", "previewService", "stableService", "canaryService")
    body = strategy(rollout)
    return {role.removesuffix("Service"): str(body[role]) for role in roles if body.get(role)}


def surge_and_unavailable(rollout: Object) -> tuple[int, int]:
    """Pods above and below `replicas` that a canary may have. Surge rounds up, unavailable down; both 0 would be a
    standstill, so unavailable becomes 1."""
    body, count = strategy(rollout), replicas(rollout)
    surge = share(body.get("maxSurge", SURGE), count, up=True)
    unavailable = min(share(body.get("maxUnavailable", UNAVAILABLE), count, up=False), count)
    return surge, (1 if surge == 0 and unavailable == 0 else unavailable)


def share(value: int | str, count: int, *, up: bool) -> int:
    """An int-or-percent of `count`; a bare `"25"` is read as a percentage."""
    if isinstance(value, int):
        return value
    exact = count * int(value.removesuffix("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def seconds(duration: int | str | None) -> float:
    """`300`, `"300"`, `"30s"`, `"1h30m"` in seconds; None is 0. Raises ValueError on anything else."""
    if duration is None:
        return 0.0
    text = str(duration)
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{duration!r} is no duration; write seconds, or such as 30s, 10m, 1h30m")
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)


def scale_down_delay(rollout: Object) -> timedelta:
    """How long a set that lost its traffic stays up. Basic canaries have none; dynamic stable scale keeps none."""
    given = strategy(rollout).get("scaleDownDelaySeconds")
    if given is not None:
        return timedelta(seconds=int(given))
    delayed = blue_green(rollout) is not None or (routing(rollout) is not None and not is_dynamic(rollout))
    return timedelta(seconds=SCALE_DOWN_DELAY_SECONDS if delayed else 0)


def scale_down_revision_limit(rollout: Object) -> int | None:
    given = strategy(rollout).get("scaleDownDelayRevisionLimit")
    return None if given is None else int(given)


def abort_scale_down_delay(rollout: Object) -> timedelta | None:
    """How long an aborted set stays up; None keeps it for ever (an explicit 0)."""
    given = strategy(rollout).get("abortScaleDownDelaySeconds")
    if given is None:
        return timedelta(seconds=ABORT_SCALE_DOWN_DELAY_SECONDS)
    return timedelta(seconds=int(given)) if int(given) else None


def auto_promotion(rollout: Object) -> tuple[bool, int]:
    """(enabled, seconds to wait first) of a blue-green Rollout."""
    body = blue_green(rollout) or {}
    return body.get("autoPromotionEnabled") is not False, int(body.get("autoPromotionSeconds") or 0)


def preview_replicas(rollout: Object) -> int | None:
    given = (blue_green(rollout) or {}).get("previewReplicaCount")
    return None if given is None else int(given)


def progress_threshold(rollout: Object) -> Object | None:
    found: Object | None = (canary(rollout) or {}).get("replicaProgressThreshold")
    return found
