"""What is used of vcrpy, which has no types of its own."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

__all__ = [
    "FilesystemPersister",
    "Request",
    "deserialize",
    "json_format",
    "serialize",
    "yaml_format",
]

_serialize = import_module("vcr.serialize")

FilesystemPersister: Final[Any] = import_module("vcr.persisters.filesystem").FilesystemPersister
Request: Final[Any] = import_module("vcr.request").Request
serialize: Final[Any] = _serialize.serialize
deserialize: Final[Any] = _serialize.deserialize
json_format: Final[Any] = import_module("vcr.serializers.jsonserializer")
yaml_format: Final[Any] = import_module("vcr.serializers.yamlserializer")
