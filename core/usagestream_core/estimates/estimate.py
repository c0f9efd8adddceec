"""The estimate of what nobody reported, from what could be seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, Protocol, cast, runtime_checkable

from ..errors import ConfigError
from ..usage import Usage, UsageSource
from .prompt import count_prompt

__all__ = ["CounterChoice", "TokenCounter", "as_messages", "estimate", "fill_in", "find_counter"]

ENTRY_POINT_GROUP: Final = "usagestream.token_counters"

_HIDES: Final = re.compile(r"(ft:)?(o\d|gpt-5|gpt-oss|codex|computer-use)(?!.*-chat)")
"""Models that write reasoning which no stream shows."""

WHOLES: Final = ("input_tokens", "output_tokens")
"""Counts that no answer has none of."""

_TOOL_CALL: Final = 7
"""Tokens around the first tool call of an answer: 7 or 8 in every recorded one. More calls add
more, but by no known rule."""


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens as a model's own tokenizer does."""

    def count(self, text: str, model: str) -> int | None:
        """Tokens of this text, or `None` for a model whose tokenizer is not known.

        Which models are known does not depend on the text: the empty text is asked for to find out.
        """
        ...


CounterChoice = TokenCounter | Literal["auto"] | None
"""A counter of your own, the installed one, or none: then nothing is estimated."""


def find_counter(choice: CounterChoice = "auto") -> TokenCounter | None:
    """Give the counter that is meant; `None` where none is installed.

    Nothing heavy is loaded: a counter loads its tokenizer when it is asked to count. Raises
    `ConfigError` for something that cannot count.
    """
    if choice is None:
        return None
    if choice == "auto":
        return _installed_counter()
    counter: Any = choice
    if isinstance(counter, TokenCounter) and not isinstance(counter, str | type):
        return counter
    raise ConfigError(
        f"token_counter must be 'auto', None, or have count(text, model), unlike {choice!r}"
    )


@cache
def _installed_counter() -> TokenCounter | None:
    from importlib.metadata import entry_points  # loaded where it is needed: it is slow

    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name):
        counter = entry.load()()
        if counter is not None:
            return cast("TokenCounter", counter)
    return None


def estimate(
    reported: Mapping[str, int],
    *,
    counter: TokenCounter,
    model: str,
    params: Mapping[str, Any],
    pieces: Sequence[str],
    has_tool_calls: bool,
) -> Usage | None:
    """Fill in the input and output counts that are not in `reported`; touch no other.

    `pieces` are the texts, refusals and tool calls that were seen, of all choices. `lower_bound`
    says that something could not be seen. Returns `None` where there is nothing to fill in, or
    the model is not known to the counter. Raises what the counter raises.
    """
    if counter.count("", model) is None:
        return None

    def count(text: str) -> int:
        return counter.count(text, model) or 0

    return fill_in(
        reported,
        model=model,
        params=params,
        has_tool_calls=has_tool_calls,
        output=lambda: sum(map(count, pieces)),
        prompt=lambda: count_prompt(params, model, count),
    )


def fill_in(
    reported: Mapping[str, int],
    *,
    model: str,
    params: Mapping[str, Any],
    has_tool_calls: bool,
    output: Callable[[], int],
    prompt: Callable[[], tuple[int, bool]],
) -> Usage | None:
    """`estimate`, with what counts the tokens of the texts, and of the prompt: see `count_prompt`.

    Each is called only for a count that is not `reported`.
    """
    missing = {*WHOLES} - reported.keys()
    if not missing:
        return None
    counts: dict[str, int] = {}
    missed = False
    if "output_tokens" in missing:
        counts["output_tokens"] = output() + _TOOL_CALL * has_tool_calls
        missed = has_tool_calls or _hides_output(model, params)
    if "input_tokens" in missing:
        counts["input_tokens"], prompt_missed = prompt()
        missed = missed or prompt_missed
    counts.update(reported)
    if len(missing) == 1:
        # A total that came with one part only is of before the other was there, or leaves that.
        (other,) = missing
        left = reported.get("total_tokens", 0) - sum(reported.get(name, 0) for name in WHOLES)
        counts[other] = max(counts[other], left)
    if len(missing) == 1 or "total_tokens" not in counts:
        counts["total_tokens"] = counts["input_tokens"] + counts["output_tokens"]
    return Usage.model_validate({**counts, "source": UsageSource.ESTIMATED, "lower_bound": missed})


def _hides_output(model: str, params: Mapping[str, Any]) -> bool:
    """Whether the model may write what a stream does not show: reasoning, audio."""
    modalities = params.get("modalities") or ()
    effort = params.get("reasoning_effort")
    reasoning = params.get("reasoning")
    if isinstance(reasoning, Mapping):
        effort = cast("Mapping[str, Any]", reasoning).get("effort", effort)
    return (
        _HIDES.match(model) is not None
        or "audio" in modalities
        or (isinstance(effort, str) and effort != "none")
    )


def as_messages(params: Mapping[str, Any]) -> list[Any]:
    """Give what a response is made of, as chat gives its messages: for an estimate of its input."""
    said = params.get("input")
    messages: list[Any] = [*said] if isinstance(said, list | tuple) else []
    if isinstance(said, str):
        messages.append({"role": "user", "content": said})
    if params.get("instructions"):
        messages.insert(0, {"role": "system", "content": params["instructions"]})
    return messages
