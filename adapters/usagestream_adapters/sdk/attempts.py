"""What is sent for one request, and what is changed where the provider refuses. Does no I/O."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Final

from usagestream_core.adapter import Head, Request, Target
from usagestream_core.errors import AuthenticationError, ProviderError
from usagestream_core.locks import ForkSafeLock
from usagestream_core.profile import IncludeUsage
from usagestream_core.record import UsageRequest

from .credentials import TokenSource
from .json_already import PLACEHOLDER, json_already
from .plain_text import text_of
from .usage_option import RefusedOption, refused_option, without

__all__ = ["RefusalMemory", "RequestAttempts", "TokenRetry"]

logger = logging.getLogger("usagestream")

_REMEMBERED: Final = 256


class RefusalMemory:
    """What the server refused, by deployment and kind of request; the oldest is dropped."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, RefusedOption] = {}
        self._lock = ForkSafeLock()

    def get(self, key: Hashable) -> RefusedOption | None:
        return self._refused.get(key)

    def put(self, key: Hashable, withheld: RefusedOption) -> bool:
        """Remember a refusal; return whether it is news."""
        with self._lock:
            news = key not in self._refused
            self._refused[key] = withheld
            if len(self._refused) > _REMEMBERED:
                del self._refused[next(iter(self._refused))]
            return news


class RequestAttempts:
    """The attempts to open one stream: at most one more for each thing that can be mended."""

    def __init__(
        self,
        request: Request,
        target: Target,
        policy: IncludeUsage,
        *,
        known_refusal: RefusedOption | None,
        memory: RefusalMemory,
        tokens: TokenSource | None,
    ) -> None:
        self._request = request
        self._target = target
        self._policy: IncludeUsage = policy
        self._memory = memory
        self._renewal = TokenRetry(tokens)
        self._key = (target.deployment or request.model, _is_on_your_data(request))
        self.reopenings = 0
        self.usage_request: UsageRequest | None = "asked"
        self._withheld: RefusedOption | None = None
        if request.api == "responses":
            self.usage_request = None
        elif policy == "never" or (policy == "auto" and known_refusal):
            self.usage_request = "not_asked"
            self._withheld = "include_usage" if policy == "never" else known_refusal
        elif policy == "auto":
            self._withheld = memory.get(self._key)
            self.usage_request = "refused" if self._withheld else "asked"

    def params(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """The keyword arguments of the SDK's `create`, made without touching the caller's."""
        params: dict[str, Any] = {**self._request.params, "stream": True}
        params["model"] = self._target.deployment or self._request.model
        _bypass_sdk_transform(params)
        if headers:
            params["extra_headers"] = {**headers, **(params.get("extra_headers") or {})}
        if self.usage_request is None:
            return params
        asked: Any = params.pop("stream_options", None)
        if self._withheld is None:
            params["stream_options"] = {**(asked or {}), "include_usage": True}
        else:
            options = without(asked, self._withheld)
            if options is not None:
                params["stream_options"] = options
        return params

    def noted(self, head: Head) -> Head:
        """Add to a response's head how it came to be."""
        return replace(
            head,
            api=self._request.api,
            usage_request=self.usage_request,
            reopenings=self.reopenings,
        )

    def again(self, exc: Exception, error: Exception) -> bool:
        """Whether to send the request again after `exc`, which `error` stands for.

        Where not, the error is told what was tried, for the record.
        """
        mended = isinstance(error, ProviderError) and (
            self._drop_option(exc, error) or self._renewal.again(exc, error)
        )
        if mended:
            self.reopenings += 1
        elif isinstance(error, ProviderError):
            error.reopenings = self.reopenings
            error.usage_request = self.usage_request
        return mended

    def _drop_option(self, exc: Any, error: ProviderError) -> bool:
        if self.usage_request != "asked" or self._policy != "auto" or error.status is None:
            return False
        messages = self._request.params.get("messages")
        withheld = refused_option(error.status, text_of(exc.response), messages)
        if withheld is None:
            return False
        self._withheld = withheld
        self.usage_request = "refused"
        news = self._memory.put(self._key, withheld)
        logger.log(
            logging.WARNING if news else logging.INFO,
            "%s at %s refuses %s (status %d): opened again without it. "
            'Set include_usage = "never" to spare the attempt.',
            self._key[0],
            self._target.endpoint,
            withheld,
            error.status,
        )
        return True


class TokenRetry:
    """Trying once more with a new token, where the one that was sent is refused."""

    def __init__(self, tokens: TokenSource | None) -> None:
        self._tokens = tokens
        self._renewed = False

    def again(self, exc: Any, error: Exception) -> bool:
        """Whether to send a request again after `exc`, which `error` stands for."""
        if self._renewed or self._tokens is None:
            return False
        if not isinstance(error, AuthenticationError) or error.status != 401:
            return False
        headers = exc.response.request.headers
        sent: str = headers.get("api-key") or headers.get("authorization", "")
        self._renewed = True
        if not self._tokens.renew(sent.removeprefix("Bearer ")):
            return False
        logger.info("%s refused the token: trying once more with a new one.", error.provider)
        return True


def _bypass_sdk_transform(params: dict[str, Any]) -> None:
    """Have the SDK send as it is what is JSON already: so it does with what is in `extra_body`."""
    extra = params.get("extra_body")
    if extra is not None and not isinstance(extra, dict):
        return
    plain = json_already(params)
    if plain:
        params |= dict.fromkeys(plain, PLACEHOLDER)
        params["extra_body"] = {**plain, **(extra or {})}


def _is_on_your_data(request: Request) -> bool:
    """Whether the request is for On Your Data, which takes other options (WIRE §2.2)."""
    body = request.params.get("extra_body")
    return isinstance(body, dict) and "data_sources" in body
