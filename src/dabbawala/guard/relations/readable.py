"""Objects that can be read as what they say they are. One that cannot is told where it stands, and must not keep a scan
from answering about all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest

BROKEN = (BadRequest, AttributeError, TypeError, ValueError, KeyError, IndexError, RecursionError)
"""What reading an object of an unexpected shape raises."""


def readable(objects: Iterable[Object], read: Callable[[Object], object]) -> Iterator[Object]:
    for found in objects:
        try:
            read(found)
        except BROKEN:
            continue
        yield found
