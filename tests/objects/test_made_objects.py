"""Objects that are made the short way cannot be told from those that the SDK makes."""

# The SDK's own way is no part of what it offers.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import _models
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from usagestream_adapters.sdk import objects
from usagestream_core.json_types import is_array, is_object

FOLDER = os.environ.get("USAGESTREAM_CORPUS")
CHAT: Any = ChatCompletionChunk
EVENT: Any = ResponseStreamEvent
EVENTS: dict[str, Any] = {
    name: cls
    for cls in get_args(get_args(EVENT)[0])
    for name in get_args(cls.model_fields["type"].annotation)
}


def make(type_: Any) -> Callable[[Any], Any]:
    """The short way, which there has to be for this SDK."""
    found = objects.make_chat_chunk() if type_ is CHAT else objects.make_response_event()
    assert found is not None, "this SDK is not as known: its objects are made the long way"
    return found


def told(value: Any) -> Any:
    """All that there is to an object, at every level, as what can be compared and shown."""
    if isinstance(value, BaseModel):
        parts = (value.__dict__, value.model_extra, value.__pydantic_private__)
        return type(value), sorted(value.model_fields_set), *map(told, parts)
    if is_object(value):
        return [(name, told(each)) for name, each in value.items()]
    if is_array(value):
        return list, [told(each) for each in value]
    return type(value), repr(value)


def compare(type_: Any, frame: Any) -> None:
    """Twice, since the first of its kind is made in both ways."""
    theirs = raised = None
    try:
        theirs = _models.construct_type(type_=type_, value=frame)
    except Exception as exc:  # noqa: BLE001 - what the SDK raises is left to the SDK
        raised = exc
    for _ in range(2):
        try:
            made = make(type_)(frame)
        except Exception:  # noqa: BLE001 - then the SDK is asked
            continue
        assert raised is None, "made although the SDK makes nothing of it"
        assert told(made) == told(theirs)
        assert repr(made) == repr(theirs)


def recorded(api: str) -> list[Any]:
    """The decoded frames of every recorded stream."""
    frames: list[Any] = []
    for path in sorted(Path(FOLDER or os.devnull).glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        for line in (case["response"].get("body") or "").splitlines():
            if case.get("api") == api and line.startswith("data: {"):
                try:
                    frames.append(json.loads(line[6:]))
                except ValueError:
                    continue
    return frames


@pytest.mark.skipif(FOLDER is None, reason="USAGESTREAM_CORPUS is not set")
@pytest.mark.parametrize(("api", "type_"), [("chat", CHAT), ("responses", EVENT)])
def test_what_was_recorded_makes_the_same_objects(api: str, type_: Any) -> None:
    """Every frame, and none of them needs the SDK."""
    frames = recorded(api)
    assert len(frames) > 100
    for frame in frames:
        assert make(type_)(frame) is not None
        compare(type_, frame)


WORDS = st.sampled_from(["", "stop", "assistant", "function", "1", "2026-11-28", "\ud800", "null"])
NUMBERS = st.sampled_from([0, 1, -1, 2**63, 10**400, 1.0, 0.5, -0.0, 1e300, float("inf")])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS
KEYS = st.sampled_from(
    ["type", "index", "delta", "content", "id", "more", "schema", "model_config"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)


DEEPEST = 4
"""Levels of objects: a chunk's choice's logprobs' tokens' alternatives."""


def values(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    """JSON that mostly is what an annotation wants, and sometimes is not."""
    wanted = _wanted(annotation, depth)
    return wanted | wanted | JSON


def _wanted(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in (str, int, bool, float):
        scalars: dict[Any, st.SearchStrategy[Any]] = {
            int: st.integers(),
            bool: st.booleans(),
            float: st.floats(),
        }
        words: st.SearchStrategy[Any] = WORDS | st.text(max_size=3)
        return words if annotation is str else scalars[annotation]
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Annotated:
        return _wanted(args[0], depth)
    if depth > DEEPEST:
        return st.none()
    if origin is list:
        return st.lists(values(args[0], depth + 1), max_size=2)
    if origin is dict:
        return st.dictionaries(st.text(max_size=2), values(args[1], depth + 1), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: frames(annotation, depth + 1))
    if args:
        return st.one_of([_wanted(each, depth + 1) for each in args if each is not type(None)])
    return JSON


@cache
def frames(cls: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """What is sent for a class, by its fields: any of them, in any order, and others."""

    def some(pairs: list[tuple[str, Any]], more: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict([*pairs, *more])

    fields = [
        st.tuples(st.just(field.alias or name), values(field.annotation, depth))
        for name, field in cls.model_fields.items()
    ]
    others = st.lists(st.tuples(KEYS, JSON), max_size=1)
    whole = st.tuples(*fields).map(list)
    picked = st.lists(st.one_of(fields), max_size=len(fields)) if fields else st.just([])
    return st.builds(some, whole | picked, others)


def event(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """An event of this type."""
    made = st.deferred(lambda: frames(EVENTS[name], 2))  # built when drawn: there are many
    return made.map(lambda frame: {**frame, "type": name})


GENEROUS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@GENEROUS
@given(frames(CHAT))
def test_any_chunk_is_the_one_that_the_sdk_makes(frame: dict[str, Any]) -> None:
    """By the fields of the SDK's own class: one that it changes tomorrow is tried tomorrow."""
    compare(CHAT, frame)


@GENEROUS
@given(
    st.one_of([event(name) for name in sorted(EVENTS)]) | st.dictionaries(KEYS, JSON, max_size=4)
)
def test_any_event_is_the_one_that_the_sdk_makes(frame: dict[str, Any]) -> None:
    """Every class of the union, and what is none of them."""
    compare(EVENT, frame)
