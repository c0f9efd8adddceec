"""Cassettes as YAML that a person can read, in any language, and that plain vcrpy can load."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from .limits import TooLargeError
from .vcr import yaml_format

__all__ = ["deserialize", "measure", "serialize"]

_MOST: Final = 2_000_000
"""Nodes of a document, those counted again that an alias stands for."""
_DEEPEST: Final = 100
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What a block of plain text cannot hold unharmed: control characters, and the line ends that YAML
# knows besides \n, which come back as \n (found by a property test).
_UNSAFE: Final = re.compile(
    "[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]"
)


class _Dumper(yaml.Dumper):
    """The pure-Python dumper, since libyaml's cannot print an emoji in a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None
    if _UNSAFE.search(text):
        style = '"'
    elif "\n" in text and not text[0].isspace():
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _flow(dumper: _Dumper, pair: tuple[Any, ...]) -> yaml.SequenceNode:
    """Keep what belongs together on one line, such as the time and the size of a read."""
    return dumper.represent_sequence("tag:yaml.org,2002:seq", pair, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(tuple, _flow)


def serialize(cassette: dict[str, Any]) -> str:
    """Write a cassette out, with the JSON of its requests spread over lines."""
    for interaction in cassette["interactions"]:
        request = interaction["request"]
        if isinstance(request["body"], str):
            request["body"] = _spread(request["body"])
    return yaml.dump(
        cassette, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=float("inf")
    )


def deserialize(text: str) -> Any:
    """Read a cassette, by vcrpy's own loader. Raises as `measure` does."""
    measure(text)
    return yaml_format.deserialize(text)


def measure(text: str) -> None:
    """Refuse YAML that grows when it is read: by aliases of aliases, or by its depth.

    Raises `TooLargeError`, and PyYAML's error for what is no YAML.
    """
    total = 0
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            # One that is not known yet stands within what it stands for.
            total += sizes.get(event.anchor or "", _MOST)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if total > _MOST or len(opened) > _DEEPEST:
            raise TooLargeError("its aliases, or its depth, make it grow beyond what is read")


def _spread(text: str) -> str:
    """Spread JSON over lines where that changes nothing but its white space."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    spread = json.dumps(value, ensure_ascii=False, indent=2)
    return spread if text in (compact, spread) else text
