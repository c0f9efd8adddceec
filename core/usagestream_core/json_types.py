"""JSON of any shape, as type checkers see it: an alias, and guards where none can be declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard

__all__ = ["Json", "is_array", "is_list_or_tuple", "is_mapping", "is_object"]

Json: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
"""What a value of a JSON document may be. Declare it where `type(value) is dict` follows."""


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether this is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether this is a JSON array."""
    return isinstance(value, list)


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is what a program may give for a JSON object."""
    return isinstance(value, Mapping)


def is_list_or_tuple(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether this is what a program may give for a JSON array."""
    return isinstance(value, list | tuple)
