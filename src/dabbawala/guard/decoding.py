"""From the bytes of a file to its text, or to why it has none. Pure."""

from __future__ import annotations

import codecs

from dabbawala.guard.findings import Place, Problem

FILE_BYTES_MAX = 32 * 1024 * 1024
"""A file that is larger is not read; ten thousand ordinary manifests are smaller."""

SPLIT = "Split the file; dumps of a cluster are scanned with --live."
"""What to do with a file that is too large."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def too_large(file: str, size: int) -> Problem:
    message = f"the file has {size:,} bytes; {FILE_BYTES_MAX:,} are read at most"
    return Problem(Place(file), "too-large", message, SPLIT)


def decoded(file: str, data: bytes) -> tuple[str | None, Problem | None]:
    """The text of a file, or why there is none."""
    if len(data) > FILE_BYTES_MAX:
        return None, too_large(file, len(data))
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if b"\0" in data and encoding in ("utf-8", "utf-8-sig"):
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        remedy = "Leave it out of the scan, or save it as text in UTF-8."
        return None, Problem(Place(file, line, 1), "binary", "the file is binary: it has a NUL byte", remedy)
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError as wrong:
        good = data[: wrong.start].decode(encoding, "ignore")
        place = Place(file, good.count("\n") + 1, len(good) - good.rfind("\n"))
        message = f"the text is not {encoding.removesuffix('-sig').upper()}: {wrong.reason} at byte {wrong.start}"
        return None, Problem(place, "not-utf-8", message, "Save the file as UTF-8.")
