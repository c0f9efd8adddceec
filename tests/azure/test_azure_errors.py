"""What each refusal of WIRE §1.5 and §2 raises on Azure, and what it advises."""

from __future__ import annotations

from typing import Any

import pytest
from tests._support.worlds import World

from usagestream import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    DeploymentNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, ErrorReply, Scenario
from usagestream_adapters.emulator.errors import PROMPT_BLOCKED


def error(message: str, code: Any = None, **more: Any) -> dict[str, Any]:
    """The usual envelope."""
    return {"error": {"code": code, "message": message, **more}}


TABLE: list[tuple[int, Any, type[ProviderError], str]] = [
    # credentials
    (401, error("Access denied due to invalid subscription key or wrong API endpoint.", "401"),
     AuthenticationError, "belongs to this address"),
    (401, {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience "
           "is incorrect (https://cognitiveservices.azure.com), or have expired."},
     AuthenticationError, "the setting `token_scope`"),
    (400, error("Token tenant xxxx does not match resource tenant.",
                "Tenant provided in token does not match resource token"),
     AuthenticationError, "set tenant_id"),
    (401, error("Principal does not have access to API/Operation."),
     PermissionDeniedError, "'Cognitive Services OpenAI User'"),
    (401, error("The principal x lacks the required data action y", "PermissionDenied"),
     PermissionDeniedError, "allow five minutes"),
    (403, error("Access denied due to Virtual Network/Firewall rules.", "403"),
     PermissionDeniedError, "private endpoint"),
    (403, error("Public access is disabled. Please configure private endpoint.", "403"),
     PermissionDeniedError, "allow its address"),
    (403, error("Your resource has been temporarily blocked.", "403"),
     PermissionDeniedError, "notices in the portal"),
    (403, error("Country, region, or territory not supported",
                "unsupported_country_region_territory"),
     PermissionDeniedError, "send it from another"),
    (403, error("No."), PermissionDeniedError, "check roles"),
    # addresses, surfaces, names
    (400, error("api-version query parameter is not allowed when using /v1 path", "BadRequest"),
     BadRequestError, "set api_version to 'v1'"),
    (400, error("API version not supported", "BadRequest"), BadRequestError, "a newer date"),
    (404, error("API in preview mode, please use api-version=preview"),
     BadRequestError, "a newer date"),
    (404, error("Resource not found", "404"), NotFoundError, "'v1' for the other"),
    (404, error("The API deployment for this resource does not exist. If you created the "
                "deployment within the last 5 minutes, please wait.", "DeploymentNotFound",
                type="invalid_request_error"),
     DeploymentNotFoundError, "younger than five minutes"),
    (400, error("Unknown model: x", "unknown_model"), NotFoundError, "a deployment of this name"),
    # rates
    (429, error("You exceeded your current quota", "insufficient_quota"),
     RateLimitError, "waiting does not help"),
    (429, error("The system is currently experiencing high demand. Please retry after 20 seconds.",
                "429"), RateLimitError, "another region"),
    (429, error("Your requests to x have exceeded rate limit.", "RateLimitReached"),
     RateLimitError, "tokens per minute"),
    (429, error("Slow down.", "429"), RateLimitError, "Slow down."),
    (503, error("Down."), ProviderUnavailableError, "Down."),
    # parameters
    (400, error("Unsupported parameter: 'max_tokens' is not supported with this model.",
                "unsupported_parameter", param="max_tokens"), BadRequestError, "Leave that"),
    (400, {"detail": "Extra parameters ['n'] are not allowed"}, BadRequestError, "Leave that"),
    (400, error("Unsupported value: 'stream' does not support true with this model. Supported "
                "values are: false.", "unsupported_value", param="stream"),
     BadRequestError, "cannot stream"),
    (413, error("Too large."), BadRequestError, "Too large."),
]  # fmt: skip


def profile_of(server: Emulator) -> AzureProfile:
    """A profile of the emulator's Azure."""
    return AzureProfile(endpoint=server.azure_endpoint, api_key="k" * 12, max_retries=0)


@pytest.mark.parametrize(("status", "body", "kind", "advice"), TABLE)
def test_table(
    world: World, server: Emulator, status: int, body: Any, kind: type[ProviderError], advice: str
) -> None:
    """Class, advice, and the id that Azure's gateway sends."""
    server.script(Scenario(error=ErrorReply(status=status, body=body)))
    with pytest.raises(ProviderError) as caught:
        world.stream(profile_of(server)).drain()
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"azure refused the request ({status}")
    assert advice in str(caught.value)
    (record,) = world.records
    assert list(record.request_ids) == ["apim-request-id"]
    assert record.request_ids == caught.value.request_ids
    assert caught.value.__cause__ is not None


def test_both_ids_are_kept(world: World, server: Emulator) -> None:
    """They differ, and support may ask for either."""
    headers = {"x-request-id": "inner"}
    server.script(Scenario(error=ErrorReply(status=400, body=error("No."), headers=headers)))
    with pytest.raises(BadRequestError) as caught:
        world.stream(profile_of(server)).drain()
    assert sorted(caught.value.request_ids) == ["apim-request-id", "x-request-id"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit is exceeded. Try again in 2 seconds.", 2),
        ("exceeded token rate limit. Please retry after 86400 seconds.", 86_400),
        ("Please retry later.", None),
    ],
)
def test_the_wait_may_be_in_the_text(
    world: World, server: Emulator, text: str, seconds: float | None
) -> None:
    """Azure does not always send it as a header (WIRE §2.7)."""
    server.script(Scenario(error=ErrorReply(status=429, body=error(text, "429"))))
    with pytest.raises(RateLimitError) as caught:
        world.stream(profile_of(server)).drain()
    assert caught.value.retry_after == seconds


def verdict(*, filtered: Any = True, **more: Any) -> dict[str, Any]:
    """One category's verdict."""
    return {"filtered": filtered, **more}


INNER = {"hate": verdict(severity="high"), "sexual": verdict(filtered=False, severity="safe"),
         "jailbreak": verdict(detected=True), "violence": None}  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "categories", "says"),
    [
        (PROMPT_BLOCKED, {"hate": "high"}, "Filtered: hate (high). Change the prompt"),
        (ErrorReply(status=400, body=error("x", "content_filter", content_filter_results=INNER)),
         {"hate": "high", "jailbreak": "detected"}, "Filtered: hate (high), jailbreak (detected)."),
        (ErrorReply(status=400, body=error("x", "content_filter", innererror="?")), {},
         "x Change the prompt"),
    ],
)  # fmt: skip
def test_a_filtered_prompt_names_the_categories(
    world: World, server: Emulator, reply: ErrorReply, categories: dict[str, str], says: str
) -> None:
    """In the message, and as data (WIRE §2.5)."""
    server.script(Scenario(error=reply))
    with pytest.raises(ContentFilterError) as caught:
        world.stream(profile_of(server)).drain()
    assert caught.value.categories == categories
    assert says in str(caught.value)
