"""Refusals and broken streams, replayed from what each surface sent."""

from __future__ import annotations

import pytest

from usagestream import (
    AuthenticationError,
    ContentFilterError,
    DeploymentNotFoundError,
    NotFoundError,
    Outcome,
    RateLimitError,
    StreamTruncatedError,
    UsageSource,
)
from usagestream_adapters.emulator import Scenario, errors, scenarios

from .conftest import Ask

pytestmark = pytest.mark.vcr

every_surface = pytest.mark.parametrize(
    "surface", ["openai", "azure-classic", "azure-entra", "azure-v1"]
)
on_azure = pytest.mark.parametrize("surface", ["azure-classic", "azure-entra", "azure-v1"])
with_a_key = pytest.mark.parametrize("surface", ["openai", "azure-classic", "azure-v1"])


@on_azure
def test_prompt_blocked(ask: Ask) -> None:
    """A prompt that the filter blocks is refused with a 400, before any event."""
    answer = ask(scenarios.prompt_blocked)
    assert isinstance(answer.error, ContentFilterError)
    assert answer.error.status == 400
    assert answer.record.outcome == Outcome.REJECTED


@every_surface
def test_unknown_deployment(ask: Ask, surface: str) -> None:
    """A deployment, or a model, that is not there."""
    answer = ask(model="missing-from-here")
    expected = NotFoundError if surface == "openai" else DeploymentNotFoundError
    assert isinstance(answer.error, expected)
    assert answer.error.status == 404


@with_a_key
def test_bad_key(ask: Ask) -> None:
    """A wrong key."""
    answer = ask(credential="wrong-key-of-nobody")
    assert isinstance(answer.error, AuthenticationError)
    assert answer.error.status == 401


@pytest.mark.parametrize("surface", ["azure-entra"])
def test_bad_token(ask: Ask) -> None:
    """A token that is not accepted, nor is the fresh one that is asked for then."""
    answer = ask(credential="wrong-token-of-nobody")
    assert isinstance(answer.error, AuthenticationError)
    assert answer.error.status == 401


@every_surface
def test_stream_options_refused(ask: Ask) -> None:
    """Refused for `stream_options`, asked again without them, and answered: without a usage."""
    answer = ask(scenarios.stream_options_refused, scenarios.plain)
    assert answer.text() == "The emulator says hello."
    assert answer.usage.source != UsageSource.REPORTED
    assert answer.record.outcome == Outcome.COMPLETED


@every_surface
def test_rate_limited(ask: Ask) -> None:
    """A 429 whose two headers say how long to wait."""
    limited = Scenario(error=errors.rate_limited(retry_after="2", retry_after_ms="1500"))
    answer = ask(limited)
    assert isinstance(answer.error, RateLimitError)
    assert answer.error.retry_after == 1.5


@every_surface
def test_rate_limited_then_answered(ask: Ask) -> None:
    """The SDK waits as it is told, asks again, and is answered: two requests in one cassette."""
    limited = Scenario(error=errors.rate_limited(retry_after="1", retry_after_ms="20"))
    answer = ask(limited, scenarios.plain, profile={"max_retries": 1})
    assert answer.text() == "The emulator says hello."
    assert answer.usage.source == UsageSource.REPORTED


@every_surface
def test_truncated_stream(ask: Ask) -> None:
    """A body that ends in good order, but before the answer does."""
    answer = ask(scenarios.broken_off)
    assert isinstance(answer.error, StreamTruncatedError)
    assert answer.text()
    assert answer.record.outcome == Outcome.TRUNCATED
