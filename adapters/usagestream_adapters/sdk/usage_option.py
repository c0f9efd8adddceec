"""Whether a refused request was refused for asking for usage.

Servers say so in many ways (WIRE §2.2), so it is recognised by a property: 400 or 422, and
`stream_options` or its `include_usage` named as what is wrong. A body that names another parameter,
or that merely repeats what the caller's conversation says, is not such a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from usagestream_core.json_types import is_array, is_list_or_tuple, is_object

from .error_body import decoded

__all__ = ["RefusedOption", "is_too_early", "refused_option", "without"]

RefusedOption = Literal["include_usage", "stream_options"]
"""What has to be left out: the one key, whose mere presence is refused, or the whole object."""

_FIRST_VERSION: Final = "2024-09-01"
_NAMES: Final = r"(?:stream_options|include_usage)"
_BLAME: Final = (
    r"unrecogni[sz]ed|unknown|unsupported|unexpected|extra|additional|invalid|not permitted|"
    r"not allowed|not supported|not valid|not recogni[sz]ed|forbidden|does not support"
)
# One sentence, with the blame before the name or after it.
_BLAMED: Final = re.compile(
    rf"(?:{_BLAME})[^.!?]{{0,80}}?\b{_NAMES}\b|\b{_NAMES}\b[^!?]{{0,80}}?(?:{_BLAME})"
)
_QUOTED: Final = re.compile(r"""(["'`])(?=[^"'`]*\s)[^"'`]*\1""")
_OTHER_OPTION: Final = re.compile(r"stream_options\.(?!include_usage)\w")
_PARTS: Final = ("error", "errors", "detail", "details", "message", "msg", "innererror")


def is_too_early(api_version: str | None, *, is_models: bool) -> bool:
    """Whether a dated api version of Azure does not know `stream_options` yet (WIRE §2.1).

    That is about the classic surface: model inference took it with an older date (WIRE §2.9).
    """
    version = api_version or ""
    return version[:1].isdigit() and version[:10] < _FIRST_VERSION and not is_models


def refused_option(status: int, text: str, messages: object) -> RefusedOption | None:
    """What a refusal says must be left out; `None` if it is a refusal of something else.

    `messages` is the caller's conversation: words of it that come back prove nothing.
    """
    if status not in (400, 422):
        return None
    if "stream_options" not in text and "include_usage" not in text:
        return None
    return _offender(decoded(text), tuple(_mentions(messages)))


def without(options: object, withheld: RefusedOption) -> dict[str, Any] | None:
    """What remains of the caller's `stream_options`; `None` where the key is to be absent.

    Absent, not false: a server that does not know `include_usage` refuses `false` too.
    """
    if withheld == "stream_options" or not is_object(options):
        return None
    return {key: value for key, value in options.items() if key != "include_usage"} or None


def _offender(part: Any, echoes: Sequence[str]) -> RefusedOption | None:
    if isinstance(part, str):
        inner = decoded(part) if part.lstrip()[:1] in ("{", "[") else part
        return _blamed(part, echoes) if isinstance(inner, str) else _offender(inner, echoes)
    if is_array(part):
        return next(filter(None, (_offender(each, echoes) for each in part)), None)
    if not is_object(part):
        return None
    # Where the body says what is wrong, its text is only an illustration.
    where = part.get("loc") or part.get("param")
    if where:
        return _named(where)
    return next(filter(None, (_offender(part.get(key), echoes) for key in _PARTS)), None)


def _named(where: Any) -> RefusedOption | None:
    """Read a pydantic `loc`, or the `param` of OpenAI's envelope."""
    path = [str(each) for each in where] if is_array(where) else str(where).split(".")
    path = [each for each in path if each != "body"]
    if path in (["stream_options", "include_usage"], ["include_usage"]):
        return "include_usage"
    return "stream_options" if path == ["stream_options"] else None


def _blamed(text: str, echoes: Sequence[str]) -> RefusedOption | None:
    said = text
    for echo in echoes:
        text = text.replace(echo, " ")
    if not re.search(r"\w", text):
        text = said  # nobody is refused with nothing but his own words: these are the server's too
    # A name has no space in it: quotation marks around several words are around somebody's words.
    text = _QUOTED.sub(" ", text).lower()
    if not _BLAMED.search(text) or _OTHER_OPTION.search(text):
        return None
    return "stream_options"


def _mentions(part: object) -> Iterator[str]:
    """The texts of a conversation that mention an option by name, among other words.

    The name alone cannot be told from what the server itself has to say.
    """
    if isinstance(part, str):
        if ("stream_options" in part or "include_usage" in part) and len(part.split()) > 1:
            yield part
    elif is_object(part):
        for each in part.values():
            yield from _mentions(each)
    elif is_list_or_tuple(part):
        for each in part:
            yield from _mentions(each)
