"""`$(NAME)` in commands, arguments and variables. Pure. Source: third_party/forked/golang/expansion.

`$(NAME)` becomes the variable's value; an unknown name stays as it is; `$$` is a plain `$`, so `$$(NAME)` is not
expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)(\)|\Z))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if not match[2]:  # never closed: no reference, and none after it
            return "$(" + name.replace("$$", "$")
        return variables.get(name, match[0])

    return _REFERENCE.sub(replaced, text) if "$" in text else text
