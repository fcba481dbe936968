"""Whom to call: four contacts, as annotations of the workload or its namespace, each one that can be called.

`readiness.dabbawala.dev/contact-on-call: +91 22 5550 0100`. Source: scenario S022.
"""

from __future__ import annotations

import re

from dabbawala.readiness.observed import Observed

ROLES = {"on-call": "On-call engineer", "devops": "DevOps lead", "security": "Security", "war-room": "War room"}
_PHONE = re.compile(r"\+\d[\d ()-]{6,20}\d")
_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[a-z]{2,}")
_LINK = re.compile(r"https://\S+")
_PLACEHOLDER = re.compile(r"x{3,}|0{6,}|\b(example|todo|tbd|changeme)\b", re.I)


def of(observed: Observed) -> dict[str, str]:
    """Role -> contact, of those that are given."""
    return {role: given for role in ROLES if (given := observed.setting(f"contact-{role}"))}


def faults(observed: Observed) -> list[str]:
    """What is wrong with the four, as sentences."""
    given = of(observed)
    found = [f"no contact for {role}" for role in ROLES if role not in given]
    return found + [
        f"the contact for {role}, {text!r}, cannot be called" for role, text in given.items() if not _real(text)
    ]


def _real(text: str) -> bool:
    """A phone number with its country, an address or a link, and no placeholder for one."""
    return any(form.fullmatch(text.strip()) for form in (_PHONE, _MAIL, _LINK)) and not _PLACEHOLDER.search(text)
