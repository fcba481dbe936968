"""By what images are judged where nobody says otherwise. Commands name these numbers in their help, and import nothing
else for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DEADLINE_DAYS: Mapping[str, int] = MappingProxyType({"critical": 30, "high": 90, "medium": 180})
SCAN_AGE_DAYS_MAX = 7
"""A report that is older tells nothing of today."""
IMAGE_AGE_DAYS_MAX = 180
"""Since it was built; by then what it is built on has had several updates."""
EPSS_LEAST = 0.5
"""Probability of exploitation in the next 30 days from which a vulnerability counts as exploited."""
