"""Spares the SDK's `stream()` helper what it does again for each piece of text.

The helper keeps a snapshot of the answer. For each chunk it dumps the message of the snapshot, adds
to it, makes it anew, and makes two events, each by a walk through annotations. Where a chunk is a
piece of text and nothing else, what comes of that is known: it is made here. Every other chunk is
the helper's own.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, Final

from usagestream_core.json_types import Json

from ..sdk.objects import bare_object, make_chat_chunk, same_objects
from ._objects import is_unwrapped

__all__ = ["spare_text"]

_STATE: Final = "_state"
_SNAPSHOT: Final = "_ChatCompletionStreamState__current_completion_snapshot"
_METHODS: Final = ("handle_chunk", "_accumulate_chunk", "_build_events", "_get_choice_state")
"""What the helper does for a chunk: whatever wraps one of these may want to see each."""
_TEXT: Final = frozenset({"content"})

logger = logging.getLogger("usagestream")


def spare_text(completions: Any) -> None:
    """Let the `stream()` of this resource be spared, unless something else has replaced it."""
    if "stream" in vars(completions):
        return
    kind: Any = completions.__class__

    @wraps(completions.stream)
    def stream(*args: Any, **asked: Any) -> Any:
        found = inspect.getattr_static(kind, "stream")
        manager = found.__get__(completions, kind)(*args, **asked)
        sparing = _sparing(manager.__class__)
        if sparing is not None:
            manager.__class__ = sparing
        return manager

    completions.stream = stream


@cache
def _sparing(kind: Any) -> Any:
    """The SDK's context manager, but that its stream is spared; `None` for any other."""
    if not kind.__module__.startswith("openai.lib.streaming.chat.") or _events() is None:
        return None

    def enter(self: Any) -> Any:
        return _spared(kind.__enter__(self))

    async def aenter(self: Any) -> Any:
        return _spared(await kind.__aenter__(self))

    own = {"__enter__": enter} if hasattr(kind, "__enter__") else {"__aenter__": aenter}
    names = ("__module__", "__qualname__", "__doc__")
    return type(kind.__name__, (kind,), {**own, **{name: getattr(kind, name) for name in names}})


def _spared(stream: Any) -> Any:
    spare_state(getattr(stream, _STATE, None), _events())
    return stream


class _Events:
    """The two events of a piece of text."""

    def __init__(self) -> None:
        from openai.lib.streaming.chat import ChunkEvent, ContentDeltaEvent

        self._chunk = bare_object(ChunkEvent)
        self._delta = bare_object(ContentDeltaEvent)
        self._names = frozenset(ChunkEvent.model_fields), frozenset(ContentDeltaEvent.model_fields)

    def make(self, chunk: Any, snapshot: Any, text: Any, content: str) -> list[Any]:
        of_chunk, of_delta = self._names
        first = {"type": "chunk", "chunk": chunk, "snapshot": snapshot}
        second = {"type": "content.delta", "delta": text, "snapshot": content, "parsed": None}
        return [self._chunk(first, set(of_chunk)), self._delta(second, set(of_delta))]


@cache
def _events() -> _Events | None:
    """What makes events; `None` where the helper is not as known."""
    try:
        events = _Events()
        if not _is_as_known(events):
            raise ValueError("its events are others")  # noqa: TRY301
    except Exception as exc:  # noqa: BLE001 - whatever it is, the SDK can do without this
        logger.debug("The SDK's stream() helper is left alone: %s", exc)
        return None
    return events


def spare_state(state: Any, events: _Events | None) -> None:
    """Let the helper's state handle pieces of text in the short way."""
    kept: Mapping[str, Any] = getattr(state, "__dict__", {})
    kind: type[Any] = state.__class__
    if (
        events is None
        or "handle_chunk" in kept
        or isinstance(kept.get("_response_format"), type)  # so that each piece of text is parsed
        or not all(is_unwrapped(getattr(kind, name, "missing")) for name in _METHODS)
    ):
        return
    handle: Callable[[Any], Any] = state.handle_chunk

    def handle_chunk(chunk: Any) -> Any:
        snapshot: Any = kept.get(_SNAPSHOT)
        try:
            text = _text_of(chunk)
            content = None if text is None else _add(snapshot, text)
        except (AttributeError, LookupError, TypeError):  # it is the helper that says so
            text = content = None
        if content is None:
            return handle(chunk)
        snapshot.usage = chunk.usage
        snapshot.system_fingerprint = chunk.system_fingerprint
        return events.make(chunk, snapshot, text, content)

    state.handle_chunk = handle_chunk


def _text_of(chunk: Any) -> str | None:
    """The text of a chunk of the only choice that has nothing else; `None` of any other."""
    choices: Json = chunk.choices
    if type(choices) is not list or len(choices) != 1 or getattr(chunk, "moderation", None):
        return None
    choice = choices[0]
    delta = choice.delta
    if (
        choice.index != 0
        or choice.finish_reason is not None
        or choice.logprobs is not None
        or delta.model_fields_set != _TEXT
        or delta.model_extra
    ):
        return None
    text: Any = delta.content
    return text if type(text) is str else None


def _add(snapshot: Any, text: str) -> str | None:
    """Add to the message of a snapshot; `None` where it is not one of nothing but text.

    A message that the helper has made anew has all its fields set, but for what was parsed.
    """
    choices = None if snapshot is None else snapshot.choices
    if not choices or choices[0].finish_reason is not None:
        return None
    message = choices[0].message
    kind: Any = message.__class__
    values: dict[str, Any] = message.__dict__
    made_anew = len(message.model_fields_set) == len(kind.model_fields) - 1
    if not made_anew or "parsed" in message.model_fields_set or message.model_extra:
        return None
    if type(values["content"]) is not str or not all(map(_is_simple, values.values())):
        return None
    content: str = values["content"] + text
    names = set(message.model_fields_set)
    choices[0].message = bare_object(kind)({**values, "content": content}, names)
    return content


def _is_simple(value: Any) -> bool:
    return value is None or type(value) is str


def _is_as_known(events: _Events) -> bool:
    """Whether the helper's own way gives the same, of a short answer."""
    from openai.lib.streaming.chat import ChatCompletionStreamState

    make = make_chat_chunk()
    assert make is not None, "chunks are left to the SDK"
    plain: Any = ChatCompletionStreamState()
    spared: Any = ChatCompletionStreamState()
    spare_state(spared, events)
    short = 0
    for delta in ({"role": "assistant", "content": ""}, *({"content": each} for each in "abc"), {}):
        choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
        frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunk = make({**frame, "choices": [choice]})
        short += _text_of(chunk) is not None
        ours, theirs = spared.handle_chunk(chunk), plain.handle_chunk(chunk)
        if not same_objects(list(ours), list(theirs)):
            return False
    return short == 3 and same_objects(spared.get_final_completion(), plain.get_final_completion())
