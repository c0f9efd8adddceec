"""A limit on what a stream may write, by a count kept while it is written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..estimates.running import RunningCount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..chunk import Chunk
    from ..estimates.estimate import TokenCounter

__all__ = ["OutputLimit"]


class OutputLimit:
    """Counts the output tokens of the chunks that were handed over."""

    def __init__(self, tokens: int, counter: TokenCounter, model: str, *, quiet: bool) -> None:
        self.tokens = tokens
        self.quiet = quiet
        """End the stream without an error."""
        self.seen = 0
        self._count = partial(RunningCount, counter, model)
        self._counts: dict[tuple[int, int], RunningCount] = {}

    def passed(self, chunk: Chunk) -> bool:
        """Take note of a chunk, and say whether the limit is behind us."""
        for key, text in _pieces(chunk):
            if key not in self._counts:
                self._counts[key] = self._count()
            self.seen += self._counts[key].add(text)
        return self.seen > self.tokens


def _pieces(chunk: Chunk) -> Iterator[tuple[tuple[int, int], str]]:
    index = chunk.index
    if chunk.text:
        yield (index, -1), chunk.text
    if chunk.refusal:
        yield (index, -2), chunk.refusal
    if chunk.reasoning:
        yield (index, -3), chunk.reasoning
    for call in chunk.tool_calls:
        yield (index, call.index), (call.name or "") + call.arguments
