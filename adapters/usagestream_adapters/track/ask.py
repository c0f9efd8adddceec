"""Asking a stream for its usage: where it is accepted, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from usagestream_core.json_types import is_mapping
from usagestream_core.record import UsageRequest

from ..sdk.usage_option import is_too_early

__all__ = ["NOT_TO_ASK", "Asked", "Asking", "body_of"]


def body_of(options: Any) -> dict[str, Any]:
    """The body a request will have: its JSON, with the caller's `extra_body` over it."""
    return {**options.json_data, **(options.extra_json or {})}


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether a call asks for usage."""

    usage_request: UsageRequest | None
    """As the record says it."""
    options: Any = None
    """The SDK's options with the request added; `None` where they are sent as they are."""


NOT_TO_ASK: Final = Asked(None)
"""Usage comes unasked."""


class Asking:
    """Adds `include_usage` to streams, except where it was refused before or is known to be."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, ...]] = set()

    def refused(self, place: tuple[str, ...]) -> None:
        """Do not ask there again. A place is an address, a model and an api version."""
        self._refused.add(place)

    def of(self, options: Any, body: Mapping[str, Any], place: tuple[str, ...]) -> Asked:
        """Say how a call asks for usage.

        The caller's other stream options are kept. The options given are not changed.
        """
        if body.get("stream") is not True:
            return NOT_TO_ASK
        asked = body.get("stream_options")
        if is_mapping(asked) and asked.get("include_usage") is True:
            return Asked("asked")
        if place in self._refused:
            return Asked("refused")
        if _is_known_to_refuse(body, place) or not (asked is None or is_mapping(asked)):
            return Asked("not_asked")
        added: dict[str, Any] = {"stream_options": {**(asked or {}), "include_usage": True}}
        part = "extra_json" if "stream_options" in (options.extra_json or {}) else "json_data"
        update = {part: {**getattr(options, part), **added}}
        return Asked("asked", options.model_copy(update=update))


def _is_known_to_refuse(body: Mapping[str, Any], place: tuple[str, ...]) -> bool:
    """Azure On Your Data and early api versions are known to refuse (WIRE §2.1)."""
    is_models = urlsplit(place[0]).path.rstrip("/").endswith("/models")
    return "data_sources" in body or is_too_early(place[-1], is_models=is_models)
