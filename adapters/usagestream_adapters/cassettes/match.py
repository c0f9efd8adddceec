"""Which recorded request is the same as the one that is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from usagestream_core.json_types import Json, is_array, is_object

from .addresses import read_address

__all__ = [
    "MATCHERS",
    "address",
    "body",
    "body_differences",
    "differences",
    "plain_boundary",
    "read_body",
    "without_boundary",
]

_LONGEST_SHOWN: Final = 60
_PLAIN_NAME: Final = re.compile(r"\w+")
_ABSENT: Final = object()
_FIRST_LINE: Final = re.compile(rb"--([^\r\n]{1,70})\r\n")
_BOUNDARY: Final = "usagestream-boundary"


def address(sent: Any, recorded: Any) -> None:
    """Compare path, deployment, api version and query; vcrpy calls this as a matcher.

    Raises `AssertionError` with what differs. The host counts only where it is neither OpenAI's nor
    Azure's API, which answer alike behind any name.
    """
    one, other = read_address(sent.uri), read_address(recorded.uri)
    named = one.deployment and other.deployment
    for what, was, now in (
        ("the deployment", other.deployment, one.deployment) if named else ("", "", ""),
        ("the path", other.path, one.path),
        ("the api version", other.api_version, one.api_version),
        ("the query", _joined(other.query), _joined(one.query)),
        ("the host", other.host, one.host),
    ):
        if was != now:
            raise AssertionError(_difference(what, was or _ABSENT, now or _ABSENT))


def body(sent: Any, recorded: Any) -> None:
    """Compare bodies as JSON where they are JSON; raises `AssertionError` with what differs."""
    for difference in body_differences(sent, recorded):
        raise AssertionError(difference)


MATCHERS: Final = {"usagestream_address": address, "usagestream_body": body}


def body_differences(sent: Any, recorded: Any) -> Iterator[str]:
    """Give the differences of two bodies, one sentence each."""
    one, other = (without_boundary(each.body_bytes or b"") for each in (sent, recorded))
    if one == other:
        return
    try:
        now, was = read_body(one, sent.uri), read_body(other, recorded.uri)
    except ValueError:
        yield f"the body, of {len(other)} bytes as recorded and {len(one)} as sent"
        return
    yield from differences(now, was, "")


def read_body(data: bytes, uri: str) -> Any:
    """Read what a JSON body asks for, without what no answer depends on.

    That is the padding of frames, and the model's name where Azure goes by the deployment in the
    address (WIRE §1.1, §2.3). Raises `ValueError` for what is no JSON.
    """
    asked: Json = json.loads(data)
    if not isinstance(asked, dict):
        return asked
    if read_address(uri).deployment:
        asked.pop("model", None)
    options: Json = asked.get("stream_options")
    if isinstance(options, dict):
        options.pop("include_obfuscation", None)
        if not options:
            del asked["stream_options"]
    return asked


def without_boundary(body: bytes) -> bytes:
    """Give a multipart body with one and the same line between its parts, which is drawn by lot."""
    first = _FIRST_LINE.match(body)
    if first is None or not body.rstrip().endswith(b"--" + first[1] + b"--"):
        return body
    line = b"--" + first[1]
    return body.replace(line, b"--" + _BOUNDARY.encode())


def plain_boundary(content_type: str) -> str:
    """Give the `content-type` that goes with that."""
    return re.sub(r"(?i)(multipart/.*\bboundary=)[^;]+", rf"\g<1>{_BOUNDARY}", content_type)


def differences(now: Any, was: Any, place: str) -> Iterator[str]:
    """Give the differences of two JSON values, one sentence each; `place` is where they are."""
    if is_object(now) and is_object(was):
        for name in {**was, **now}:
            step = name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)
            inner = f"{place}.{step}" if place else step
            yield from differences(now.get(name, _ABSENT), was.get(name, _ABSENT), inner)
    elif is_array(now) and is_array(was):
        for index in range(max(len(now), len(was))):
            one = now[index] if index < len(now) else _ABSENT
            other = was[index] if index < len(was) else _ABSENT
            yield from differences(one, other, f"{place}[{index}]")
    elif now != was:
        yield _difference(f"`{place}` of the body" if place else "the body", was, now)


def _difference(what: str, was: Any, now: Any) -> str:
    return f"{what}: {_shown(was)} was recorded, {_shown(now)} was sent"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "none"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _joined(query: tuple[tuple[str, str], ...]) -> str:
    return "&".join(f"{name}={value}" for name, value in query)
