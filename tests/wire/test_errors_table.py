"""What a refused request raises, through the real SDK: bodies of WIRE §1.5 and §2."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr
from tests._support.sdk_http import http, streamed
from tests._support.worlds import ASK, World

from usagestream import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContentFilterError,
    DeploymentNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    Profile,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
)
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import errors as emulated
from usagestream_adapters.openai import OpenAIProfile
from usagestream_adapters.sdk.errors import translate

KEY = "sk-secret-0123456789"
PROFILE = OpenAIProfile(
    api_key=SecretStr(KEY), base_url="http://provider.test/v1", max_retries=0, include_usage="never"
)


def refused(
    world: World,
    status: int,
    sent: Any,
    headers: dict[str, str] | None = None,
    profile: Profile = PROFILE,
) -> Any:
    """The error that this answer raises."""
    content = sent if isinstance(sent, str) else json.dumps(sent)
    stream = world.ask(profile, lambda _: http.Response(status, headers=headers, text=content))
    with pytest.raises(ProviderError) as caught:
        stream.drain()
    return caught.value


def openai_error(
    message: str, code: Any, param: Any = None, kind: Any = "invalid_request_error"
) -> dict[str, Any]:
    """OpenAI's envelope."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def azure_error(code: Any, message: str, **more: Any) -> dict[str, Any]:
    """The envelope of Azure's gateway."""
    return {"error": {"code": code, "message": message, **more}}


BAD, GONE = BadRequestError, NotFoundError
TABLE: list[tuple[int, Any, type[ProviderError], str | None, str]] = [
    # OpenAI
    (401, openai_error("Incorrect API key provided: sk-wrong****-key.", "invalid_api_key"),
     AuthenticationError, "invalid_api_key", "belongs to this address"),
    (404, openai_error("The model `x` does not exist or you do not have access to it.",
                       "model_not_found"), GONE, "model_not_found", "this key may use it"),
    (400, openai_error("The requested model 'x' does not exist.", "model_not_found", "model"),
     GONE, "model_not_found", "this key may use it"),
    (400, openai_error("Unknown parameter: 'quality'.", "unknown_parameter", "quality"),
     BAD, "unknown_parameter", ""),
    (400, openai_error("Unsupported parameter: 'stop'.", "unsupported_parameter"),
     BAD, "unsupported_parameter", ""),
    (500, openai_error("The server had an error.", None, kind="server_error"),
     ProviderUnavailableError, "server_error", ""),
    (429, openai_error("You exceeded your current quota.", "insufficient_quota"),
     RateLimitError, "insufficient_quota", "waiting does not help"),
    (403, openai_error("Country not supported", "unsupported_country"),
     PermissionDeniedError, "unsupported_country", "network rules"),
    # refusals of stream_options and of streaming
    (400, openai_error("Unrecognized request argument supplied: stream_options", None),
     BAD, "invalid_request_error", ""),
    (400, openai_error("Unknown parameter: 'stream_options'.", "unknown_parameter"),
     BAD, "unknown_parameter", ""),
    (400, azure_error(400, "Validation error at #/stream_options: Extra inputs are not permitted",
                      requestid="eea1c96d"), BAD, "400", ""),
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]},
     BAD, None, "extra_forbidden"),
    (400, azure_error("Invalid input", '{"detail":[]}', status=422), BAD, "Invalid input", ""),
    (400, {"detail": "Extra parameters ['n'] are not allowed"}, BAD, None, "Extra parameters"),
    (400, openai_error("1 validation error for Request\nbody -> logprobs", None),
     BAD, "invalid_request_error", "Request body -> logprobs"),
    (400, openai_error("Unsupported value: 'stream' does not support true.", "unsupported_value"),
     BAD, "unsupported_value", ""),
    # addresses and deployments
    (404, azure_error("404", "Resource not found"), GONE, "404", "the api version"),
    (404, azure_error("DeploymentNotFound", "The API deployment does not exist."),
     DeploymentNotFoundError, "DeploymentNotFound", "five minutes"),
    (400, {"code": "BadRequest", "message": "api-version query parameter is not allowed"},
     BAD, "BadRequest", "api-version query"),
    (400, azure_error("unknown_model", "Unknown model: x"), GONE, "unknown_model", ""),
    # content filter
    (400, openai_error("The response was filtered", "content_filter", "prompt", None)
     | {"innererror": {"code": "ResponsibleAIPolicyViolation"}},
     ContentFilterError, "content_filter", "Change the prompt"),
    # rates
    (429, azure_error("RateLimitReached", "Your requests have exceeded rate limit."),
     RateLimitError, "RateLimitReached", ""),
    (429, azure_error("429", "Rate limit is exceeded. Try again in 2 seconds."),
     RateLimitError, "429", ""),
    # credentials
    (401, azure_error("401", "Access denied due to invalid subscription key"),
     AuthenticationError, "401", "has not expired"),
    (401, {"statusCode": 401, "message": "Unauthorized. Access token is missing."},
     AuthenticationError, "401", "Access token is missing"),
    (400, azure_error("Tenant provided in token does not match resource token",
                      "Token tenant xxxx does not match resource tenant."),
     AuthenticationError, "Tenant provided in token does not match resource token",
     "another tenant"),
    (401, "Principal does not have access to API/Operation.",
     PermissionDeniedError, None, "Cognitive Services OpenAI User"),
    (401, azure_error("PermissionDenied", "The principal lacks the required data action x"),
     PermissionDeniedError, "PermissionDenied", "five minutes"),
    (403, azure_error("403", "temporarily blocked"), PermissionDeniedError, "403", "roles"),
    # no JSON, and nothing at all
    (503, "<html>down</html>", ProviderUnavailableError, None, "<html>down</html>"),
    (408, "", ProviderUnavailableError, None, "no reason given."),
    (502, "[" * 60_000, ProviderUnavailableError, None, "[[["),
    (418, "[1]", BAD, None, "[1]"),
    (413, {"error": {"message": None, "code": ""}}, BAD, None, "error"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "sent", "error", "code", "says"), TABLE)
def test_table(
    world: World, status: int, sent: Any, error: type[ProviderError], code: str | None, says: str
) -> None:
    """Class, status, code, ids, body and advice of each refusal."""
    ids = {"x-request-id": "req_1", "apim-request-id": "apim_1"}
    raised = refused(world, status, sent, ids)
    assert type(raised) is error
    assert (raised.status, raised.code, raised.request_ids) == (status, code, ids)
    assert raised.provider == "openai"
    assert raised.body == (sent if not (isinstance(sent, str) and sent == "[1]") else [1])
    assert str(raised).startswith(f"openai refused the request ({status}")
    assert says in str(raised)
    assert raised.__cause__ is not None
    assert raised.retry_after == (2 if "in 2 seconds" in str(raised) else None)
    (record,) = world.records
    assert record.request_ids == ids
    assert raised.record is record


def test_what_the_emulator_lacks_is_not_the_providers_fault(world: World) -> None:
    """Who plays a provider says what to install; nobody is told to try again later."""
    reply = emulated.tokenizer_missing()
    raised = refused(world, reply.status, reply.body, {})
    assert type(raised) is ProviderError
    assert str(raised).startswith("The local server in the place of openai could not answer (500")
    assert str(raised).endswith("or give the scenario its `usage`.")


def test_the_gateways_own_id_is_kept(world: World) -> None:
    """Azure's gateway sends no `x-request-id` with its errors (WIRE §2.8)."""
    raised = refused(world, 401, azure_error("401", "no"), {"apim-request-id": "a"})
    assert raised.request_ids == {"apim-request-id": "a"}


@pytest.mark.parametrize("status", [301, 304])
def test_a_status_that_is_no_error_of_anyone(status: int, world: World) -> None:
    """A redirect that leads nowhere is refused without blame."""
    assert type(refused(world, status, "moved")) is ProviderError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"Retry-After": "60"}, 60.0),
        ({"retry-after-ms": "2000"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after-ms": "-5"}, None),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +99999999999999999999"}, None),
    ],
)
def test_retry_after(world: World, headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates; nonsense is as if it were not sent (WIRE §2.7)."""
    assert refused(world, 429, {}, headers).retry_after == seconds


def test_retry_after_a_date_to_come(world: World) -> None:
    """A date is turned into the seconds until then."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert refused(world, 429, {}, {"retry-after": then}).retry_after == pytest.approx(90, abs=20)


def test_invariant_7_a_secret_in_the_body_is_masked(world: World) -> None:
    """Neither the error, nor its body, nor the record repeats the key."""
    raised = refused(world, 401, openai_error(f"Incorrect API key provided: {KEY}.", KEY))
    (record,) = world.records
    seen = f"{raised!s} {raised!r} {raised.body} {raised.code} {record.model_dump_json()}"
    assert KEY not in seen
    assert "provided: ***." in seen


def test_invariant_7_a_secret_is_masked_on_azure_too(world: World) -> None:
    """Both adapters name their secrets."""
    azure = AzureProfile(
        endpoint="https://contoso.openai.azure.com", api_key=SecretStr(KEY), max_retries=0
    )
    raised = refused(world, 401, azure_error("401", f"wrong: {KEY}"), profile=azure)
    assert str(raised).startswith("azure refused the request (401): wrong: ***")
    assert raised.body == azure_error("401", "wrong: ***")


def test_a_text_that_is_no_key_is_not_masked(world: World) -> None:
    """Whoever gives any text as a key, to a server that takes any, can read what it says."""
    profile = PROFILE.model_copy(update={"api_key": SecretStr("a")})
    raised = refused(world, 404, openai_error("Not a model.", None), profile=profile)
    assert "Not a model." in str(raised)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            http.ConnectError(f"no route for {KEY}"),
            "reached at provider.test: no route for ***.",
        ),
        (http.ReadTimeout("slow"), "did not answer in time"),
        (http.ConnectTimeout("slow"), "did not answer in time"),
    ],
)
def test_no_answer_at_all(world: World, failure: Exception, says: str) -> None:
    """There is no status, and the SDK's own error is the cause."""

    def reply(_: Any) -> Any:
        raise failure

    with pytest.raises(ProviderUnavailableError, match="openai") as caught:
        world.ask(PROFILE, reply).drain()
    assert says in str(caught.value)
    assert (caught.value.status, caught.value.body, caught.value.request_ids) == (None, None, {})
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("reason", "variables", "advice"),
    [
        ("[Errno 111] Connection refused", {}, "Check the address in the profile"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", {}, "does not speak TLS: write its"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", {}, "in SSL_CERT_FILE."),
        (
            "[Errno 111] Connection refused",
            {"HTTP_PROXY": "http://me:hidden@proxy.test:3128"},
            "through a proxy (http://***@proxy.test:3128): check that too.",
        ),
        ("refused", {"ALL_PROXY": "http://proxy.test:3128"}, "proxy (http://proxy.test:3128)"),
        (
            "refused",
            {"HTTP_PROXY": "http://proxy.test:3128", "NO_PROXY": "provider.test"},
            "and the network.",
        ),
    ],
)
def test_what_to_do_about_a_connection(
    reason: str,
    variables: dict[str, str],
    advice: str,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the way is likely to lack; a proxy is named where one is on it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def reply(_: Any) -> Any:
        raise http.ConnectError(reason)

    with pytest.raises(ProviderUnavailableError) as caught:
        world.ask(PROFILE, reply).drain()
    assert advice in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert ("proxy" in str(caught.value)) == ("proxy" in advice)


def test_an_error_whose_body_breaks_off(world: World) -> None:
    """The SDK lets the transport's own exception out; it is ours here."""
    broken = http.ReadError(f"reset {KEY}")
    stream = world.replay(PROFILE, [b'{"err'], status=500, breaks=broken)
    with pytest.raises(
        ProviderUnavailableError, match=r"broke off its answer: reset \*\*\*"
    ) as got:
        stream.drain()
    assert got.value.__cause__ is broken


def test_what_is_not_the_sdks_passes_through(world: World) -> None:
    """A misspelt parameter is the caller's `TypeError`, and its own cause is not itself."""
    stream = world.ask(PROFILE, lambda _: http.Response(200), **ASK, tempersture=0)
    with pytest.raises(TypeError, match="tempersture") as caught:
        stream.drain()
    assert caught.value.__cause__ is None


def test_another_error_of_the_sdk_is_a_configuration_error() -> None:
    """The SDK complains of credentials only when a request is made."""
    from openai import OpenAIError

    made = translate(OpenAIError(f"bad {KEY}"), "openai", (KEY,))
    assert isinstance(made, ConfigError)
    assert str(made) == "The openai profile cannot be used: bad ***"


def test_the_retries_are_the_sdks(world: World) -> None:
    """A request that may be tried again is, before anything is raised."""
    seen: list[str] = []

    def reply(request: Any) -> Any:
        seen.append(str(request.url))
        if len(seen) == 1:
            return http.Response(500, headers={"retry-after-ms": "1"})
        return streamed([b"data: [DONE]\n\n"], asynchronous=world.asynchronous)

    world.ask(PROFILE.model_copy(update={"max_retries": 1}), reply).drain()
    assert seen == ["http://provider.test/v1/chat/completions"] * 2
