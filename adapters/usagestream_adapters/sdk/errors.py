"""The one table from what an SDK raises to usagestream's errors, shared by both adapters.

OpenAI and Azure OpenAI disagree on envelopes, and Azure says a wrong tenant with 400 and a missing
role with 401. So a rule may look at the status, the code and the text. Each says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from usagestream_core.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContentFilterError,
    DeploymentNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitError,
)
from usagestream_core.masking import Mask

from ..wire.sse import compressed
from .error_body import (
    code_of,
    decoded,
    error_in,
    filtered_categories,
    mask,
    message_of,
    retry_after,
)
from .http_library import proxy_for, unread_encoding
from .plain_text import text_of
from .redirects import where_to

__all__ = ["REQUEST_ID_HEADERS", "mask", "translate"]

REQUEST_ID_HEADERS: Final = ("x-request-id", "apim-request-id")
"""Azure's gateway answers errors with the second one only, which the SDK does not read."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """The first rule that fits decides; what it leaves out fits anything."""

    error: type[ProviderError]
    advice: str = ""
    statuses: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    """Any of these in the body's text, in lower case."""
    opening: str = "{provider} refused the request"
    """Who did what."""

    def fits(self, status: int, code: str | None, text: str) -> bool:
        return (
            (not self.statuses or status in self.statuses)
            and (not self.codes or code in self.codes)
            and (not self.says or any(part in text for part in self.says))
        )


_RULES: Final = (
    _Rule(
        ContentFilterError,
        "Change the prompt, or the content filter of the deployment.",
        statuses=(400,),
        codes=("content_filter", "ResponsibleAIPolicyViolation"),
    ),
    # Credentials (WIRE §1.5, §2.8)
    _Rule(
        AuthenticationError,
        "The token was issued by another tenant than the resource's: sign in to that one, or set "
        "tenant_id.",
        statuses=(400, 401),
        says=("tenant provided in token", "does not match resource tenant"),
    ),
    _Rule(
        PermissionDeniedError,
        "The identity lacks a role: assign 'Cognitive Services OpenAI User' on the resource (for "
        "models of other makers 'Cognitive Services User'; Owner and Contributor do not do), and "
        "allow five minutes.",
        statuses=(401, 403),
        says=("principal does not have access", "lacks the required data action"),
    ),
    _Rule(
        AuthenticationError,
        "Check the token's scope (the setting `token_scope`), its tenant and its age; or, where a "
        "key was sent, that it is this resource's.",
        statuses=(401,),
        says=("audience is incorrect",),
    ),
    _Rule(
        AuthenticationError,
        "Check that the key or token belongs to this address and has not expired.",
        statuses=(401,),
    ),
    _Rule(
        PermissionDeniedError,
        "Microsoft has blocked the resource, whatever its roles and keys: see its notices in the "
        "portal.",
        statuses=(403,),
        says=("temporarily blocked",),
    ),
    _Rule(
        PermissionDeniedError,
        "The resource's network rules keep this machine out: allow its address, or go through the "
        "private endpoint.",
        statuses=(403,),
        says=("virtual network", "firewall", "private endpoint", "public access is disabled"),
    ),
    _Rule(
        PermissionDeniedError,
        "The provider does not serve the region this request came from: send it from another.",
        statuses=(403,),
        codes=("unsupported_country_region_territory",),
    ),
    _Rule(
        PermissionDeniedError,
        "The credential is known but may not do this: check roles, network rules and region.",
        statuses=(403,),
    ),
    # Addresses, surfaces and names (WIRE §1.5, §2.3)
    _Rule(
        BadRequestError,
        "This address is the v1 surface: set api_version to 'v1', which sends none.",
        statuses=(400, 404),
        says=("api-version query parameter is not allowed",),
    ),
    _Rule(
        BadRequestError,
        "This resource or model does not take this api version: set api_version to 'v1', or to a "
        "newer date.",
        statuses=(400, 404),
        says=("api version not supported", "api-version=preview", "unsupported api version"),
    ),
    _Rule(
        DeploymentNotFoundError,
        "Check the deployment's name, which need not be the model's (see `deployments`); one "
        "younger than five minutes may not answer yet.",
        statuses=(404,),
        codes=("DeploymentNotFound",),
    ),
    _Rule(
        NotFoundError,
        "Check the model's name, and that this key may use it; on Azure, that there is a "
        "deployment of this name.",
        statuses=(400, 404),
        codes=("model_not_found", "unknown_model"),
    ),
    _Rule(
        NotFoundError,
        "There is nothing at this address: check it. One of OpenAI's kind ends in /v1 mostly; on "
        "Azure check the api version: a dated one for the classic surface, 'v1' for the other.",
        statuses=(404,),
    ),
    # Rates and quotas (WIRE §2.7)
    _Rule(
        RateLimitError,
        "The quota is used up; waiting does not help.",
        statuses=(429,),
        codes=("insufficient_quota",),
    ),
    _Rule(
        RateLimitError,
        "The service is crowded: wait, or use a deployment in another region.",
        statuses=(429,),
        says=("high demand",),
    ),
    _Rule(
        RateLimitError,
        "Wait as long as `retry_after` says, or raise the deployment's tokens per minute.",
        statuses=(429,),
        says=("rate limit",),
    ),
    _Rule(RateLimitError, statuses=(429,)),
    _Rule(
        ProviderError,
        opening="The local server in the place of {provider} could not answer",
        statuses=(500,),
        codes=("tokenizer_missing",),  # of the emulator: the server's trouble, not a provider's
    ),
    _Rule(
        ProviderUnavailableError,
        "The fault is the provider's, or of what stands between: try again later.",
        statuses=(408, *range(500, 600)),
    ),
    # What was asked for (WIRE §1.5, §2.2)
    _Rule(
        BadRequestError,
        "This model cannot stream: ask one that can.",
        statuses=(400,),
        says=("'stream' does not support true",),
    ),
    _Rule(
        BadRequestError,
        "Leave that parameter out, or use a model and api version that take it.",
        statuses=(400, 422),
        says=(
            "unknown parameter",
            "unsupported parameter",
            "unsupported value",
            "unrecognized request argument",
            "extra parameters",
            "extra inputs are not permitted",
            "extra fields not permitted",
        ),
    ),
    _Rule(BadRequestError, statuses=tuple(range(400, 500))),
    _Rule(ProviderError),
)


_CONNECTING: Final = (
    (
        "WRONG_VERSION_NUMBER",
        "What answers there does not speak TLS: write its address with http:// if that is right.",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "If this network has certificates of its own, name them, in PEM, in SSL_CERT_FILE.",
    ),
)
"""What to do about a connection, by what its error says."""


def translate(exc: Exception, provider: str, secrets: tuple[str, ...]) -> Exception:
    """Give the error to raise for what the SDK raised; `exc` itself if it is not the SDK's.

    `secrets` are masked in everything that is kept of the response. `exc` stays as it is.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    if isinstance(exc, APIStatusError):
        target = where_to(exc.response)
        if target is None:
            return _refusal(exc.response, provider, secrets)
        redirect = _redirect(exc.response, target, provider, secrets)
        exc.add_note(str(redirect))  # for who sees the SDK's own error only
        return redirect
    if isinstance(exc, APITimeoutError):
        return ProviderUnavailableError(
            f"{provider} did not answer in time. Try again later, or give the profile or the "
            "request a longer `timeout`, in seconds.",
            provider=provider,
        )
    if isinstance(exc, APIConnectionError):
        reason = mask(str(exc.__cause__ or exc), secrets)
        where = mask(exc.request.url.netloc.decode("ascii"), secrets)
        advice = " ".join(_on_the_way(reason, exc.request.url))
        return ProviderUnavailableError(
            f"{provider} could not be reached at {where}: {reason}. {advice}",
            provider=provider,
        )
    if type(exc).__module__ in ("httpx", "httpx2"):
        # The SDK lets these escape where the body of an error response breaks off.
        return ProviderUnavailableError(
            f"{provider} broke off its answer: {mask(str(exc), secrets)}", provider=provider
        )
    if isinstance(exc, OpenAIError):
        return ConfigError(mask(f"The {provider} profile cannot be used: {exc}", secrets))
    return exc


def _on_the_way(reason: str, url: Any) -> Iterator[str]:
    """What to look at where no connection came about."""
    yield next(
        (advice for found, advice in _CONNECTING if found in reason),
        "Check the address in the profile or the environment, and the network.",
    )
    proxy = proxy_for(url.scheme, url.host)
    if proxy is not None:
        yield f"The environment has it go through a proxy ({proxy}): check that too."


def _redirect(response: Any, target: str, provider: str, secrets: tuple[str, ...]) -> ProviderError:
    status = response.status_code
    return ProviderError(
        f"{provider} redirects the request ({status}) to {mask(target, secrets)}, which is not "
        "followed: a key would be sent to another origin, or the question be lost. If that is "
        "the right address, set it in the profile.",
        provider=provider,
        status=status,
        body=_body(response, secrets),
    )


def _body(response: Any, secrets: tuple[str, ...]) -> Any:
    """What a response says, as far as it is JSON, without the secrets in it."""
    encoding = unread_encoding(response)
    said = f"A body that is {compressed(encoding)}" if encoding else text_of(response)
    # Decoded first: an escape may hide a secret from whoever reads the text.
    return Mask.of(secrets).value(decoded(said))


def _refusal(response: Any, provider: str, secrets: tuple[str, ...]) -> ProviderError:
    body = _body(response, secrets)
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    error = error_in(body)
    code = code_of(error)
    status = response.status_code
    rule = next(rule for rule in _RULES if rule.fits(status, code, text.lower()))
    message = message_of(error, text)
    categories = filtered_categories(error) if rule.error is ContentFilterError else {}
    found = ", ".join(f"{name} ({verdict})" for name, verdict in categories.items())
    label = f"{status} {code}" if code and code != str(status) else str(status)
    parts = [
        f"{rule.opening.format(provider=provider)} ({label}): {message}",
        found and f"Filtered: {found}.",
        rule.advice,
    ]
    headers = response.headers
    refusal = rule.error(
        " ".join(part for part in parts if part),
        provider=provider,
        status=status,
        code=code,
        request_ids={
            name: mask(headers[name], secrets) for name in REQUEST_ID_HEADERS if name in headers
        },
        body=body,
        retry_after=retry_after(headers, message),
    )
    if isinstance(refusal, ContentFilterError):
        refusal.categories = categories
    return refusal
