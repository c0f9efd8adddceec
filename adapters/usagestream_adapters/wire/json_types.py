"""Reading JSON that may have any shape."""

from __future__ import annotations

import json
from typing import Any

from usagestream_core.json_types import is_array, is_object

__all__ = ["as_list", "as_object", "dumps"]


def as_object(value: Any) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if is_object(value) else {}


def as_list(value: Any) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return value if is_array(value) else []


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """Return compact JSON, non-ASCII characters as they are, as both services send it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
