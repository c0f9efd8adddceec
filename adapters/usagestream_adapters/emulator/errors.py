"""Error replies of both providers, as data: status, body, headers.

Each is built from a wire fact that its comment names. `REFUSALS` is the table of bodies with which
servers were seen to turn down `stream_options`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "PROMPT_BLOCKED",
    "REFUSALS",
    "SERVER_ERROR",
    "STREAMING_UNSUPPORTED",
    "ErrorReply",
    "rate_limited",
    "unknown_model",
]


@dataclass(frozen=True, kw_only=True)
class ErrorReply:
    """An answer that is not a completion.

    `body` is sent as JSON when it is a mapping, and as it stands when it is a string.
    `headers` come on top of those that the provider puts on its errors, and win over them.
    """

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json"


def _openai(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> ErrorReply:
    """Return the envelope of WIRE §1.5, which models behind Azure share (WIRE §2.2)."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return ErrorReply(status=status, body={"error": error})


def bad_request(message: str, param: str | None = None) -> ErrorReply:
    """Return a 400: the envelope is a wire fact (WIRE §1.5), the sentence is the emulator's own."""
    return _openai(400, message, param=param)


def openai_unauthorized(key: str) -> ErrorReply:
    """WIRE §1.5: the message echoes a masked key. It plays a missing key too."""
    masked = f"{key[:8]}****{key[-4:]}" if len(key) > 12 else "****"
    reply = _openai(
        401,
        f"Incorrect API key provided: {masked}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )
    challenge = {"www-authenticate": 'Bearer realm="OpenAI API"'}
    return ErrorReply(status=reply.status, body=reply.body, headers=challenge)


def openai_model_not_found(model: str) -> ErrorReply:
    """WIRE §1.5."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return _openai(404, message, code="model_not_found")


def openai_not_found(method: str, path: str) -> ErrorReply:
    """Only the envelope is a wire fact (WIRE §1.5): no wrong path of OpenAI was recorded."""
    return _openai(404, f"The emulator plays nothing at {method} {path}.")


def azure_key_refused() -> ErrorReply:
    """WIRE §2.8, a wrong key."""
    return _azure(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide "
        "a valid key for an active subscription and use a correct regional API endpoint for your "
        "resource.",
    )


def azure_token_refused() -> ErrorReply:
    """WIRE §2.8, a bad token or no credential that was understood: there is no `error` envelope."""
    message = (
        "Unauthorized. Access token is missing, invalid, audience is incorrect "
        "(https://cognitiveservices.azure.com), or have expired."
    )
    return ErrorReply(status=401, body={"statusCode": 401, "message": message})


def azure_not_found() -> ErrorReply:
    """WIRE §2.3, a wrong path or no api-version."""
    return _azure(404, "404", "Resource not found")


def azure_deployment_not_found() -> ErrorReply:
    """WIRE §2.3. Recorded on the classic surface; see `unknown_model` for the other."""
    error = {
        "type": "invalid_request_error",
        "code": "DeploymentNotFound",
        "message": "The API deployment for this resource does not exist. If you created the "
        "deployment within the last 5 minutes, please wait a moment and try again.",
    }
    return ErrorReply(status=404, body={"error": error})


def azure_api_version_refused() -> ErrorReply:
    """WIRE §2.3, a dated api-version on the v1 surface."""
    message = "api-version query parameter is not allowed when using /v1 path"
    return _azure(400, "BadRequest", message)


def _azure(status: int, code: str, message: str) -> ErrorReply:
    return ErrorReply(status=status, body={"error": {"code": code, "message": message}})


def tokenizer_missing() -> ErrorReply:
    """Say what to install. No provider says this: it is the emulator's own trouble."""
    error = {
        "message": "The emulator counts real tokens and has no tokenizer: install it with "
        '`pip install "usagestream[estimate]"`, or give the scenario its `usage`.',
        "type": "server_error",
        "param": None,
        "code": "tokenizer_missing",
    }
    # Asking again would change nothing, and SDKs retry a 500 unless told (WIRE §3.4).
    return ErrorReply(status=500, body={"error": error}, headers={"x-should-retry": "false"})


def rate_limited(*, retry_after: str = "1", retry_after_ms: str = "0") -> ErrorReply:
    """Return the 429 of WIRE §2.7; its two headers disagree by default, as they were recorded."""
    error = {
        "code": "RateLimitReached",
        "message": "Your requests to this deployment have exceeded rate limit.",
        "details": "Your requests to this deployment have exceeded rate limit.",
    }
    headers = {"retry-after": retry_after, "retry-after-ms": retry_after_ms}
    return ErrorReply(status=429, body={"error": error}, headers=headers)


SERVER_ERROR = ErrorReply(  # WIRE §1.5
    status=500,
    body={
        "error": {
            "message": "The server had an error processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    },
)


def unknown_model(model: str = "missing") -> ErrorReply:
    """Return the other answer to an unknown deployment: one v1 resource was recorded with it."""
    message = f"Unknown model: {model}"
    error = {"code": "unknown_model", "message": message, "details": message}
    return ErrorReply(status=400, body={"error": error})


def _filter_verdict(*, filtered: bool) -> dict[str, object]:
    return {"filtered": filtered, "severity": "high" if filtered else "safe"}


PROMPT_BLOCKED = ErrorReply(  # WIRE §2.5: JSON before any event, and without usage
    status=400,
    body={
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
            "content management policy. Please modify your prompt and retry.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "hate": _filter_verdict(filtered=True),
                    "jailbreak": {"filtered": False, "detected": False},
                    "self_harm": _filter_verdict(filtered=False),
                    "sexual": _filter_verdict(filtered=False),
                    "violence": _filter_verdict(filtered=False),
                },
            },
        }
    },
)

STREAMING_UNSUPPORTED = ErrorReply(
    # WIRE §2.2: o1 refusing to stream at all, not to be taken for a refusal of the option.
    status=400,
    body={
        "error": {
            "message": "Unsupported value: 'stream' does not support true with this model. "
            "Supported values are: false.",
            "type": "invalid_request_error",
            "param": "stream",
            "code": "unsupported_value",
        }
    },
)

_UNRECOGNIZED = "Unrecognized request argument supplied: stream_options"
_EXTRA_FORBIDDEN = {
    "type": "extra_forbidden",
    "loc": ["body", "stream_options", "include_usage"],
    "msg": "Extra inputs are not permitted",
    "input": True,
    "url": "https://errors.pydantic.dev/2.10/v/extra_forbidden",
}


def _unrecognized(message: str) -> ErrorReply:
    error = {"code": None, "message": message, "param": None, "type": "invalid_request_error"}
    return ErrorReply(status=400, body={"error": error})


REFUSALS: Mapping[str, ErrorReply] = {  # WIRE §2.2
    "unrecognized_argument": _unrecognized(_UNRECOGNIZED),
    "unrecognized_argument_support": _unrecognized(
        f"{_UNRECOGNIZED}. Please contact us through an Azure support request at: "
        "https://go.microsoft.com/fwlink/?linkid=2213926 for further questions."
    ),
    "unknown_parameter": _openai(
        400,
        "Unknown parameter: 'stream_options'.",
        param="stream_options",
        code="unknown_parameter",
    ),
    "data_sources": ErrorReply(
        status=400,
        body={
            "error": {
                "requestid": "00000000-0000-4000-8000-000000000000",
                "code": 400,
                "message": "Validation error at #/stream_options: Extra inputs are not permitted",
            }
        },
    ),
    "extra_forbidden": ErrorReply(status=422, body={"detail": [_EXTRA_FORBIDDEN]}),
    # Its HTTP status is known only as 4xx; 422 is what its body says.
    "invalid_input": ErrorReply(
        status=422,
        body={
            "error": {
                "code": "Invalid input",
                "message": json.dumps({"detail": [_EXTRA_FORBIDDEN]}, separators=(",", ":")),
                "status": 422,
            }
        },
    ),
}
