"""Every kind of object the platform knows, each declared once. `KINDS` lists them."""

from dabbawala.api.kinds import KINDS

__all__ = ["KINDS"]
