"""Cassettes as YAML that a person can read, in any language, and that plain vcrpy can load."""

# PyYAML's classes have no types of their own.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from .vcr import yaml_format

__all__ = ["deserialize", "serialize"]

# What a block of plain text cannot hold unharmed: control characters, and the line ends that YAML
# knows besides \n, which come back as \n (found by a property test).
_UNSAFE: Final = re.compile(
    "[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]"
)


class _Dumper(yaml.Dumper):
    """The pure-Python dumper, since libyaml's cannot print an emoji in a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
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
    """Read a cassette, by vcrpy's own loader."""
    return yaml_format.deserialize(text)


def _spread(text: str) -> str:
    """Spread JSON over lines where that changes nothing but its white space."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    spread = json.dumps(value, ensure_ascii=False, indent=2)
    return spread if text in (compact, spread) else text
