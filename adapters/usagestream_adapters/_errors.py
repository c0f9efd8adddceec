"""The one table from what an SDK raises to usagestream's errors, shared by both adapters.

OpenAI and Azure OpenAI disagree on envelopes: `{"error": {...}}`, `{"statusCode": ..., "message":
...}`, `{"detail": [...]}`, or no JSON at all; and Azure says a wrong tenant with 400 and a missing
role with 401. So a rule may look at the status, the code and the text.
"""

# JSON from the wire has no static type and every value is checked before use, but pyright makes
# dict[Unknown, Unknown] of an Any that was checked to be a dict.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from usagestream.errors import (
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

__all__ = ["REQUEST_ID_HEADERS", "translate"]

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
    _Rule(
        AuthenticationError,
        "The token was issued by another tenant than the resource's: sign in to that one.",
        statuses=(400, 401),
        says=("tenant provided in token", "does not match resource tenant"),
    ),
    _Rule(
        PermissionDeniedError,
        "The identity lacks a role: assign 'Cognitive Services OpenAI User' on the resource, and "
        "allow five minutes.",
        statuses=(401, 403),
        says=("principal does not have access", "lacks the required data action"),
    ),
    _Rule(
        AuthenticationError,
        "Check that the key or token belongs to this address and has not expired.",
        statuses=(401,),
    ),
    _Rule(
        PermissionDeniedError,
        "The credential is known but may not do this: check roles, network rules and region.",
        statuses=(403,),
    ),
    _Rule(
        DeploymentNotFoundError,
        "Check the deployment's name; one younger than five minutes may not answer yet.",
        statuses=(404,),
        codes=("DeploymentNotFound",),
    ),
    _Rule(
        NotFoundError,
        "Check the model's name, and that this key may use it.",
        statuses=(400, 404),
        codes=("model_not_found", "unknown_model"),
    ),
    _Rule(
        NotFoundError,
        "Check the address and, on Azure, the api version.",
        statuses=(404,),
    ),
    _Rule(
        RateLimitError,
        "The quota is used up; waiting does not help.",
        statuses=(429,),
        codes=("insufficient_quota",),
    ),
    _Rule(RateLimitError, statuses=(429,)),
    _Rule(ProviderUnavailableError, statuses=(408, *range(500, 600))),
    _Rule(BadRequestError, statuses=tuple(range(400, 500))),
    _Rule(ProviderError),
)


def translate(exc: Exception, provider: str, secrets: tuple[str, ...]) -> Exception:
    """Give the error to raise for what the SDK raised; `exc` itself if it is not the SDK's.

    `secrets` are masked in everything that is kept of the response.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    if isinstance(exc, APIStatusError):
        return _refusal(exc.response, provider, secrets)
    if isinstance(exc, APITimeoutError):
        return ProviderUnavailableError(f"{provider} did not answer in time.", provider=provider)
    if isinstance(exc, APIConnectionError):
        reason = _mask(str(exc.__cause__ or exc), secrets)
        return ProviderUnavailableError(
            f"{provider} could not be reached: {reason}", provider=provider
        )
    if type(exc).__module__ in ("httpx", "httpx2"):
        # The SDK lets these escape where the body of an error response breaks off.
        return ProviderUnavailableError(
            f"{provider} broke off its answer: {_mask(str(exc), secrets)}", provider=provider
        )
    if isinstance(exc, OpenAIError):
        return ConfigError(_mask(f"The {provider} profile cannot be used: {exc}", secrets))
    return exc


def _refusal(response: Any, provider: str, secrets: tuple[str, ...]) -> ProviderError:
    text = _mask(response.text, secrets)
    body = _decoded(text)
    error = body.get("error", body) if isinstance(body, dict) else body
    code = _code(error)
    status = response.status_code
    rule = next(rule for rule in _RULES if rule.fits(status, code, text.lower()))
    label = f"{status} {code}" if code and code != str(status) else str(status)
    parts = [f"{provider} refused the request ({label}): {_message(error, text)}", rule.advice]
    headers = response.headers
    return rule.error(
        " ".join(part for part in parts if part),
        provider=provider,
        status=status,
        code=code,
        request_ids={name: headers[name] for name in REQUEST_ID_HEADERS if name in headers},
        body=body,
        retry_after=_retry_after(headers),
    )


def _mask(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _code(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    code = error.get("code") or error.get("type") or error.get("statusCode")
    return str(code) if code else None


def _message(error: Any, text: str) -> str:
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    if not isinstance(message, str):
        message = text
    return " ".join(message.split())[:500] or "no reason given."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait. Azure has sent `retry-after-ms: 0` beside `retry-after: 1`."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000
    after = headers.get("retry-after")
    seconds = _number(after)
    if seconds is None and after:
        try:
            seconds = (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
        except (OverflowError, TypeError, ValueError):
            return None
    return None if seconds is None else max(seconds, 0.0)


def _number(text: str | None) -> float | None:
    """A finite number that is not negative, or `None`."""
    try:
        number = float(text) if text else -1.0
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
