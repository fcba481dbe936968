"""Aggregated ClusterRoles in a running cluster."""

from __future__ import annotations

from dabbawala.api import rbac_v1
from tests.cluster.controllers.conftest import Cluster


async def test_an_aggregated_role_follows_the_roles_that_carry_its_label(cluster: Cluster) -> None:
    kind, labels = rbac_v1.CLUSTER_ROLE, {"to": "view"}
    selecting = {"clusterRoleSelectors": [{"matchLabels": labels}]}
    await cluster.create(kind, "view", aggregationRule=selecting)
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}

    async def shows(*rules: object) -> bool:
        return ((await cluster.get(kind, "view")) or {}).get("rules") == list(rules)

    await cluster.create(kind, "part", metadata={"labels": labels}, rules=[rule])
    await cluster.until("the rules of the part", lambda: shows(rule))
    await cluster.patch(kind, "part", {"rules": [{**rule, "verbs": ["list"]}]})
    await cluster.until("the part's new rules", lambda: shows({**rule, "verbs": ["list"]}))
    await cluster.patch(kind, "part", {"metadata": {"labels": {"to": None}}})
    await cluster.until("no rules", lambda: shows())
