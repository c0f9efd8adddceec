"""What an error response says, whatever its envelope: text, code, filtered categories, patience.

Envelopes seen: `{"error": {...}}`, `{"statusCode": ..., "message": ...}`, `{"detail": [...]}`, and
no JSON at all (WIRE §1.5, §2.2, §2.8).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from usagestream_core.json_types import is_object
from usagestream_core.masking import Mask

__all__ = [
    "code_of",
    "decoded",
    "filtered_categories",
    "mask",
    "message_of",
    "retry_after",
]

_PATIENCE: Final = re.compile(
    r"(?:retry after|try again in) (\d+(?:\.\d+)?) seconds?", re.IGNORECASE
)


def mask(text: str, secrets: tuple[str, ...]) -> str:
    """Cover known secrets, and whatever looks like a token of Entra ID."""
    return Mask.of(secrets).text(text)


def decoded(text: str) -> Any:
    """The body as JSON, or as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_in(body: Any) -> Any:
    """The error itself, without its envelope."""
    return body.get("error", body) if is_object(body) else body


def code_of(error: Any) -> str | None:
    """The provider's code for an error."""
    if not is_object(error):
        return None
    code = error.get("code") or error.get("type") or error.get("statusCode")
    return str(code) if code else None


def message_of(error: Any, text: str) -> str:
    """What the provider says, in one line."""
    message = error.get("message") or error.get("detail") if is_object(error) else error
    if not isinstance(message, str):
        message = text
    return " ".join(message.split())[:500] or "no reason given."


def filtered_categories(error: Any) -> dict[str, str]:
    """Severity (or `detected`) by category for which a prompt was blocked (WIRE §2.5)."""
    inner = error.get("innererror") if is_object(error) else None
    results: Any = None
    for holder in filter(is_object, (inner, error)):
        results = results or holder.get("content_filter_result")
        results = results or holder.get("content_filter_results")
    if not is_object(results):
        return {}
    return {
        str(name): str(verdict.get("severity") or "detected")
        for name, verdict in results.items()
        if is_object(verdict) and verdict.get("filtered") is True
    }


def retry_after(headers: Mapping[str, str], message: str) -> float | None:
    """Seconds to wait, by the headers, or else by the text (WIRE §2.7).

    Azure has sent `retry-after-ms: 0` beside `retry-after: 1`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000
    after = headers.get("retry-after")
    seconds = _number(after)
    if seconds is None and after:
        try:
            seconds = (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
        except (OverflowError, TypeError, ValueError):
            seconds = None
    if seconds is None:
        said = _PATIENCE.search(message)
        return float(said[1]) if said else None
    return max(seconds, 0.0)


def _number(text: str | None) -> float | None:
    """A finite number that is not negative, or `None`."""
    try:
        number = float(text) if text else -1.0
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
