"""A Fluentd configuration as plain data: its directives in their order, each with parameters and what is inside it.

Pure. Source: docs.fluentd.org, config-file (v1 syntax); events meet filters and matches in the order of the file.
"""

from __future__ import annotations

import re

from dabbawala.apimachinery.meta import Object

DIRECTIVES_MAX = 2000
"""Directives of one configuration that are looked at."""

_OPEN = re.compile(r"<\s*([a-z_]+)\s*([^>]*)>")
_CLOSE = re.compile(r"</\s*([a-z_]+)\s*>")
_PARAMETER = re.compile(r"(@?[\w.-]+)(?:\s+(.*))?")


def model(text: str) -> Object:
    """`directives`: those at the top, in order, and `lost`, whose events an earlier match has taken."""
    top: Object = {"name": "", "pattern": "", "line": 1, "parameters": {}, "lines": {}, "inside": []}
    opened, count, faults = [top], 0, []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#") or count > DIRECTIVES_MAX:
            continue
        if (begun := _OPEN.fullmatch(line)) is not None:
            count += 1
            entry: Object = {
                "name": begun[1], "pattern": begun[2].strip(), "line": number, "parameters": {}, "lines": {},
                "inside": [],
            }  # fmt: skip
            opened[-1]["inside"].append(entry)
            opened.append(entry)
        elif (ended := _CLOSE.fullmatch(line)) is not None:
            if len(opened) > 1 and opened[-1]["name"] == ended[1]:
                opened.pop()
            else:
                faults.append({"line": number, "message": f"</{ended[1]}> closes nothing that is open"})
        elif (parameter := _PARAMETER.match(line)) is not None:
            opened[-1]["parameters"][parameter[1]] = (parameter[2] or "").strip()
            opened[-1]["lines"][parameter[1]] = number
    faults += [{"line": entry["line"], "message": f"<{entry['name']}> is never closed"} for entry in opened[1:]]
    directives = top["inside"]
    return {"directives": directives, "faults": faults, "lost": _lost(directives)}


def _lost(directives: list[Object]) -> list[Object]:
    """Filters and matches that no event reaches: a match before them has taken all that they ask for."""
    taken: list[tuple[str, int]] = []
    found = []
    for entry in directives:
        if entry["name"] not in ("filter", "match"):
            continue
        behind = next((line for pattern, line in taken if _covers(pattern, entry["pattern"])), 0)
        if behind:
            found.append({"line": entry["line"], "name": entry["name"], "pattern": entry["pattern"], "behind": behind})
        passes = entry["parameters"].get("@type") in ("copy_and_pass", "rewrite_tag_filter", "relabel")
        if entry["name"] == "match" and not passes:
            taken += [(pattern, entry["line"]) for pattern in entry["pattern"].split()]
    return found


def _covers(taken: str, wanted: str) -> bool:
    if taken == "**" or all(taken == one for one in wanted.split()):
        return True
    if not taken.endswith(".**"):
        return False
    head = taken.removesuffix(".**")
    return all(one == head or one.startswith(f"{head}.") for one in wanted.split())
