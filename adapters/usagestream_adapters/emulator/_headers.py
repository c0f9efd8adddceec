"""Response headers of each provider."""

from __future__ import annotations

import secrets
import uuid

from ._request import Call, ReceivedRequest


def success(call: Call, model: str, *, streaming: bool) -> dict[str, str]:
    """Return the headers of a completion (WIRE §1.4 and §2.6)."""
    kind = "text/event-stream; charset=utf-8" if streaming else "application/json"
    common = {
        "content-type": kind,
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-remaining-tokens": "1999982",
    }
    if call.azure:
        return {**common, **_azure(call, model, streaming=streaming)}
    return {
        **common,
        "openai-organization": "emulator",
        "openai-processing-ms": "100",
        "openai-project": "proj_emulator",
        "openai-version": "2020-10-01",
        "x-ratelimit-reset-requests": "4ms",
        "x-ratelimit-reset-tokens": "0s",
        "x-request-id": _openai_request_id(),
    }


def _azure(call: Call, model: str, *, streaming: bool) -> dict[str, str]:
    echo = call.received.headers.get("x-ms-client-request-id")
    return {
        **error(azure=True),
        "azureai-fe-is-streaming": str(streaming),
        "azureml-model-session": "emulator",
        "x-accel-buffering": "no",
        "x-ms-deployment-name": call.name,
        "x-ms-is-spilled-over": "false",
        "x-ms-rai-invoked": "true",
        "x-ms-served-model": model,
        "x-ratelimit-abusepenalty-active": "False",
        "x-ratelimit-key": call.name,
        "x-ratelimit-renewalperiod-requests": "60",
        "x-ratelimit-renewalperiod-tokens": "60",
        "x-ratelimit-reset-requests": "0",
        "x-ratelimit-reset-tokens": "0",
        "x-request-id": str(uuid.uuid4()),
        **({} if echo is None else {"x-ms-client-request-id": echo}),
    }


def error(*, azure: bool) -> dict[str, str]:
    """Return the headers of an error; Azure's gateway sends no `x-request-id` (WIRE trap 10)."""
    if azure:
        return {"apim-request-id": str(uuid.uuid4()), "x-ms-region": "East US 2"}
    return {"x-request-id": _openai_request_id()}


def looks_like_azure(received: ReceivedRequest) -> bool:
    """Guess who was meant by a request to a path that neither provider has."""
    return "/openai" in received.path or bool(received.api_key)


def _openai_request_id() -> str:
    return f"req_{secrets.token_hex(16)}"
