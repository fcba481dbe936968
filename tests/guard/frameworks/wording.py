"""Words that a report must not use: it supports evidence, and promises nothing."""

from __future__ import annotations

import re

_PROMISES = re.compile(r"\b(compl(y|ies|iant|iance)|conform(s|ing|ant|ity)?|certified|met|satisf(y|ies|ied))\b", re.I)


def promises(text: str) -> list[str]:
    return [found.group() for found in _PROMISES.finditer(text)]
