"""Whether what a storage driver makes is encrypted: by what the driver is and by what the class asks of it."""

from __future__ import annotations

from collections.abc import Mapping

from dabbawala.cel.environment import Function
from dabbawala.guard.relations.tables import rows

ENCRYPTED, PLAIN, UNKNOWN = "encrypted", "plain", "unknown"


def encryption(provisioner: str, parameters: Mapping[str, str]) -> str:
    """`encrypted` or `plain` as far as the driver (`ebs.csi.aws.com`) and the parameters tell; else `unknown`."""
    known = {driver: (verdict, parameter) for driver, verdict, parameter in rows("storage.txt")}
    verdict, parameter = known.get(provisioner, (UNKNOWN, "-"))
    if parameter == "-":
        return verdict
    given = {key.lower(): value for key, value in parameters.items()}.get(parameter.lower())
    return verdict if given is None else PLAIN if str(given).lower() in ("false", "") else ENCRYPTED


FUNCTIONS = (Function("encryption", ("string", "map<string, dyn>"), "string", encryption),)
