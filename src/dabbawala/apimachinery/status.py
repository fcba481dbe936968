"""The API's `Status` and the exception tree that stands for it.

    StatusError
    ├── BadRequest 400            ├── Gone: Expired 410
    ├── Unauthorized 401          ├── RequestEntityTooLarge 413
    ├── Forbidden 403             ├── UnsupportedMediaType 415
    ├── NotFound 404              ├── Invalid 422
    ├── MethodNotAllowed 405      ├── TooManyRequests 429
    ├── NotAcceptable 406         ├── InternalError 500
    ├── AlreadyExists 409         ├── ServiceUnavailable 503
    └── Conflict 409              └── Timeout 504

Every error a client of the API can see is one of these, on both sides of the wire. Source: meta/v1 Status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dabbawala.apimachinery.meta import Object


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field. `reason` is a meta/v1 CauseType such as FieldValueInvalid."""

    field: str
    reason: str
    message: str

    def cause(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def required(field: str, message: str = "") -> FieldError:
    return FieldError(field, "FieldValueRequired", f"Required value{': ' + message if message else ''}")


def invalid(field: str, value: object, message: str) -> FieldError:
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {_show(value)}: {message}")


def not_supported(field: str, value: object, allowed: Iterable[str]) -> FieldError:
    listed = ", ".join(f'"{item}"' for item in allowed)
    return FieldError(field, "FieldValueNotSupported", f"Unsupported value: {_show(value)}: supported values: {listed}")


def forbidden(field: str, message: str) -> FieldError:
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {message}")


def duplicate(field: str, value: object) -> FieldError:
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {_show(value)}")


def _show(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


class StatusError(Exception):
    """A failed API call: code, reason, message and details as the Status carries them."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: Object = dict(details or {})

    def to_status(self) -> Object:
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    code, reason = 409, "Conflict"


class Expired(StatusError):
    code, reason = 410, "Expired"


class RequestEntityTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason = 504, "Timeout"


_ALL: tuple[type[StatusError], ...] = (
    BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict,
    Expired, RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError,
    ServiceUnavailable, Timeout,
)  # fmt: skip


def not_found(resource: str, name: str, group: str = "") -> NotFound:
    """The message kubectl users know: `deployments.apps "web" not found`."""
    qualified = f"{resource}.{group}" if group else resource
    details = {"name": name, "group": group, "kind": resource}
    return NotFound(f'{qualified} "{name}" not found', details={k: v for k, v in details.items() if v})


def invalid_object(kind: str, name: str, errors: Iterable[FieldError], *, group: str = "") -> Invalid:
    """`Deployment.apps "web" is invalid: spec.replicas: Invalid value: …`, with one cause per field."""
    listed = list(errors)
    lines = [f"{error.field}: {error.message}" for error in listed]
    summary = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details = {"name": name, "group": group, "kind": kind, "causes": [error.cause() for error in listed]}
    return Invalid(f'{qualified} "{name}" is invalid: {summary}', details={k: v for k, v in details.items() if v})


def too_many_requests(message: str, retry_after_seconds: int) -> TooManyRequests:
    return TooManyRequests(message, details={"retryAfterSeconds": retry_after_seconds})


def is_too_large_resource_version(error: BaseException) -> bool:
    """Whether a server answered that it has not come to the revision asked for. Source: client-go reflector.go."""
    causes = error.details.get("causes") if isinstance(error, Timeout) else None
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes or ())


def from_status(status: Mapping[str, Any], code: int = 0) -> StatusError:
    """The exception a Status stands for; by reason first, then by code, for servers that leave out either."""
    code = int(status.get("code") or code)
    reason = status.get("reason", "")
    chosen = next((error for error in _ALL if error.reason == reason), None)
    chosen = chosen or next((error for error in _ALL if error.code == code), StatusError)
    return chosen(str(status.get("message") or f"HTTP {code}"), details=status.get("details"))
