"""What can go wrong with an expression, told where it happens: when it is compiled, or when it is evaluated.

Messages of evaluation are cel-go's, because they reach the users of a real API server through the same policies.
"""

from __future__ import annotations


class CelError(Exception):
    """Anything that this package raises about an expression."""


class CompileError(CelError):
    """The expression cannot be compiled. `line` and `column` count from 1 and point into `source`."""

    def __init__(self, message: str, line: int, column: int, source: str) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message, self.line, self.column, self.source = message, line, column, source


class EvaluationError(CelError):
    """The expression has no value for these variables. `line` and `column` count from 1; 0 is unknown."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class CostExceeded(EvaluationError):
    """The evaluation was stopped at its budget. No operator of the language absorbs it."""
