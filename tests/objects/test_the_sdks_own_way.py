"""Where anything is not as known, the SDK makes its objects itself."""

# Things are pulled from under the module on purpose.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import pytest
from openai import _models
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent, ResponseTextDeltaEvent
from pydantic import ConfigDict, Field

from usagestream_adapters.sdk import objects

CHUNK: Any = ChatCompletionChunk
FRAME: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 7,
    "model": "gpt-4o",
    "choices": [{"index": 0, "delta": {"content": "a", "own": {"b": 1}}, "finish_reason": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    "own": [1],
}
EVENT: dict[str, Any] = {
    "type": "response.output_text.delta",
    "delta": "a",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "sequence_number": 1,
    "logprobs": [],
}


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Each test compiles for itself."""
    for maker in (objects.make_chat_chunk, objects.make_response_event):
        maker.cache_clear()
    yield
    for maker in (objects.make_chat_chunk, objects.make_response_event):
        maker.cache_clear()


def test_a_chunk_does_all_that_the_sdks_does() -> None:
    """Whatever it is used for; and what one consumer changes, no other sees."""
    mine, theirs = objects.chat_chunk(FRAME), CHUNK.construct(**FRAME)
    assert mine == theirs
    assert isinstance(mine, CHUNK)
    assert (repr(mine), str(mine)) == (repr(theirs), str(theirs))
    assert mine.model_dump() == theirs.model_dump()
    assert mine.to_dict() == theirs.to_dict() == FRAME
    assert mine.to_json() == theirs.to_json()
    assert mine.model_fields_set == theirs.model_fields_set
    assert mine.own == [1]
    assert pickle.loads(pickle.dumps(mine)) == theirs
    assert mine.model_copy(deep=True) == theirs
    mine.choices[0].delta.content = mine.model = "changed"
    assert objects.chat_chunk(FRAME) == theirs


def test_what_the_sdk_takes_for_arguments_is_left_to_it() -> None:
    """At any level; and it says of it what it always did."""
    frame = {**FRAME, "choices": [{"delta": {"_fields_set": 1, "content": "a"}}]}
    with pytest.raises(AttributeError) as theirs:
        CHUNK.construct(**frame)
    with pytest.raises(AttributeError) as mine:
        objects.chat_chunk(frame)
    assert str(mine.value) == str(theirs.value)


def test_what_cannot_be_made_is_left_to_the_sdk() -> None:
    """A key that is no text is taken by the SDK."""
    frame = {**FRAME, "\ud800": 1}
    assert objects.chat_chunk(frame).model_extra == {"own": [1], "\ud800": 1}


@pytest.mark.parametrize("name", ["construct_type", "_construct_field", "field_get_default"])
def test_an_sdk_without_its_functions(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They are private to the SDK, which may do away with them."""
    monkeypatch.delattr(_models, name)
    assert objects.make_chat_chunk() is None
    assert objects.make_response_event() is None


def test_an_sdk_that_makes_them_otherwise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was compiled is tried against the SDK before it is used."""
    real = _models.construct_type

    def otherwise(*, value: Any, type_: Any, metadata: Any = None) -> Any:
        made: Any = real(value=value, type_=type_, metadata=metadata)
        if type_ is ChatCompletionChunk:
            made.__pydantic_extra__["seen"] = True
        return made

    monkeypatch.setattr(_models, "construct_type", otherwise)
    with caplog.at_level(logging.DEBUG, logger="usagestream"):
        assert objects.make_chat_chunk() is None
    assert "The SDK makes its chunks itself" in caplog.text
    assert objects.chat_chunk(FRAME) == CHUNK.construct(**FRAME)


def test_an_sdk_that_makes_one_event_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each type is compared; where it differs, the SDK makes all of that type."""
    real = _models.construct_type
    seen: list[Any] = []

    def otherwise(*, value: Any, type_: Any, metadata: Any = None) -> Any:
        made = real(value=value, type_=type_, metadata=metadata)
        if isinstance(made, ResponseTextDeltaEvent):
            seen.append(made)
            made.delta = "other"
        return made

    monkeypatch.setattr(_models, "construct_type", otherwise)
    make = objects.make_response_event()
    assert make is not None
    assert [make(EVENT).delta for _ in range(3)] == ["other"] * 3
    assert len(seen) == 3


def test_the_first_event_of_each_type_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other, be they such as the SDK validates or such as it cannot."""
    real = _models.construct_type
    asked: list[Any] = []

    def counted(*, value: Any, type_: Any, metadata: Any = None) -> Any:
        if type_ is ResponseStreamEvent:
            asked.append(value)
        return real(value=value, type_=type_, metadata=metadata)

    monkeypatch.setattr(_models, "construct_type", counted)
    make = objects.make_response_event()
    assert make is not None
    odd = {**EVENT, "output_index": "a word", "item_id": None}
    made = [make(frame) for frame in (EVENT, EVENT, odd, odd)]
    assert [type(each) for each in made] == [ResponseTextDeltaEvent] * 4
    assert made[2].output_index == "a word"
    assert asked == [EVENT, odd]


class _Sub(_models.BaseModel):
    text: str


class _Made(_models.BaseModel):
    text: str

    @classmethod
    def construct(cls, _fields_set: Any = None, **values: Any) -> Any:
        return super().construct(_fields_set, **values)


class _Named(_models.BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    text: str


class _Aliased(_models.BaseModel):
    schema_: str = Field(alias="schema")


class _Fresh(_models.BaseModel):
    texts: list[str] = []


class _Private(_models.BaseModel):
    _kept: int = 1
    text: str


class _Typed(_models.BaseModel):
    __pydantic_extra__: dict[str, _Sub] = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    text: str


class _Own(_models.BaseModel):
    inner: _Own | None = None
    direct: _Own = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class _Worded(_models.BaseModel):
    word: str = "word"
    number: Annotated[int, "of them"] = 3
    either: str | int | None = None
    several: list[Annotated[int, "of them"]] = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    many: int | None = None
    sub: _Sub | None = None


VALUES: list[Any] = [None, "text", 1, 1.5, [], ["a", 1], {}, {"text": "a"}, [{"text": 1}]]


@pytest.mark.parametrize("cls", [_Made, _Named, _Aliased, _Fresh, _Private, _Typed])
def test_a_class_that_is_made_in_a_way_of_its_own(cls: Any) -> None:
    """It is refused by itself; as a part of another, the SDK makes that part."""
    sdk = objects._Sdk()
    with pytest.raises(objects._UnlikeTheSdkError):
        sdk.constructor(cls)
    holder: Any = type("Holder", (_models.BaseModel,), {"__annotations__": {"part": cls}})
    make: Callable[[Any], Any] = sdk.constructor(holder)
    for value in [*VALUES, {"schema": "a", "schema_": "b", "texts": None, "more": {"text": "a"}}]:
        frame = {"part": value}
        assert objects.same_objects(make(frame), sdk.own(holder)(frame))


def test_a_class_that_holds_itself() -> None:
    """The SDK makes what it holds."""
    sdk = objects._Sdk()
    frame: dict[str, Any] = {
        "inner": {"inner": {}},
        "direct": {"inner": None, "direct": {"more": 1}},
    }
    assert objects.same_objects(sdk.constructor(_Own)(frame), sdk.own(_Own)(frame))


@pytest.mark.parametrize("field", list(_Worded.model_fields))
def test_a_default_that_is_a_value(field: str) -> None:
    """Null makes a field its default, which need not be null."""
    sdk = objects._Sdk()
    make = sdk.constructor(_Worded)
    for frame in ({}, *({field: value} for value in VALUES)):
        assert objects.same_objects(make(frame), sdk.own(_Worded)(frame))


class _A(_models.BaseModel):
    type: Literal["a", "b"]


class _B(_models.BaseModel):
    type: Literal["b"]


class _Any(_models.BaseModel):
    type: str


class _Optional(_models.BaseModel):
    type: Literal["c"] = "c"


@pytest.mark.parametrize("other", [_B, _Any, _Optional])
def test_a_union_whose_classes_are_not_told_apart(other: Any) -> None:
    """A type that two of them take needs the SDK's comparison of both."""
    with pytest.raises(objects._UnlikeTheSdkError):
        objects._Union(objects._Sdk(), Annotated[_A | other, "by type"])


class _HeldByItself(_models.BaseModel):
    type: Literal["d"]
    schema_: int = Field(alias="schema")


def test_a_class_of_a_union_that_the_sdk_constructs() -> None:
    """Where a class cannot be compiled, what does not validate is the SDK's."""
    sdk = objects._Sdk()
    union: Any = Annotated[_A | _HeldByItself, "by type"]
    make = objects._Union(sdk, union)
    for frame in ({"type": "d", "schema": "word"}, {"type": "d"}, {"type": "d", "schema": 1}):
        for _ in range(2):
            assert objects.same_objects(make(frame), sdk.own(union)(frame))


def test_objects_that_differ_are_told_apart() -> None:
    """What the comparison rests on."""
    one = _Sub.construct(text="a", more=1)
    others = [
        _A.construct(text="a", more=1),
        _Sub.construct(text="b", more=1),
        _Sub.construct(text="a", more=True),
        _Sub.construct({"more"}, text="a", more=1),
        _Sub.construct(more=1),
    ]
    assert objects.same_objects(one, _Sub.construct(text="a", more=1))
    assert not any(objects.same_objects(one, other) for other in others)
    assert not objects.same_objects([1, 2], [1])
    assert not objects.same_objects({"a": 1, "b": 2}, {"b": 2, "a": 1})
