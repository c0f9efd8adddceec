"""A local Entra authority over TLS and a local instance-metadata endpoint, for azure-identity."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT_ID = "22222222-2222-2222-2222-222222222222"
CLIENT_SECRET = "seeded-client-secret-0123456789"


@dataclass
class Directory:
    """What the two servers share with the test: what they were asked, and how they behave."""

    authority: str = ""
    imds: str = ""
    expires_in: int = 3600
    delay: float = 0.0
    held: threading.Event | None = None
    """What an answer waits for, for some seconds; `was_let_go` says whether it came."""
    was_let_go: bool = False
    issued: list[str] = field(default_factory=list[str])
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    refuse: tuple[int, dict[str, Any]] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, kind: str) -> str:
        """Issue a token."""
        with self.lock:
            self.issued.append(f"{kind}-token-{len(self.issued) + 1}")
            return self.issued[-1]


class _Handler(BaseHTTPRequestHandler):
    directory: Directory

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so in the base class
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.endswith("/.well-known/openid-configuration"):
            tenant = parts.path.split("/")[1]
            if tenant != TENANT:
                self._answer(400, _aadsts(90002, f"Tenant '{tenant}' not found."))
                return
            base = f"{self.directory.authority}/{tenant}"
            self._answer(
                200,
                {
                    "issuer": f"{base}/v2.0",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                },
            )
        elif parts.path == "/metadata/identity/oauth2/token" and self.headers["Metadata"]:
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._issue("managed", query)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if form.get("client_secret") not in (None, CLIENT_SECRET):
            said = f"Invalid client secret provided: {form['client_secret']}."
            self._answer(401, _aadsts(7000215, said))
            return
        self._issue("workload" if "client_assertion" in form else "client", form)

    def _issue(self, kind: str, asked: dict[str, str]) -> None:
        directory = self.directory
        with directory.lock:
            directory.asked.append(asked)
        time.sleep(directory.delay)
        if directory.held is not None:
            directory.was_let_go = directory.held.wait(10)
        if directory.refuse is not None:
            self._answer(*directory.refuse)
            return
        self._answer(
            200,
            {
                "access_token": directory.token(kind),
                "expires_in": str(directory.expires_in),
                "expires_on": str(int(time.time()) + directory.expires_in),
                "resource": "r",
                "token_type": "Bearer",
            },
        )

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _aadsts(code: int, text: str) -> dict[str, Any]:
    return {"error": "invalid_client", "error_description": f"AADSTS{code}: {text}"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is no error."""


@contextmanager
def running_directory(tls: ssl.SSLContext) -> Generator[Directory]:
    """Run both servers on ports of their own."""
    directory = Directory()
    handler = type("Handler", (_Handler,), {"directory": directory})
    with _Server(("127.0.0.1", 0), handler) as entra, _Server(("127.0.0.1", 0), handler) as imds:
        entra.socket = tls.wrap_socket(entra.socket, server_side=True)
        directory.authority = f"https://localhost:{entra.server_port}"
        directory.imds = f"http://127.0.0.1:{imds.server_port}"
        for server in (entra, imds):
            serve = {"poll_interval": 0.02}
            threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        yield directory
        for server in (entra, imds):
            server.shutdown()
