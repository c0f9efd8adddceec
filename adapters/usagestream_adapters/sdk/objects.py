"""The SDK's own objects, made of JSON as the SDK makes them, without its walk through annotations.

The SDK makes an object of a frame by reading the type annotations of its class again, for each
frame. Here a class is read once, into a schema that pydantic's core follows. The schema knows what
nearly every value is: one of the expected type, which the SDK keeps as it is. Any other is given to
the SDK's own functions, and so is every class that is not as known. What was compiled is tried
against the SDK before it is used: where one object differs, the SDK's own way is taken.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from inspect import isclass
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from usagestream_core.json_types import is_array, is_object

__all__ = [
    "Make",
    "bare_object",
    "chat_chunk",
    "make_chat_chunk",
    "make_response_event",
    "same_objects",
]

Make = Callable[[Any], Any]
"""Makes the SDK's object of a decoded frame. Where it raises, whatever it is, ask the SDK: it may
take the frame all the same, or has its own word for what is wrong."""

_CONTROL: Final = frozenset({"_fields_set", "_BaseModel__cls"})
"""Keys that the SDK takes for arguments of its own, wherever they stand."""

_SLOTS: Final = tuple(
    vars(BaseModel)[f"__pydantic_{name}__"].__set__ for name in ("private", "extra", "fields_set")
)
"""What `object.__setattr__` finds by name each time, of every pydantic model."""

logger = logging.getLogger("usagestream")


class _UnlikeTheSdkError(Exception):
    """A class or a function of the SDK's is not as it is known here."""


@cache
def make_chat_chunk() -> Make | None:
    """What makes a `ChatCompletionChunk`; `None` where only the SDK can be trusted to."""
    from openai.types.chat import ChatCompletionChunk

    try:
        sdk = _Sdk()
        make = sdk.constructor(ChatCompletionChunk)
        own = sdk.own(ChatCompletionChunk)
        for frame in _TRIALS:
            if not same_objects(make(frame), own(frame)):
                raise _UnlikeTheSdkError(f"another object comes of {frame!r}")  # noqa: TRY301
    except Exception as exc:  # noqa: BLE001 - whatever it is, the SDK can do without this
        logger.debug("The SDK makes its chunks itself: %s", exc)
        return None
    return make


@cache
def make_response_event() -> Make | None:
    """What makes an event of the Responses API; `None` where only the SDK can be trusted to."""
    from openai.types.responses import ResponseStreamEvent

    try:
        return _Union(_Sdk(), ResponseStreamEvent)
    except Exception as exc:  # noqa: BLE001 - as above
        logger.debug("The SDK makes its events itself: %s", exc)
        return None


def chat_chunk(frame: Mapping[str, Any]) -> Any:
    """Make a `ChatCompletionChunk` as the SDK's own `construct` does."""
    from openai.types.chat import ChatCompletionChunk

    make = make_chat_chunk()
    if make is not None:
        try:
            return make(frame)
        except Exception:  # noqa: BLE001, S110 - whatever it is, the SDK is asked
            pass
    return ChatCompletionChunk.construct(**frame)


@cache
def bare_object(cls: Any) -> Callable[[dict[str, Any], set[str]], Any]:
    """What makes an object of all its fields, in their order, and the names of those that are set.

    As the SDK's `construct` does, of values that it would keep as they are.
    """
    new = cls.__new__
    put = object.__setattr__
    private, extras, fields_set = _SLOTS

    def make(values: dict[str, Any], names: set[str]) -> Any:
        made = new(cls)
        put(made, "__dict__", values)
        private(made, None)
        extras(made, {})
        fields_set(made, names)
        return made

    return make


_TRIALS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "text", "more": {"a": [1]}},
                "finish_reason": None,
                "logprobs": {"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]},
            },
            {"delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}},
        ],
        "system_fingerprint": None,
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "more": [],
    },
    {
        "id": 1,
        "object": "word",
        "created": "1",
        "choices": [None, 1, [{}], {"index": None, "delta": "text", "finish_reason": "word"}],
        "service_tier": 1,
        "system_fingerprint": ["a"],
        "usage": {"prompt_tokens": "1"},
    },
    {"choices": {"delta": {"content": 1, "tool_calls": {}}}, "usage": []},
    {"choices": [{"delta": [{"content": "text"}], "index": 1.0, "logprobs": {"content": 1}}]},
)
"""What the SDK is likely to be sent, and what it is not: kept as it is, coerced or passed over."""


class _Sdk:
    """The SDK's functions that this stands in for, and what is compiled of its classes."""

    def __init__(self) -> None:
        models = import_module("openai._models")
        self._base: Any = models.BaseModel
        self._construct: Any = self._base.construct.__func__
        self._construct_type: Callable[..., Any] = models.construct_type
        self._construct_field: Callable[..., Any] = models._construct_field  # noqa: SLF001
        self._extra_type: Callable[[Any], Any] = models._get_extra_fields_type  # noqa: SLF001
        self._default: Callable[[Any], Any] = models.field_get_default
        self._within: list[Any] = []

    def own(self, type_: Any) -> Make:
        """The SDK's own way to make this type of anything."""
        return lambda value: self._construct_type(value=value, type_=type_)

    def constructor(self, cls: Any) -> Make:
        """What makes an object of this class as the SDK's `construct` does."""
        return SchemaValidator(self._model(cls)).validate_python

    def _model(self, cls: Any) -> CoreSchema:
        with self._inside(cls):
            fields = {name: self._field(name, field) for name, field in cls.model_fields.items()}
        schema = core_schema.model_fields_schema(fields, extra_behavior="allow")
        return core_schema.no_info_after_validator_function(_filled(cls), schema)

    @contextmanager
    def _inside(self, cls: Any) -> Generator[None]:
        """Refuse a class that is not made by the SDK's own `construct`, or that holds itself."""
        if (
            cls in self._within
            or cls.construct.__func__ is not self._construct
            or cls.model_config.get("populate_by_name")
            or cls.__private_attributes__
            or self._extra_type(cls) is not None
        ):
            raise _UnlikeTheSdkError(f"{cls.__name__} is made in a way of its own")
        self._within.append(cls)
        try:
            yield
        finally:
            self._within.pop()

    def _field(self, name: str, field: Any) -> core_schema.ModelField:
        default = self._default(field)
        if field.alias is not None or type(default) not in (type(None), str, int, float, bool):
            raise _UnlikeTheSdkError(f"{name} has an alias or a default that is made anew")
        own = partial(self._construct_field, field=field, key=name)
        schema = _asked(own) if field.metadata else self._value(field.annotation, own)
        if default is None:
            schema = core_schema.nullable_schema(schema)
        elif schema["type"] == "any":
            schema = _asked(own)  # since null makes it the default
        return core_schema.model_field(core_schema.with_default_schema(schema, default=default))

    def _value(self, annotation: Any, own: Make) -> CoreSchema:
        """The schema of a value that is not null in a field; `own` is how the SDK makes it."""
        origin = get_origin(annotation)
        if annotation in (str, int, bool, object, Any) or origin is Literal:
            return core_schema.any_schema()
        if origin in (Union, types.UnionType):
            return _first(_kept(get_args(annotation)), own)
        if origin is list:
            [item] = get_args(annotation)
            items = self._value(item, self.own(item))
            return _first(core_schema.list_schema(items, strict=True), own)
        if isclass(annotation) and issubclass(annotation, self._base):
            try:
                return _first(self._model(annotation), own)
            except _UnlikeTheSdkError:
                return _asked(own)
        return _asked(own)


def _filled(cls: Any) -> Callable[[tuple[Any, Any, Any]], Any]:
    """What makes an object of its fields, its extras and the names of the fields that were set.

    In Python: a schema of the model itself would be passed over for the class's own validator.
    """
    new = cls.__new__
    put = object.__setattr__
    private, extras, fields_set = _SLOTS

    def fill(parts: tuple[Any, Any, Any]) -> Any:
        made = new(cls)
        values, extra, names = parts
        if extra:
            if not _CONTROL.isdisjoint(extra):
                raise _UnlikeTheSdkError("the SDK takes this for an argument")
            names -= extra.keys()  # which the SDK does not count among those that were set
        put(made, "__dict__", values)
        private(made, None)
        extras(made, extra)
        fields_set(made, names)
        return made

    return fill


def _kept(alternatives: Iterable[Any]) -> CoreSchema | None:
    """What a value of one of these types keeps being; `None` where that is not so simple."""
    kinds = {_kind(each) for each in alternatives} - {type(None)}
    if kinds == {str}:
        return core_schema.str_schema(strict=True)
    return core_schema.int_schema(strict=True) if kinds == {int} else None


def _kind(annotation: Any) -> Any:
    """Words are strings: of one that is not among them, the SDK keeps the string as it is."""
    words: tuple[object, ...] = get_args(annotation) if get_origin(annotation) is Literal else ()
    return str if {type(word) for word in words} == {str} else annotation


def _first(schema: CoreSchema | None, own: Make) -> CoreSchema:
    """What the schema takes, or else what the SDK makes of it."""
    if schema is None:
        return _asked(own)
    return core_schema.union_schema([schema, _asked(own)], mode="left_to_right")


def _asked(own: Make) -> CoreSchema:
    return core_schema.no_info_plain_validator_function(own)


class _Union:
    """Makes one of several classes that are told apart by their `type`.

    The SDK validates an event against all of them; what none takes, it constructs of the class that
    has the type. Since each takes its own types only, it is enough to ask the one. The first event
    of each type is compared with the SDK's.
    """

    def __init__(self, sdk: _Sdk, union: Any) -> None:
        self._sdk = sdk
        self._own = sdk.own(union)
        self._classes: dict[str, Any] = {}
        self._validate: dict[str, Make] = {}
        self._construct: dict[str, Make] = {}
        for cls in get_args(get_args(union)[0]):
            field = cls.model_fields["type"]
            names = get_args(field.annotation)
            is_own = get_origin(field.annotation) is Literal and field.is_required()
            if not is_own or not self._classes.keys().isdisjoint(names):
                raise _UnlikeTheSdkError(f"{cls.__name__} has no type of its own")
            self._classes.update(dict.fromkeys(names, cls))

    def __call__(self, frame: Any) -> Any:
        kind = frame["type"]
        validate = self._validate.get(kind) or self._validator(kind)
        try:
            return validate(frame)
        except ValueError:
            pass
        construct = self._construct.get(kind) or self._constructor(kind)
        return construct(frame)

    def _validator(self, kind: str) -> Make:
        cls = self._classes[kind]
        cls.model_rebuild()  # since the SDK leaves it to the first use
        return self._proved(cls.__pydantic_validator__.validate_python, kind, self._validate)

    def _constructor(self, kind: str) -> Make:
        try:
            make = self._sdk.constructor(self._classes[kind])
        except _UnlikeTheSdkError:
            make = self._own
        return self._proved(make, kind, self._construct)

    def _proved(self, make: Make, kind: str, ways: dict[str, Make]) -> Make:
        """Take this way for the type if the first object that it makes is the SDK's."""

        def first(frame: Any) -> Any:
            made = make(frame)
            theirs = self._own(frame)
            ways[kind] = make if same_objects(made, theirs) else self._own
            return theirs

        return first


def same_objects(one: Any, other: Any) -> bool:
    """Whether nothing tells two objects made of JSON apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        return (
            one.model_fields_set == other.model_fields_set
            and one.__pydantic_private__ == other.__pydantic_private__
            and same_objects(one.__dict__, other.__dict__)
            and same_objects(one.__pydantic_extra__, other.__pydantic_extra__)
        )
    if is_object(one):
        return list(one) == list(other) and all(map(same_objects, one.values(), other.values()))
    if is_array(one):
        return len(one) == len(other) and all(map(same_objects, one, other))
    return repr(one) == repr(other)
