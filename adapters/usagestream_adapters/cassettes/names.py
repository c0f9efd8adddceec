"""Which names say that what stands under them is secret: of headers, parameters, JSON keys, YAML.

Names are read as words, so that `X-Custom-Auth`, `userToken` and `AccountKey` need no entry.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

__all__ = ["ENVIRONMENT_NAME", "Place", "is_random", "tells"]

Place: TypeAlias = Literal["header", "query", "text"]

ENVIRONMENT_NAME: Final = re.compile(
    r"(?i)(?:.*_)?(?:KEY|TOKEN|CREDENTIALS?|CONNECTION_STRING)|.*(?:API_?KEY|SECRET|PASSWORD|PASSWD)"
    r"|OPENAI_(?:ORG|PROJECT)_ID|AZURE_(?:TENANT|CLIENT|SUBSCRIPTION)_ID"
)
"""Matches the name of an environment variable whose value is to be kept secret."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# As whole words of a name, which stand with an underscore between them here.
_ALWAYS: Final = re.compile(
    r"(?:^|_)(?:authorization|api_?key|secrets?|pass(?:word|wd|phrase)|pwd|cookies?"
    r"|(?:access|account|client|encryption|functions?|host|master|private|secret|shared|signing"
    r"|storage|subscription|primary|secondary|webhook)_?keys?(?:_id)?|connection_?string|conn_?str"
    r"|(?:access|o?auth|bearer|csrf|xsrf|id|refresh|session|security|user|client|sas|api|bot|app)"
    r"_?tokens?|client_assertion|openai_(?:organization|project))(?:_\d+)?(?:_|$)"
)
# Ordinary words too, so that the value decides in a text.
_PERHAPS: Final = re.compile(
    r"(?:^|_)(?:auth|authentication|credentials?|jwt|bearer|assertion|otp|pass|pin|session_id"
    r"|sid)$|_(?:key|token)$|^(?:pass|pw)$"
)
_SENT: Final = re.compile(
    r"(?:^|_)(?:auth|authentication|credentials?|jwt|bearer|signature|sig|hmac|key|token"
    r"|session_id|sid)$|^session$|^code$|^x_(?:auth|amz|goog)_(?!date|algorithm|expires|signed)"
)
_HARMLESS: Final = re.compile(
    r"(?:^|_)(?:cache|idempotency|public|partition|sort|foreign|row|routing|object|continuation"
    r"|page|next|pad|eos|bos|stop|max|mask|sep|cls|unk|first|last)_(?:key|token)s?$"
    r"|_(?:count|limit|details|usage|type|expires?_?\w*)$"
    r"|^www_|^x_ratelimit_"
)


def tells(name: str, value: str, place: Place) -> bool:
    """Whether a name says that this value is secret.

    In a header or a query the name decides; in a text, where `token` and `key` are ordinary words,
    so does whether the value looks random.
    """
    words = "_".join(_WORD.findall(name)).lower().replace("open_ai", "openai")
    if not value or _HARMLESS.search(words):
        return False
    if words in ("openai_organization", "openai_project"):
        return not value.isalpha()  # An ordinary word says nothing of anybody.
    if _ALWAYS.search(words):
        return True
    if place != "text":
        return bool(_SENT.search(words) or _PERHAPS.search(words))
    return bool(_PERHAPS.search(words)) and is_random(value)


def is_random(value: str, shortest: int = 8) -> bool:
    """Whether this looks like no word of any language: letters and figures, or cases, mixed."""
    if len(value) < shortest or any(each.isspace() for each in value):
        return False
    lower, upper = re.search("[a-z]", value), re.search("[A-Z]", value)
    if re.search("[0-9]", value):
        return bool(lower or upper)
    return bool(lower and upper) and len(re.findall("[a-z][A-Z]", value)) > 1
