"""What came in: the log entry of a request, and a chat call read from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..wire.json_types import as_list, as_object
from ._models import snapshot, snapshot_behind

Surface: TypeAlias = Literal["openai", "azure", "azure-v1"]

_SECRET_HEADERS = frozenset({"authorization", "api-key", "cookie", "proxy-authorization"})
# In this order: the last is the end of the one before. What comes first is a gateway's prefix.
_PATHS: tuple[tuple[Surface, re.Pattern[str]], ...] = (
    ("azure", re.compile(r".*/openai/deployments/(?P<deployment>[^/]+)/chat/completions")),
    ("azure-v1", re.compile(r".*/openai/v1/chat/completions")),
    ("openai", re.compile(r".*/v1/chat/completions")),
)


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """One request as it arrived, header names in lower case; `body` is parsed JSON or `None`.

    Its credentials are there to be asserted on, but never in its `repr`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    client_port: int | None = None
    """Requests that came from one port came over one connection."""

    def __repr__(self) -> str:
        headers = {
            name: "***" if name in _SECRET_HEADERS else value
            for name, value in self.headers.items()
        }
        return (
            f"ReceivedRequest(method={self.method!r}, path={self.path!r}, "
            f"query={dict(self.query)!r}, headers={headers!r}, body={self.body!r})"
        )

    @property
    def api_key(self) -> str:
        """The `api-key` header, or nothing."""
        return self.headers.get("api-key", "").strip()

    @property
    def bearer(self) -> str:
        """What follows `Bearer` in the `authorization` header, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request for a chat completion: where it was sent, and its body."""

    surface: Surface
    received: ReceivedRequest
    deployment: str

    @property
    def azure(self) -> bool:
        """Whether either surface of Azure was asked."""
        return self.surface != "openai"

    @property
    def body(self) -> dict[str, Any]:
        """The body, or nothing where it is no JSON object."""
        return as_object(self.received.body)

    @property
    def name(self) -> str:
        """What was asked for: the deployment in the path, else the body's `model`."""
        model = self.body.get("model")
        return self.deployment or (model if isinstance(model, str) else "")

    def model_behind(self, deployments: Mapping[str, str]) -> str:
        """The snapshot that answers: a known deployment's, or a likely one."""
        if self.azure:
            return snapshot_behind(deployments.get(self.name, self.name))
        return snapshot(self.name)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, each an object."""
        return [as_object(message) for message in as_list(self.body.get("messages"))]

    @property
    def n(self) -> int:
        """How many choices are wanted."""
        n = self.body.get("n")
        return n if isinstance(n, int) and n > 0 else 1

    @property
    def tools(self) -> list[Any]:
        """The tools offered."""
        return as_list(self.body.get("tools"))

    @property
    def stream(self) -> bool:
        """Whether a stream is wanted."""
        return self.body.get("stream") is True

    @property
    def include_usage(self) -> bool:
        """Whether the stream is to report its usage."""
        return as_object(self.body.get("stream_options")).get("include_usage") is True

    @property
    def obfuscation(self) -> bool:
        """Whether frames are padded: yes, unless turned off (WIRE §1.1).

        That Azure understands the option is not known; it is honoured there too.
        """
        return as_object(self.body.get("stream_options")).get("include_obfuscation") is not False


def chat_call(received: ReceivedRequest) -> Call | None:
    """Return the call a request makes, or `None` where the path or the method is another."""
    for surface, pattern in _PATHS:
        match = pattern.fullmatch(received.path)
        if match and received.method == "POST":
            deployment = match.groupdict().get("deployment") or ""
            return Call(surface=surface, received=received, deployment=deployment)
    return None
