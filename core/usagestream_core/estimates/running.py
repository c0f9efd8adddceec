"""Counts of tokens that are kept while text comes, at the price of what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .estimate import fill_in
from .prompt import count_prompt

if TYPE_CHECKING:
    from ..usage import Usage
    from .estimate import TokenCounter

__all__ = ["RunningCount", "RunningEstimate"]

_LONGEST_WORD: Final = 256


class RunningCount:
    """Counts the tokens of one text that comes in pieces.

    A tokenizer sees words, never their neighbours, so that each is counted once it is whole: a
    word begins with the blank before it. Only the last word is counted anew with every piece, and
    one that never ends is cut, at the price of a token.
    """

    def __init__(self, counter: TokenCounter, model: str) -> None:
        self.tokens = 0
        """Tokens of all that was added."""
        self._counter = counter
        self._model = model
        self._word = ""
        self._counted = 0

    def add(self, text: str) -> int:
        """Take what comes next, and give how many tokens more that is; may be negative."""
        before = self.tokens
        word = self._word + text
        end = word.rfind(" ")
        if end <= 0 and len(word) > _LONGEST_WORD:
            end = len(word)
        whole = 0
        if end > 0:
            whole = self._count(word[:end])
            word = word[end:]
        rest = self._count(word)
        self.tokens += whole + rest - self._counted
        self._word, self._counted = word, rest
        return self.tokens - before

    def _count(self, text: str) -> int:
        return self._counter.count(text, self._model) or 0


class RunningEstimate:
    """`estimate`, asked for again and again while a stream comes: counts only what is new."""

    def __init__(self, counter: TokenCounter, model: str, params: Mapping[str, Any]) -> None:
        self.model = model
        self._counter = counter
        self._params = params
        self._prompt: tuple[int, bool] | None = None
        self._texts: dict[int, tuple[int, RunningCount]] = {}
        """By identity of a text's list: how many of its pieces were counted, and the count."""

    def usage(
        self, reported: Mapping[str, int], texts: Iterable[Sequence[str]], *, has_tool_calls: bool
    ) -> Usage | None:
        """Fill in what is not `reported`; `None` where that is nothing, or cannot be counted.

        `texts` are those of all choices, refusals and tool calls, each in the pieces that came
        until now: the same lists each time, which only grow. Raises what the counter raises.
        """
        if self._counter.count("", self.model) is None:
            return None
        return fill_in(
            reported,
            model=self.model,
            params=self._params,
            has_tool_calls=has_tool_calls,
            output=lambda: sum(map(self._tokens, texts)),
            prompt=self._input,
        )

    def _tokens(self, pieces: Sequence[str]) -> int:
        known, count = self._texts.get(id(pieces)) or (0, RunningCount(self._counter, self.model))
        new = pieces[known:]
        if new:
            count.add("".join(new))
            self._texts[id(pieces)] = (known + len(new), count)
        return count.tokens

    def _input(self) -> tuple[int, bool]:
        if self._prompt is None:
            self._prompt = count_prompt(
                self._params, self.model, lambda text: self._counter.count(text, self.model) or 0
            )
        return self._prompt
