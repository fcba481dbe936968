"""What the platform knows of a kind, in one value.

REST paths, discovery, OpenAPI, tables, CRDs, validation and the reference page are all read off `Kind`, so they
cannot disagree. To add a kind: its value in its group's file, its name in `KINDS`, a golden case. If a fourth
place is needed, the declaration lacks a field: add the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema, of_kind
from dabbawala.apimachinery.status import FieldError

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """A printed column. `read` takes the object and the present time and gives the cell; `path` is a JSONPath used
    when there is no `read`. `priority` 1 shows only with `-o wide`. Source: meta/v1 TableColumnDefinition."""

    name: str
    path: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""
    read: Callable[[Object, datetime], object] | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its numbers (JSON paths such as `.spec.replicas`)."""

    spec_replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    label_selector: str = ".spec.selector"


def _nothing(obj: Object) -> None:
    return None


def _no_errors(new: Object, old: Object | None) -> list[FieldError]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """A kind of object, as one value.

    `default(obj)` fills defaults into a private copy, in place. `prepare(new, old)` runs before validation on
    create (`old` is None) and update, in place: it resets what a client may not set there. `validate(new, old)`
    returns what is wrong. All three are pure and are not called for subresources (a write to `status`
    replaces the status and nothing else). `schema` names a definition of the published OpenAPI, such as
    `io.k8s.api.apps.v1.Deployment`, or is empty when `open_api()` gives the OpenAPI v3 schema itself, without
    references other than to built-in definitions (CRDs, ours). `schema_of(kind)` reads either.

    A kind with `stored_as` is another view of that kind: it is kept under the other's resource name, in the
    other's form; `to_stored` and `from_stored` translate (they return a new object and leave their argument alone).
    `custom` kinds behave as custom resources do: unknown fields are pruned, no strategic merge patch.
    A kind that cannot be watched is answered when asked and never stored (TokenReview, NodeMetrics).
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: frozenset[str] = frozenset()
    scale: Scale | None = None
    schema: str = ""
    open_api: Callable[[], Mapping[str, object]] | None = None
    columns: tuple[Column, ...] = ()
    selectable_fields: Mapping[str, str] = field(default_factory=dict)
    default: Callable[[Object], None] = _nothing
    prepare: Callable[[Object, Object | None], None] = lambda new, old: None
    validate: Callable[[Object, Object | None], list[FieldError]] = _no_errors
    custom: bool = False
    stored_as: Kind | None = None
    to_stored: Callable[[Object], Object] | None = None
    from_stored: Callable[[Object], Object] | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, or `pods` for the core group: the name used by RBAC messages and by the store."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def store_resource(self) -> str:
        """The resource name under which objects are stored; differs from `resource` for views only."""
        return self.stored_as.resource if self.stored_as else self.resource

    @property
    def is_stored(self) -> bool:
        """Whatever cannot be watched is answered when asked, never stored: reviews, metrics."""
        return "watch" in self.verbs

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The REST path; without `namespace` a namespaced kind's path covers all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"

    def __repr__(self) -> str:
        return f"Kind({self.api_version} {self.kind})"


@lru_cache(maxsize=512)
def schema_of(kind: Kind) -> Schema | None:
    """The kind's schema; None where it declares none and anything is allowed."""
    return of_kind(kind.schema, kind.open_api() if kind.open_api else None)
