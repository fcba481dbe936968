"""What can go wrong in the store.

StoreError
├── Compacted     the revision asked for is no longer kept
├── Future        the revision asked for has not been reached
├── Mismatch      a write expected another revision of its key
├── NoSpace       the disk, or the allowed size, is full; nothing was written
├── WriteFailed   the disk refused the write for another reason; nothing was written
├── Locked        another process has this directory open
├── Corrupt       the file is damaged, or is not ours
└── Closed        the store has been closed
"""

from __future__ import annotations


class StoreError(Exception):
    """A failed store operation; the message is a sentence for a person."""


class Compacted(StoreError):
    def __init__(self, revision: int, floor: int) -> None:
        super().__init__(f"revision {revision} has been compacted; the oldest kept is {floor}")
        self.revision = revision
        self.floor = floor


class Future(StoreError):
    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"revision {revision} has not been reached; the newest is {current}")
        self.revision = revision
        self.current = current


class Mismatch(StoreError):
    """`found` is 0 when the key does not exist."""

    def __init__(self, key: object, expected: int, found: int) -> None:
        super().__init__(f"{key}: expected revision {expected}, found {found}")
        self.expected = expected
        self.found = found


class NoSpace(StoreError):
    pass


class WriteFailed(StoreError):
    pass


class Locked(StoreError):
    pass


class Corrupt(StoreError):
    pass


class Closed(StoreError):
    pass
