from dabbawala.apimachinery import schema

POD = "io.k8s.api.core.v1.Pod"


def test_every_definition_can_be_read_and_unfolded() -> None:
    for name in schema.definition_names():
        for child in schema.builtin(name).properties.values():
            assert child.type or child.name or child.raw == {}


def test_list_topology_and_merge_keys_are_those_of_the_published_schema() -> None:
    spec = schema.builtin(POD).properties["spec"]
    containers = spec.properties["containers"]
    assert (containers.list_type, containers.list_map_keys, containers.merge_key) == ("map", ("name",), "name")
    assert spec.properties["volumes"].patch_strategy == {"merge", "retainKeys"}
    ports = containers.items.properties["ports"]
    assert ports.list_map_keys == ("containerPort", "protocol")
    assert ports.items.properties["protocol"].default == "TCP"
    assert spec.properties["nodeSelector"].map_type == "atomic"
    assert spec.properties["tolerations"].list_type == "atomic"


def test_siblings_of_a_reference_are_kept() -> None:
    strategy = schema.builtin("io.k8s.api.apps.v1.DeploymentSpec").properties["strategy"]
    assert strategy.patch_strategy == {"retainKeys"}
    assert "rollingUpdate" in strategy.properties


def test_special_scalars_are_recognised() -> None:
    container = schema.builtin("io.k8s.api.core.v1.Container")
    limits = container.properties["resources"].properties["limits"]
    assert limits.additional_properties.name == schema.QUANTITY
    probe = container.properties["livenessProbe"].properties["httpGet"].properties["port"]
    assert probe.int_or_string


def test_recursive_definitions_unfold_only_as_deep_as_one_looks() -> None:
    node = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    for _ in range(50):
        node = node.properties["not"]
    assert "properties" in node.properties


def test_a_custom_kind_has_standard_metadata_whatever_its_schema_says() -> None:
    custom = schema.from_open_api({"type": "object", "properties": {"metadata": {"type": "string"}, "spec": {}}})
    assert custom.properties["metadata"].name == schema.OBJECT_META
    assert custom.properties["kind"].type == "string"


def test_descriptions_and_references_serve_explain_and_open_api() -> None:
    assert schema.descriptions([POD])[POD][""].startswith("Pod is a collection of containers")
    needed = schema.references(POD)
    assert "io.k8s.api.core.v1.Container" in needed
    assert schema.definition_of("apps", "v1", "Deployment") == "io.k8s.api.apps.v1.Deployment"
    assert schema.kubernetes_version().startswith("1.")
