"""A limit on what a stream may write, by a count kept while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..chunk import Chunk
    from ..estimates.estimate import TokenCounter

__all__ = ["OutputLimit"]

_LONGEST_WORD: Final = 256


class OutputLimit:
    """Counts the output tokens of the chunks that were handed over.

    A tokenizer sees words, never their neighbours, so that each is counted once it is whole: a
    word begins with the blank before it. Only the last word is counted anew with every chunk, and
    one that never ends is cut, at the price of a token.
    """

    def __init__(self, tokens: int, counter: TokenCounter, model: str, *, quiet: bool) -> None:
        self.tokens = tokens
        self.quiet = quiet
        """End the stream without an error."""
        self.seen = 0
        self._counter = counter
        self._model = model
        self._words: dict[tuple[int, int], tuple[str, int]] = {}

    def passed(self, chunk: Chunk) -> bool:
        """Take note of a chunk, and say whether the limit is behind us."""
        for key, text in _pieces(chunk):
            word, counted = self._words.get(key, ("", 0))
            word += text
            end = word.rfind(" ")
            if end <= 0 and len(word) > _LONGEST_WORD:
                end = len(word)
            whole = 0
            if end > 0:
                whole = self._count(word[:end])
                word = word[end:]
            rest = self._count(word)
            self._words[key] = (word, rest)
            self.seen += whole + rest - counted
        return self.seen > self.tokens

    def _count(self, text: str) -> int:
        return self._counter.count(text, self._model) or 0


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
