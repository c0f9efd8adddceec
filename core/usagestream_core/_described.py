"""What models show of themselves: what is known in a repr, what each field means in a schema.

The words are those below the fields. Pydantic can take them over when a class is made
(`use_attribute_docstrings`), which reads and parses the source at every import: a seventh of the
time that importing the door takes. Here it is done where somebody asks for a schema.
"""

from __future__ import annotations

import ast
import inspect
import sys
from datetime import datetime
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = ["Described"]


class Described(BaseModel, frozen=True):
    """Frozen; shows what is known and leaves out the rest."""

    _home: ClassVar[str]
    """The module it is written in; `__module__` is the one that it is imported from."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Remember where it is written."""
        super().__pydantic_init_subclass__(**kwargs)
        cls._home = cls.__module__

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Describe each field by the string below it."""
        schema = handler(core_schema)
        fields = handler.resolve_ref_schema(schema).get("properties", {})
        for written in reversed(cls.__mro__):
            if issubclass(written, Described) and written is not Described:
                for name, text in _descriptions(written._home, written.__name__):  # noqa: SLF001 - of a kind
                    if name in fields:
                        fields[name].setdefault("description", text)
        return schema

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is known: what is `None` or empty is left out."""
        return _shown(super().__repr_args__())


@cache
def _descriptions(module: str, name: str) -> tuple[tuple[str, str], ...]:
    """The fields of a class with the strings below them; none where there is no source to read."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):
        return ()
    bodies = [
        each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name
    ]
    found: list[tuple[str, str]] = []
    for field, below in (pair for body in bodies for pair in pairwise(body)):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=field_name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found.append((field_name, inspect.cleandoc(text)))
            case _:
                pass
    return tuple(found)


def _shown(fields: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """Give the fields that say something, as short as they can be said. Zero says something."""
    for name, value in fields:
        if value is None or value is False or value in ({}, ()):
            continue
        if isinstance(value, Enum):
            value = value.value
        elif isinstance(value, datetime):
            value = value.isoformat()
        yield name, value
