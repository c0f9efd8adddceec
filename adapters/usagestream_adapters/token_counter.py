"""Token counting offline, with the tokenizers that OpenAI's models use.

Encodings are always named here, by model family: the packages' own tables of models are behind.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

__all__ = ["BpeCounter", "encoder", "encoding_of", "installed_counter"]

_ENCODINGS: Final = (
    (re.compile(r"(ft:)?(gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-audio|o\d)"), "o200k_base"),
    (re.compile(r"(ft:)?(gpt-4|gpt-3\.5|gpt-35)"), "cl100k_base"),
)

_LONGEST: Final = 100_000
"""Characters. bpe-openai refuses a million of them, and 200,000 tokens."""


def encoding_of(model: str) -> str | None:
    """The encoding of an OpenAI model, dated or fine-tuned too; `None` for any other name."""
    return next((name for family, name in _ENCODINGS if family.match(model)), None)


def installed_counter() -> BpeCounter | None:
    """A counter, if its package is installed: `pip install "usagestream[estimate]"`."""
    if find_spec("bpe_openai") is None:
        return None
    # The package needs it, and it refuses to be imported once the interpreter has begun to end,
    # which is when streams that are still open are counted.
    import_module("concurrent.futures.thread")
    return BpeCounter()


class BpeCounter:
    """Counts with bpe-openai, which carries its ranks and needs no network.

    Satisfies `usagestream.TokenCounter`. A tokenizer is loaded with the first text to count, which
    takes about half a second.
    """

    def count(self, text: str, model: str) -> int | None:
        """Tokens of this text; `None` for a model that is not OpenAI's."""
        encoding = encoding_of(model)
        if encoding is None:
            return None
        if not text:
            return 0
        encode = encoder(encoding)
        return sum(len(encode(piece)) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Cut what is longer than the tokenizer takes, before a blank, where a word begins."""
    start = 0
    while len(text) - start > _LONGEST:
        blank = text.rfind(" ", start + 1, start + _LONGEST)
        end = blank if blank > 0 else start + _LONGEST
        yield text[start:end]
        start = end
    yield text[start:]


@cache
def encoder(encoding: str) -> Callable[[str], Sequence[int]]:
    """Load a tokenizer. Raises `ImportError` where the package is not installed."""
    with warnings.catch_warnings():
        # The package reads its data by a function that newer Pythons want to see gone.
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai  # type: ignore[import-untyped]

        tokenizer: Any = bpe_openai.get_encoding(encoding)
    encode: Callable[[str], Sequence[int]] = tokenizer.encode_ordinary
    return encode
