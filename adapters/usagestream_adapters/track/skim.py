"""The chat decoder, spared the frames that are nothing but text.

The SDK decodes every frame already. Doing so again would be most of what tracking costs, and most
frames of a stream differ in nothing but their text and their padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from usagestream_core.adapter import Head, Report
from usagestream_core.chunk import Chunk

from ..wire.chat import ChatFrames
from ..wire.sse import SseDecoder

__all__ = ["SkimmingChatDecoder", "Template"]

_TEXT: Final = b'"delta":{"content":"'
_PADDING: Final = b'"obfuscation":"'


@dataclass(frozen=True, slots=True)
class Template:
    """A frame of text for the first choice and of nothing else, without that text."""

    before: bytes
    after: bytes
    """What follows the text, to the padding or to the end."""
    end: bytes
    """What follows the padding."""

    @classmethod
    def of(cls, event: bytes) -> Self | None:
        """Make one of an event that is such a frame; `None` for any other.

        Looked for as JSON that is written without spaces, as both services do. No string inside a
        frame can be taken for a key, since its own quotes are escaped.
        """
        start = event.find(_TEXT) + len(_TEXT)
        stop = event.find(b'"', start)
        if (
            start < len(_TEXT)
            or event[:6] != b"data: "
            or event[stop : stop + 2] != b'"}'
            or event.find(b"\n") != len(event) - 2
            or event.count(b'"delta"') != 1
            or not (b'"index":0,' in event or b'"index":0}' in event)
            or b'"finish_reason":null' not in event
            or b'"error"' in event
            or (b'"usage"' in event and b'"usage":null' not in event)
        ):
            return None
        padding = event.find(_PADDING, stop)
        if padding < 0:
            return cls(event[:start], event[stop:], b"")
        padding += len(_PADDING)
        return cls(event[:start], event[stop:padding], event[event.find(b'"', padding) :])

    def text_in(self, event: bytes) -> bytes | None:
        """The text of an event that is this frame but for text and padding; `None` for others.

        Text with an escape in it is left to those who know how to read it.
        """
        before, after, end = self.before, self.after, self.end
        if not event.startswith(before):
            return None
        start = len(before)
        stop = event.find(b'"', start)
        if not event.startswith(after, stop) or event.find(b"\\", start, stop) >= 0:
            return None
        rest = stop + len(after)
        if end:
            rest = event.find(b'"', rest)
        return event[start:stop] if event[rest:] == end else None


class SkimmingChatDecoder:
    """Gives the chunks that `ChatDecoder` gives, of which those that were skimmed have no `raw`."""

    def __init__(self, head: Head) -> None:
        self._frames = ChatFrames()
        self._sse = SseDecoder(head, self._frames)
        self.take = self._sse.take
        self._template: Template | None = None
        self._texts: list[bytes] = []

    def skim(self, event: bytes) -> bool:
        """Take a whole event if it is like one before but for its text; else it is to be fed.

        Its chunk is given with what is fed next.
        """
        template = self._template
        if template is None:
            return False
        text = template.text_in(event)
        if text is None:
            return False
        self._texts.append(text)
        return True

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Take the next bytes; give what they complete, and what was skimmed before."""
        out = [*self._skimmed(), *self._sse.feed(data)]
        if self._frames.is_identified and self._sse.is_between:
            self._template = Template.of(data) or self._template
        return out

    def close(self) -> list[Chunk | Report]:
        """The body has ended; give what was held back, and what was skimmed before."""
        return [*self._skimmed(), *self._sse.close()]

    def _skimmed(self) -> list[Chunk]:
        chunks = [Chunk(text.decode("utf-8", "replace")) for text in self._texts]
        self._texts.clear()
        return chunks
