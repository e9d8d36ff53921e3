"""An independent reader of Sparkplug payloads: Google's protobuf with descriptors from the spec.

The field numbers come from the shared vector file, not from the code under test.
"""

import json
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "timestamp": _FIELD.TYPE_UINT64, "seq": _FIELD.TYPE_UINT64, "uuid": _FIELD.TYPE_STRING,
    "body": _FIELD.TYPE_BYTES, "name": _FIELD.TYPE_STRING, "alias": _FIELD.TYPE_UINT64,
    "datatype": _FIELD.TYPE_UINT32, "is_historical": _FIELD.TYPE_BOOL,
    "is_transient": _FIELD.TYPE_BOOL, "is_null": _FIELD.TYPE_BOOL, "type": _FIELD.TYPE_UINT32,
    "keys": _FIELD.TYPE_STRING, "int_value": _FIELD.TYPE_UINT32, "long_value": _FIELD.TYPE_UINT64,
    "float_value": _FIELD.TYPE_FLOAT, "double_value": _FIELD.TYPE_DOUBLE,
    "boolean_value": _FIELD.TYPE_BOOL, "string_value": _FIELD.TYPE_STRING,
    "bytes_value": _FIELD.TYPE_BYTES,
}  # fmt: skip
_MESSAGES = {
    ("Payload", "metrics"): "Metric",
    ("Metric", "properties"): "PropertySet",
    ("PropertySet", "values"): "PropertyValue",
}
_REPEATED = {"metrics", "keys", "values"}


def payload_class(shared_dir: Path) -> type[Message]:
    """Return a protobuf message class for a Sparkplug Payload."""
    numbers = json.loads((shared_dir / "vectors/sparkplug/protobuf_fields.json").read_text())
    file = descriptor_pb2.FileDescriptorProto(
        name="reference.proto", package="reference", syntax="proto2"
    )
    for kind in ("Payload", "Metric", "PropertySet", "PropertyValue"):
        message = file.message_type.add(name=kind)
        for name, number in numbers[kind].items():
            target = _MESSAGES.get((kind, name))
            if target is None and name not in _KINDS:
                continue
            field = message.field.add(name=name, number=number)
            field.label = _FIELD.LABEL_REPEATED if name in _REPEATED else _FIELD.LABEL_OPTIONAL
            field.type = _FIELD.TYPE_MESSAGE if target else _KINDS[name]
            if target:
                field.type_name = f".reference.{target}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("reference.Payload"))
