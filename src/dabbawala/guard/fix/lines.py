"""A text as lines: where they begin and end, how far they are indented, which comments belong to them. Pure."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"([ \t]*)#")
_SPACE = " \t\r\n"


class Lines:
    """A text. Offsets are in characters."""

    def __init__(self, text: str) -> None:
        self.text = text

    def back(self, offset: int) -> int:
        """Behind the last character before an offset that is no space."""
        while offset > 0 and self.text[offset - 1] in _SPACE:
            offset -= 1
        return offset

    def is_comment(self, offset: int) -> bool:
        """Whether nothing but a comment stands on the line of an offset, beginning before it."""
        return _COMMENT.match(self.text, self.line_start(offset), offset) is not None

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Where the line's own characters end: before its newline."""
        end = self.text.find("\n", offset)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > offset and self.text[end - 1] == "\r" else end

    def column(self, offset: int) -> int:
        return offset - self.line_start(offset)

    def indentation(self, offset: int) -> str | None:
        """What stands before an offset on its line, if that is nothing but space."""
        before = self.text[self.line_start(offset) : offset]
        return None if before.strip(" \t") else before

    def next_line(self, offset: int) -> int:
        """Where the line after the one of an offset begins; the text's end behind the last."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end + 1

    def past_comments(self, offset: int, column: int) -> int:
        """The end of the line of an offset, or of the last comment below it that is indented deeper than a column:
        such comments belong to what stands above them."""
        end, at = self.line_end(offset), self.next_line(offset)
        while at < len(self.text):
            found = _COMMENT.match(self.text, at)
            if found is not None and len(found[1]) > column:
                end = self.line_end(at)
            elif self.text[at : self.line_end(at)].strip():
                break
            at = self.next_line(at)
        return end

    def above_comments(self, offset: int) -> int:
        """Where the line of an offset begins, or the first of the comments right above it that are indented alike."""
        start = self.line_start(offset)
        column = self.column(offset)
        while start > 0:
            previous = self.line_start(start - 1)
            found = _COMMENT.match(self.text, previous)
            if found is None or len(found[1]) != column:
                break
            start = previous
        return start
