"""Other instrumentations of the openai SDK: seen, so that nothing is counted twice, or silenced.

What they leave to be seen was found by running them: opentelemetry-instrumentation-genai-openai
1.3, opentelemetry-instrumentation-openai 0.62 and openinference-instrumentation-openai 0.1.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from usagestream_core.record import Api

__all__ = ["Other", "around_us", "in_the_sdk", "silenced"]

_INFERENCE: Final = "opentelemetry.genai.client.inference.context"
"""Under this key opentelemetry-util-genai keeps the call that it reports."""
_INFERENCE_MODULE: Final = "opentelemetry.util.genai.invocation"
_SUPPRESSED: Final = "suppress_language_model_instrumentation"
"""Under this key opentelemetry-instrumentation-openai is asked to be silent."""

_CALLS: Final = ("chat", "text_completion", "generate_content")
_SCOPES: Final = {
    "opentelemetry.instrumentation.": True,
    "pydantic-ai": True,
    "openinference.instrumentation.": False,
    "logfire": False,
}
"""How the tracers of instrumentations are called, and whether they count tokens in metrics too."""

_PATCHED: Final[Mapping[Api, tuple[str, str]]] = {
    "chat": ("openai.resources.chat.completions", "Completions"),
    "responses": ("openai.resources.responses", "Responses"),
}
_WRAPPERS: Final[Mapping[str, tuple[Api, ...]]] = {
    "opentelemetry.instrumentation.openai": ("chat",),
    "openinference.instrumentation.openai": (),
}
"""Whose wrapper around a method of the SDK means that it reports a span; metrics, of these APIs."""


@dataclass(frozen=True, slots=True)
class Other:
    """Somebody else who reports the same call."""

    name: str
    has_metrics: bool
    span: trace.Span | None = None
    """Its span, where that can be seen."""


def around_us() -> Other | None:
    """Who else reports the call of the context that this runs in; `None` where nobody is seen."""
    span = trace.get_current_span()
    scope = str(getattr(getattr(span, "instrumentation_scope", None), "name", ""))
    if context.get_value(_INFERENCE) is not None:
        return Other(scope or "opentelemetry.util.genai", has_metrics=True, span=span)
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    if said.get("gen_ai.operation.name") in _CALLS or said.get("openinference.span.kind") == "LLM":
        for prefix, has_metrics in _SCOPES.items():
            if scope.startswith(prefix):
                return Other(scope, has_metrics=has_metrics, span=span)
    return None


def in_the_sdk(api: Api) -> Other | None:
    """Who else has put itself before the SDK's method, and leaves nothing in the context.

    That is so with spans that are not sampled, and with those that are made afterwards.
    """
    if context.get_value(_SUPPRESSED):
        return None
    where, class_name = _PATCHED[api]
    methods = (
        (getattr(sys.modules.get(where), class_name, None), "create"),
        (getattr(sys.modules.get("openai"), "OpenAI", None), "request"),
    )
    for owner, method in methods:
        wrapper = getattr(vars(owner or object).get(method), "_self_wrapper", None)
        module = str(getattr(wrapper, "__module__", ""))
        for prefix, counted in _WRAPPERS.items():
            if module.startswith(prefix):
                return Other(prefix, has_metrics=api in counted)
    return None


@contextmanager
def silenced() -> Generator[None]:
    """Ask the others to be silent on what is called in here, as far as they can be asked."""
    inside = context.set_value(_SUPPRESSED, True)
    kept = getattr(sys.modules.get(_INFERENCE_MODULE), "InferenceData", None)
    if kept is not None:
        inside = context.set_value(_INFERENCE, kept(), inside)
    token = context.attach(inside)
    try:
        yield
    finally:
        context.detach(token)
