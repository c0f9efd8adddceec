"""The ASGI application: from a request to the reply that the right provider would give."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..wire.json_types import dumps
from . import _headers, errors
from ._journal import Journal
from ._request import Call, ReceivedRequest, chat_call
from ._responses import ResponsesCall, ResponsesReply, responses_call
from ._sending import send_stream
from ._stored import Retrieval, Stored, retrieval
from .errors import ErrorReply
from .frames import Reply
from .scenario import Scenario
from .tokens import TokenizerMissingError

__all__ = ["EmulatorApp"]

_VALUE: Final = 64
"""Bytes that a value of JSON takes once it is read, about."""
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes that a body may take; what would take more is not read as JSON."""


class EmulatorApp:
    """Answers every request by the journal's script, and logs it there.

    `deployments` names what Azure has, each with the model behind it if it is a mapping; `None`
    means any name but those that begin with `missing`.
    """

    def __init__(
        self, journal: Journal, deployments: Mapping[str, str] | Collection[str] | None
    ) -> None:
        self._journal = journal
        self._known = None if deployments is None else frozenset(deployments)
        self._models: Mapping[str, str] = deployments if isinstance(deployments, Mapping) else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            received, size = await _received(Request(scope, receive))
        except ClientDisconnect:
            return
        self._journal.record(received, size)
        asked = retrieval(received)
        if asked is not None:
            await self._retrieve(asked)(scope, receive, send)
            return
        call = chat_call(received) or responses_call(received)
        if call is None:
            azure = _headers.looks_like_azure(received)
            wrong_path = errors.openai_not_found(received.method, received.path)
            reply = errors.azure_not_found() if azure else wrong_path
            await _error(reply, azure=azure)(scope, receive, send)
            return
        refusal = self._refusal(call)
        if refusal is not None:
            await _error(refusal, azure=call.azure)(scope, receive, send)
            return
        await self._answer(call, self._journal.next_scenario(), scope, receive, send)

    def _retrieve(self, asked: Retrieval) -> Response:
        refused = _azure_credential_refusal if asked.azure else _openai_credential_refusal
        stored = self._journal.stored(asked.id)
        refusal = refused(asked.received)
        if refusal is None and stored is None:
            refusal = errors.openai_not_found(asked.received.method, asked.received.path)
        answer = stored.answer(asked) if refusal is None and stored else refusal
        if isinstance(answer, bytes):
            return Response(answer, headers={"content-type": "application/json"})
        assert answer is not None
        return _error(answer, azure=asked.azure)

    def _keep(self, reply: Reply | ResponsesReply, scenario: Scenario) -> None:
        """Keep what is to be stored: a response unless told not to, a chat completion if told."""
        if reply.call.body.get("store", isinstance(reply, ResponsesReply)) is True:
            stored = Stored(reply.completion(), unfinished=scenario.unfinished_retrievals)
            self._journal.store(reply.id, stored)

    def _refusal(self, call: Call) -> ErrorReply | None:
        """Return what is wrong with a call whatever the scenario: address, credential or body."""
        if call.azure:
            refusal = _address_refusal(call) or _azure_credential_refusal(call.received)
        else:
            refusal = _openai_credential_refusal(call.received)
        return refusal or _body_refusal(call) or self._name_refusal(call)

    def _name_refusal(self, call: Call) -> ErrorReply | None:
        if call.azure and self._known is not None and call.name not in self._known:
            return errors.azure_deployment_not_found()
        if not call.name.startswith("missing"):
            return None
        if call.azure:
            return errors.azure_deployment_not_found()
        return errors.openai_model_not_found(call.name)

    async def _answer(
        self, call: Call, scenario: Scenario, scope: Scope, receive: Receive, send: Send
    ) -> None:
        fixed = _fixed_reply(call, scenario)
        if fixed is not None:
            await fixed(scope, receive, send)
            return
        reply = (
            ResponsesReply.to(call, scenario, self._models)
            if isinstance(call, ResponsesCall)
            else Reply.to(call, scenario, self._models)
        )
        headers = {
            **_headers.success(call, reply.model, streaming=call.stream),
            **scenario.headers,
        }
        try:
            self._keep(reply, scenario)
            if not call.stream:
                await Response(reply.completion(), headers=headers)(scope, receive, send)
                return
            frames = reply.frames()
        except TokenizerMissingError:
            await _error(errors.tokenizer_missing(), azure=call.azure)(scope, receive, send)
            return
        await send_stream(
            scope,
            receive,
            send,
            headers=headers,
            frames=frames,
            scenario=scenario,
            journal=self._journal,
        )


async def _received(request: Request) -> tuple[ReceivedRequest, int]:
    """Read a request, and about how much memory its body takes."""
    raw = await request.body()
    body: Any = None
    size = len(raw) + _VALUE * sum(map(raw.count, (b",", b"[", b"{")))
    if size <= _LARGEST:
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(raw)
    received = ReceivedRequest(
        method=request.method,
        path=request.url.path,
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=body,
        client_port=request.client.port if request.client else None,
    )
    return received, size if body is not None else 0


def _address_refusal(call: Call) -> ErrorReply | None:
    """WIRE §2.3: classic needs an api-version, v1 refuses a dated one."""
    version = call.received.query.get("api-version", "")
    if call.surface == "azure":
        return None if version else errors.azure_not_found()
    return None if version in {"", "preview", "v1"} else errors.azure_api_version_refused()


def _azure_credential_refusal(received: ReceivedRequest) -> ErrorReply | None:
    """WIRE §2.8. A key may come as a bearer too (WIRE §3.1), where it is judged as a token."""
    if received.api_key:
        return errors.azure_key_refused() if received.api_key.startswith("wrong") else None
    if not received.bearer or received.bearer.startswith(("wrong", "expired")):
        return errors.azure_token_refused()
    return None


def _openai_credential_refusal(received: ReceivedRequest) -> ErrorReply | None:
    """WIRE §1.5."""
    if not received.bearer or received.bearer.startswith("wrong"):
        return errors.openai_unauthorized(received.bearer)
    return None


def _body_refusal(call: Call) -> ErrorReply | None:
    if not call.body:
        return errors.bad_request("The body of the request is not a JSON object.")
    if not call.messages:
        name = "input" if isinstance(call, ResponsesCall) else "messages"
        return errors.bad_request(f"The request has no '{name}'.", param=name)
    if not call.name:
        return errors.bad_request("The request has no 'model'.", param="model")
    return None


def _fixed_reply(call: Call, scenario: Scenario) -> Response | None:
    """Return the scenario's reply if it is neither a completion nor a stream."""
    if scenario.error is not None:
        return _error(scenario.error, azure=call.azure)
    refused = scenario.refusal_of_stream_options
    if refused is not None and "stream_options" in call.body:
        return _error(refused, azure=call.azure)
    if scenario.body is not None:
        headers = {"content-type": scenario.content_type, **scenario.headers}
        return Response(scenario.body, headers=headers)
    return None


def _error(reply: ErrorReply, *, azure: bool) -> Response:
    body = reply.body if isinstance(reply.body, str) else dumps(reply.body)
    headers = {
        "content-type": reply.content_type,
        **_headers.error(azure=azure),
        **reply.headers,
    }
    return Response(body, status_code=reply.status, headers=headers)
