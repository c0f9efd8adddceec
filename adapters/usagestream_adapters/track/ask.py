"""Asking a stream for its usage: where it is accepted, and what a refusal looks like."""

# What the SDK passes on has no static type that its versions share.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["Asking", "body_of"]

_FIRST_VERSION: Final = "2024-09-01"
"""The first dated api version of Azure that takes `stream_options` (WIRE §2.1)."""


def body_of(options: Any) -> dict[str, Any]:
    """The body a request will have: its JSON, with the caller's `extra_body` over it."""
    return {**options.json_data, **(options.extra_json or {})}


class Asking:
    """Adds `include_usage` to streams, except where it was refused before or is known to be."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, ...]] = set()

    def refused(self, place: tuple[str, ...]) -> None:
        """Do not ask there again. A place is an address, a model and an api version."""
        self._refused.add(place)

    def with_usage(
        self, options: Any, body: Mapping[str, Any], place: tuple[str, ...]
    ) -> Any | None:
        """Give options that ask for usage; `None` where nothing is to be added.

        The caller's other stream options are kept. The options given are not changed.
        """
        if body.get("stream") is not True or not self._is_taken(body, place):
            return None
        asked = body.get("stream_options")
        if asked is not None and not isinstance(asked, Mapping):
            return None
        if asked and asked.get("include_usage") is True:
            return None
        added = {"stream_options": {**(asked or {}), "include_usage": True}}
        part = "extra_json" if "stream_options" in (options.extra_json or {}) else "json_data"
        return options.model_copy(update={part: {**getattr(options, part), **added}})

    def _is_taken(self, body: Mapping[str, Any], place: tuple[str, ...]) -> bool:
        """Azure On Your Data and early api versions are known to refuse (WIRE §2.1)."""
        version = place[-1]
        # Model inference took it with an older date (WIRE §2.9).
        is_models = urlsplit(place[0]).path.rstrip("/").endswith("/models")
        known_to_refuse = "data_sources" in body or (
            version[:1].isdigit() and version < _FIRST_VERSION and not is_models
        )
        return not known_to_refuse and place not in self._refused
