import pytest

from dabbawala.apimachinery import jsonpath

DEPLOYMENT = {
    "metadata": {"labels": {"app.kubernetes.io/name": "web", "x": "1"}, "name": "web"},
    "spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}], "replicas": 3},
    "status": {
        "conditions": [
            {"type": "Available", "status": "True", "n": 1},
            {"type": "Ready", "status": "False", "n": 2, "last": None},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["web"]),
        ("metadata.name", ["web"]),
        ("{.metadata.name}", ["web"]),
        ("{$.metadata.name}", ["web"]),
        (".metadata.labels['x']", ["1"]),
        ('.metadata.labels["app.kubernetes.io/name"]', ["web"]),
        (r".metadata.labels.app\.kubernetes\.io/name", ["web"]),
        (".spec.containers[0].name", ["a"]),
        (".spec.containers[-1].name", ["b"]),
        (".spec.containers[5].name", []),
        (".spec.containers[*].name", ["a", "b"]),
        (".spec.containers[0:1].name", ["a"]),
        (".spec.containers[0,1].name", ["a", "b"]),
        (".spec.containers[0]['name','image']", ["a", "a:1"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["False"]),
        (".status.conditions[?(@.type == 'Ready')].status", ["False"]),
        (".status.conditions[?(@.n>1)].type", ["Ready"]),
        (".status.conditions[?(@.type!='Ready')].type", ["Available"]),
        (".status.conditions[?(@.last)].type", ["Ready"]),
        (".status.conditions[?(@.type>3)].type", []),
        ('.metadata.labels[?(@=="1")]', ["1"]),
        ("..image", ["a:1", "b:1"]),
        (".status.missing.deeper", []),
        (".spec.replicas.x", []),
        ("$", [DEPLOYMENT]),
    ],
)
def test_a_path_finds_what_kubectl_finds(path: str, found: list[object]) -> None:
    assert jsonpath.find(DEPLOYMENT, path) == found


@pytest.mark.parametrize("path", [".a[", ".a[x]", ".a[?(b)]", ".a b", ".a[?(@.b==x)]"])
def test_a_path_that_makes_no_sense_is_refused_with_its_text(path: str) -> None:
    with pytest.raises(jsonpath.JSONPathError, match="JSONPath"):
        jsonpath.compile_path(path)


def test_first_gives_the_default_when_nothing_is_there() -> None:
    assert jsonpath.first(DEPLOYMENT, ".spec.paused", False) is False
    assert jsonpath.first(DEPLOYMENT, ".spec.replicas", 0) == 3
