"""Types of what a stream can be asked, for type checkers only: they are the openai SDK's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai.types.chat.completion_create_params import CompletionCreateParamsBase
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    class ChatParams(CompletionCreateParamsBase, total=False):
        """The parameters of `chat.completions.create`, minus `stream`, plus the SDK's own."""

        extra_headers: Mapping[str, str] | None
        extra_query: Mapping[str, object] | None
        extra_body: object | None
        timeout: float | None

    class ResponseParams(ResponseCreateParamsBase, total=False):
        """The parameters of `responses.create`, minus `stream`, plus the SDK's own."""

        extra_headers: Mapping[str, str] | None
        extra_query: Mapping[str, object] | None
        extra_body: object | None
        timeout: float | None
