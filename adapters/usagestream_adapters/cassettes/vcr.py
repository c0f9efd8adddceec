"""What is used of vcrpy, which has no types of its own."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import Any, Final

from vcr.persisters.filesystem import FilesystemPersister as _FilesystemPersister
from vcr.request import Request as _Request
from vcr.serialize import deserialize as _deserialize
from vcr.serialize import serialize as _serialize
from vcr.serializers import jsonserializer as _json
from vcr.serializers import yamlserializer as _yaml

__all__ = [
    "FilesystemPersister",
    "Request",
    "deserialize",
    "json_format",
    "serialize",
    "yaml_format",
]

FilesystemPersister: Final[Any] = _FilesystemPersister
Request: Final[Any] = _Request
serialize: Final[Any] = _serialize
deserialize: Final[Any] = _deserialize
json_format: Final[Any] = _json
yaml_format: Final[Any] = _yaml
