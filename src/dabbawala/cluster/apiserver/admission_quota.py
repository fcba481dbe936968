"""ResourceQuota: a write that would use more than the quotas of its namespace allow is refused.

What it would use is reserved in the same step in which it is judged, without anything else running in between, and let
go of once it is stored: writes at the same time see each other. Source: apiserver/pkg/admission/plugin/resourcequota.
"""

from __future__ import annotations

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import amounts, objects, quota_usage
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission
from dabbawala.cluster.apiserver.quota_ledger import Ledger
from dabbawala.cluster.apiserver.quotas import Write

# What can come to count for more while it exists.
_GROWING = frozenset({"services", "persistentvolumeclaims"})


def charge(core: Core, admission: Admission) -> None:
    """Raises Forbidden. What is reserved is released with the admission."""
    ledger = core.quotas.ledger(admission.namespace)
    if ledger is None or admission.object is None or admission.subresource:
        return
    resource = objects.resource_of(admission.kind)
    created = admission.operation == "CREATE"
    if resource not in ledger.resources or not (created or resource in _GROWING):
        return
    obj = admission.object
    if resource == "pods":
        _check_stated(ledger, admission, obj)
    write = Write(meta.uid(obj), resource, obj, ledger.charge(resource, obj))
    for quota, more in ledger.added(write.uid, write.charge):
        over = {name for name, amount in more.items() if quota.used[name].plus(amount) > quota.hard[name]}
        if over:
            shown = [amounts.written({name: of[name] for name in over}) for of in (more, quota.used, quota.hard)]
            requested, used, limited = shown
            why = f"exceeded quota: {quota.name}, requested: {requested}, used: {used}, limited: {limited}"
            raise _refused(admission, why)
    if not admission.dry_run:
        admission.releases.append(core.quotas.reserve(admission.namespace, write))


def _check_stated(ledger: Ledger, admission: Admission, pod: Object) -> None:
    for quota in ledger.quotas:
        if quota.is_about("pods", pod):
            unstated = quota_usage.unstated(quota.hard, pod)
            if unstated:
                raise _refused(admission, f"failed quota: {quota.name}: must specify {unstated}")


def _refused(admission: Admission, why: str) -> status.Forbidden:
    kind = admission.kind
    details = {"name": admission.name, "group": kind.group, "kind": kind.plural}
    return status.Forbidden(
        f'{kind.resource} "{admission.name}" is forbidden: {why}',
        details={key: value for key, value in details.items() if value},
    )
