"""What every write passes between decoding and storage: defaults, admission, preparation, validation.

    default -> built-in mutators -> plugged-in mutators -> default -> prepare -> validate -> track -> validators

Defaults run twice, because a mutator may add what has defaults of its own. Validators see who manages which field, and
since when, as they do upstream: a policy has no other clock for an update.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver import admission as built_in
from dabbawala.cluster.apiserver import rest_fields, rest_managed
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.plugins import Admission, Operation


def admission_of(call: Call, operation: Operation, new: Object | None, old: Object | None) -> Admission:
    dry_run = call.dry_run
    return Admission(
        operation=operation,
        kind=call.kind,
        namespace=call.target.namespace,
        name=meta.name(new or old or {}) or call.target.name,
        user=call.user,
        object=new,
        old=old,
        subresource=call.target.subresource,
        dry_run=dry_run,
        options=_options(call, operation, dry_run=dry_run),
        warnings=call.request.warnings,
        audit=call.request.annotations,
    )


def _options(call: Call, operation: Operation, *, dry_run: bool) -> Object:
    """Of a create or update. Those of a deletion are known to it alone; a connection has none."""
    if operation == "CONNECT":
        return {}
    options: Object = {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}
    if dry_run:
        options["dryRun"] = ["All"]
    if call.request.query.pairs and operation != "DELETE":
        for field in ("fieldManager", "fieldValidation"):
            if call.request.query.get(field):
                options[field] = call.request.query.get(field)
    return options


async def judge(call: Call, admission: Admission) -> None:
    """Let the validators see what is not mutated: writes to subresources, deletions, connections. Raises the
    StatusError that refuses it."""
    for validator in call.plugins.validators:
        await validator.validate(admission)


@asynccontextmanager
async def accepted(
    call: Call, new: Object, old: Object | None, *, tracked: bool, generated: bool = False
) -> AsyncIterator[None]:
    """Run everything on `new`, in place; with `tracked`, note the call's field manager; its name may be `generated`.
    Inside the block it may be stored; what admission reserved for it (addresses, ports) is let go of afterwards. Raises
    the StatusError that refuses it."""
    admission = admission_of(call, "UPDATE" if old else "CREATE", new, old)
    admission.generated = generated
    try:
        await _mutate(call, admission, new)
        call.kind.prepare(new, old)
        refuse(call, new, [*call.kind.validate(new, old), *rest_fields.errors(call.kind, new)])
        if tracked:
            rest_managed.track(call, new, old)
        await judge(call, admission)
        built_in.judge(call.core, admission)
        yield
    finally:
        for release in admission.releases:
            release()


async def _mutate(call: Call, admission: Admission, new: Object) -> None:
    rest_fields.default(call.kind, new)
    changed = built_in.mutate(call.core, admission)
    for mutator in call.plugins.mutators:
        await mutator.mutate(admission)
        changed = True
    if changed:
        rest_fields.default(call.kind, new)


def refuse(call: Call, obj: Object, errors: list[FieldError]) -> None:
    """Raise Invalid if there is anything wrong; one line for each field and reason."""
    if errors:
        unique = list(dict.fromkeys(errors))
        raise status.invalid_object(call.kind.kind, meta.name(obj), unique, group=call.kind.group)
