"""Extract the published Kubernetes schema into the package's compact table.

Reads `_definitions.json` of the `kubernetes-validate` wheel (a development dependency) and writes two files below
`src/dabbawala/apimachinery/data/`: `schema.z`, all definitions in their OpenAPI v3 form without descriptions, and
`descriptions.z`, which only `explain` and OpenAPI need. Run it when the Kubernetes version moves:

    python tools/extract_schema.py

Layout of both files (zlib): a line of JSON, the index, then the JSON of every entry, one after another. The index of
`schema.z` is `{"version", "kinds": {"group/version/kind": name}, "definitions": {name: [offset, length]}}`, that of
`descriptions.z` is `{name: [offset, length]}`; offsets count from the end of the first line.
"""

from __future__ import annotations

import json
import pathlib
import re
import zlib

import kubernetes_validate

DATA = pathlib.Path(__file__).parents[1] / "src/dabbawala/apimachinery/data"
REF = "#/components/schemas/"

# The published OpenAPI writes these scalars differently from the JSON-schema form that the wheel derives from it.
SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}
# Defaults that decide the identity of a list item: server-side apply names a port by number and protocol.
KEY_DEFAULTS = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.LocalObjectReference", "name"): "",
}


def _source() -> tuple[str, dict[str, object]]:
    root = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    folders = [found for path in root.iterdir() if (found := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", path.name))]
    newest = max(folders, key=lambda found: tuple(int(part) for part in found.groups()))
    document = json.loads((root / newest[0] / "_definitions.json").read_text())
    return ".".join(newest.groups()), document["$defs"]


def _published(node: object) -> object:
    """One schema node in OpenAPI v3 form: plain types, `components` references, no descriptions."""
    if isinstance(node, list):
        return [_published(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, object] = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: _published(item) for name, item in value.items()}
        elif key == "type" and isinstance(value, list):
            result[key] = next(item for item in value if item != "null")
        elif key == "$ref":
            result[key] = REF + value.rpartition("/")[2]
        elif not (key == "description" and isinstance(value, str)):
            result[key] = _published(value)
    return result


def _definition(name: str, node: dict[str, object]) -> dict[str, object]:
    if name in SPECIAL:
        return SPECIAL[name]
    result = _published(node)
    properties = result.get("properties", {})
    for field in ("apiVersion", "kind"):
        if "x-kubernetes-group-version-kind" in result and field in properties:
            properties[field].pop("enum", None)
    for field in properties:
        if (name, field) in KEY_DEFAULTS:
            properties[field]["default"] = KEY_DEFAULTS[name, field]
    return result


def _descriptions(node: dict[str, object]) -> dict[str, str]:
    found = {"": node.get("description", "")}
    found.update({name: item.get("description", "") for name, item in node.get("properties", {}).items()})
    return {name: text for name, text in found.items() if text}


def _write(name: str, head: dict[str, object], entries: dict[str, object], within: str | None) -> None:
    index: dict[str, list[int]] = {}
    body = b""
    for key, value in sorted(entries.items()):
        encoded = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        index[key] = [len(body), len(encoded)]
        body += encoded
    header = {**head, within: index} if within else index
    DATA.mkdir(exist_ok=True)
    blob = json.dumps(header, separators=(",", ":")).encode() + b"\n" + body
    (DATA / name).write_bytes(zlib.compress(blob, 9))
    print(f"{name}: {len(entries)} definitions, {len(blob):,} bytes, {(DATA / name).stat().st_size:,} compressed")


def main() -> None:
    version, definitions = _source()
    kinds = {
        f"{kind['group']}/{kind['version']}/{kind['kind']}": name
        for name, node in definitions.items()
        for kind in node.get("x-kubernetes-group-version-kind", ())
        if len(node["x-kubernetes-group-version-kind"]) == 1
    }
    nodes = {name: _definition(name, node) for name, node in definitions.items()}
    _write("schema.z", {"version": version, "kinds": kinds}, nodes, "definitions")
    _write("descriptions.z", {}, {name: _descriptions(node) for name, node in definitions.items()}, None)


if __name__ == "__main__":
    main()
