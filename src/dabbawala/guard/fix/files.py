"""Writing a repaired file: whole or not at all, with the mode it had, and only if it is still what was read."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


class CannotWrite(Exception):
    """The file stays as it is; the message says why."""


def replace(name: str, before: bytes, after: bytes) -> None:
    """Put `after` where `before` was. A link stays one: what it leads to is written. Raises CannotWrite."""
    path = Path(os.path.realpath(name))
    made: str | None = None
    try:
        status = path.stat()
        descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            with suppress(OSError):  # only root may give files away
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        if path.read_bytes() != before:
            raise CannotWrite(f"{name} has been changed by somebody else meanwhile; nothing was written, fix it again")
        os.replace(made, path)
        made = None
    except OSError as wrong:
        raise CannotWrite(f"{name} cannot be written: {wrong.strerror or wrong}") from wrong
    finally:
        if made is not None:
            with suppress(OSError):
                os.unlink(made)
