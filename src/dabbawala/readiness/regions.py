"""One name for a place that clouds name differently, and which places are in India.

`mumbai` is ap-south-1 for one provider, asia-south1 for another. A place that the table does not know keeps its name
and is not taken to be in India.
"""

from __future__ import annotations

ALIASES = {
    "mumbai": ("ap-south-1", "asia-south1", "westindia", "mumbai-1", "in-mumbai", "ap-mumbai-1", "bom"),
    "delhi": ("asia-south2", "delhi-1", "in-delhi", "del"),
    "bangalore": ("bangalore-1", "bengaluru", "blr1", "in-bangalore"),
    "hyderabad": ("ap-south-2", "hyderabad-1", "ap-hyderabad-1", "indiasouthcentral", "hyd"),
    "pune": ("centralindia", "jioindiacentral", "pune-1"),
    "chennai": ("southindia", "chennai-1", "in-maa", "maa"),
    "jamnagar": ("jioindiawest",),
}
SERVING = ("mumbai", "bangalore", "delhi")
"""Where a service is expected to run, unless it names its own by the annotation `regions`."""

_PLACES = {alias: place for place, aliases in ALIASES.items() for alias in (place, *aliases)}


def place(region: str) -> str:
    """The place of a region, by any provider's name for it; the name itself when the table does not know it."""
    return _PLACES.get(region.strip().lower(), region.strip().lower())


def is_indian(region: str) -> bool:
    return place(region) in ALIASES
