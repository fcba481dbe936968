"""What all tests have in common."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how fast an example is depends on the machine, not on the code
settings.load_profile("untimed")
