"""Types with fields, for what is known of a variable beyond being a map: `request.nmae` is refused when it is compiled.

The front end takes such types as protocol buffer messages only; values stay plain maps all the same. A field that a
message cannot express (a list of lists) is `dyn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dabbawala.cel.types import split

Fields = Mapping[str, str]
_DYN = "google.protobuf.Value"
_WELL_KNOWN = {
    "dyn": _DYN,
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "map": "google.protobuf.Struct",
}
_FILES = ("google/protobuf/struct.proto", "google/protobuf/timestamp.proto", "google/protobuf/duration.proto")


class Types:
    """Message types by name, each with the types of its fields as text. Compared by identity: make it once."""

    def __init__(self, messages: Mapping[str, Fields]) -> None:
        self._messages = {name: dict(fields) for name, fields in messages.items()}

    def knows(self, type: str) -> bool:
        """Whether a type of a variable is one of these, or has one inside."""
        return type in self._messages or any(name in type for name in self._messages if "<" in type)

    @cached_property
    def pool(self) -> Any:
        """As the front end takes them."""
        from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

        file = descriptor_pb2.FileDescriptorProto(name="types.proto", syntax="proto3", dependency=_FILES)
        packages = {name.rpartition(".")[0] for name in self._messages}
        file.package = packages.pop() if len(packages) == 1 else ""
        for name, fields in self._messages.items():
            message = file.message_type.add(name=name.rpartition(".")[2])
            message.options.deprecated_legacy_json_field_conflicts = True  # a_b beside aB
            for number, (field, kind) in enumerate(fields.items(), 1):
                self._declare(message, message.field.add(name=field, number=number), kind, file.package)
        pool = descriptor_pool.DescriptorPool()
        for known in (struct_pb2, timestamp_pb2, duration_pb2):
            pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(file.SerializeToString())
        return pool

    def _declare(self, message: Any, field: Any, kind: str, package: str) -> None:
        head, _, inside = kind.partition("<")
        parameters = split(inside.removesuffix(">")) if inside else []
        field.label = field.LABEL_OPTIONAL
        if head == "list":
            field.label = field.LABEL_REPEATED
            self._type(field, parameters[0] if parameters else "dyn")
        elif head == "map" and parameters and parameters[0].strip() == "string":
            entry = message.nested_type.add(name=f"{_camel(field.name)}Entry")
            entry.options.map_entry = True
            key, value = entry.field.add(name="key", number=1), entry.field.add(name="value", number=2)
            key.label = value.label = field.LABEL_OPTIONAL
            self._type(key, "string")
            self._type(value, parameters[1].strip())
            field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
            prefix = f".{package}" if package else ""
            field.type_name = f"{prefix}.{message.name}.{entry.name}"
        else:
            self._type(field, kind)

    def _type(self, field: Any, kind: str) -> None:
        scalar = {
            "string": field.TYPE_STRING, "bool": field.TYPE_BOOL, "int": field.TYPE_INT64, "double": field.TYPE_DOUBLE,
            "bytes": field.TYPE_BYTES, "uint": field.TYPE_UINT64,
        }.get(kind)  # fmt: skip
        if scalar is not None:
            field.type = scalar
            return
        field.type = field.TYPE_MESSAGE
        field.type_name = "." + (kind if kind in self._messages else _WELL_KNOWN.get(kind, _DYN))


def _camel(name: str) -> str:
    return name[:1].upper() + name[1:]
