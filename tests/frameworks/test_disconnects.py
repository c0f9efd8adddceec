"""The page about web frameworks: its applications, and browsers that go in the middle."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from aiohttp import web
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from django.urls import path
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.serving import make_server

from usagestream import Client, Emulator, JsonLinesSink, Scenario, UsageRecord

PAGE = (Path(__file__).parents[2] / "docs" / "web.md").read_text("utf-8")
_EXAMPLE = r"^## (\w+(?: under WSGI)?)[^\n]*\n[^#]*?^```python\n(.*?)^```$"
EXAMPLES = dict(re.findall(_EXAMPLE, PAGE, re.MULTILINE | re.DOTALL))
pytestmark = [
    pytest.mark.slow,
    # Garbage is collected here, that of other tests included.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SLOW = Scenario(text=[f"{number} " for number in range(40)], delay=0.02)
SLOWER = Scenario(text=[f"{number} " for number in range(6)], delay=0.5)


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """The provider, slow; what is recorded goes into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with Emulator() as running:
        monkeypatch.setenv("OPENAI_API_KEY", "example-key")
        monkeypatch.setenv("OPENAI_BASE_URL", running.openai_base_url)
        running.script(getattr(request, "param", SLOW))
        yield running


def example(name: str, on_leave: str = "drain") -> Any:
    """Run an example of the page, and give its application, or its view where it has none."""
    namespace: dict[str, Any] = {"__name__": "example"}
    source = EXAMPLES[name].replace('on_leave="drain"', f'on_leave="{on_leave}"')
    exec(compile(source, name, "exec", dont_inherit=True), namespace)
    return namespace.get("app") or namespace["ask"]


@contextmanager
def asgi(app: Any) -> Generator[int]:
    """Serve an ASGI application, and end it in good order."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, lifespan="on", ws="none")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: running.run(sockets=[listening]))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            running.should_exit = True
            thread.join(60)


@contextmanager
def aiohttp(app: web.Application) -> Generator[int]:
    """Serve an application of aiohttp's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(30)

    runner = web.AppRunner(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        run(runner.setup())
        run(web.SockSite(runner, listening).start())
        try:
            yield listening.getsockname()[1]
        finally:
            run(runner.cleanup())
            loop.call_soon_threadsafe(loop.stop)
            thread.join(60)
            loop.close()


@contextmanager
def wsgi(app: Any, view: Any = None) -> Generator[int]:
    """Serve a WSGI application, and close its client, for which it has no end."""
    running: Any = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        running.server_close()
        thread.join(60)
        (view or app.view_functions["ask"]).__globals__["client"].close()


@contextmanager
def view_in_use(view: Any) -> Generator[None]:
    """Make a view of Django's the one that is asked."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None, ROOT_URLCONF=__name__, SECRET_KEY="any"
        )
    urls = ModuleType("urls_of_a_test")
    vars(urls)["urlpatterns"] = [path("ask", view)]
    with override_settings(ROOT_URLCONF=urls):
        yield


@contextmanager
def django_asgi(view: Any) -> Generator[int]:
    """Serve an async view of Django's, and close its client, for which Django has no end."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await view.__globals__["client"].close()

    with view_in_use(view):
        django: Any = get_asgi_application()
        with asgi(Starlette(routes=[Mount("/", django)], lifespan=lifespan)) as port:
            yield port


@contextmanager
def django_wsgi(view: Any) -> Generator[int]:
    """Serve a view of Django's under WSGI."""
    with view_in_use(view), wsgi(get_wsgi_application(), view) as port:
        yield port


Serving = Callable[[Any], AbstractContextManager[int]]


def visit(port: int, *, until: bytes) -> bytes:
    """Ask as a browser does, and go once a piece of the answer has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as browser:
        browser.sendall(b"GET /ask?question=Count HTTP/1.1\r\nHost: localhost\r\n\r\n")
        seen = b""
        while until not in seen:
            data = browser.recv(4096)
            assert data, seen
            seen += data
    return seen


def records() -> list[UsageRecord]:
    """Give what was recorded, once there is something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        gc.collect()
        found = list(JsonLinesSink.read("usage.jsonl")) if Path("usage.jsonl").exists() else []
        if found:
            return found
        time.sleep(0.02)
    return []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("name", "serving", "on_leave", "outcome"),
    [
        ("FastAPI", asgi, "drain", ("completed", "drained", "reported")),
        ("FastAPI", asgi, "close", ("cancelled", None, "estimated")),
        pytest.param(
            *("aiohttp", aiohttp, "drain", ("closed", None, "reported")),
            marks=pytest.mark.exhaustive,
        ),
        ("aiohttp", aiohttp, "close", ("closed", None, "estimated")),
        pytest.param(
            *("Flask", wsgi, "drain", ("completed", "drained", "reported")),
            marks=pytest.mark.exhaustive,
        ),
        ("Flask", wsgi, "close", ("closed", None, "estimated")),
        ("Django", django_asgi, "drain", ("completed", "drained", "reported")),
        pytest.param(
            *("Django", django_asgi, "close", ("cancelled", None, "estimated")),
            marks=pytest.mark.exhaustive,
        ),
        ("Django under WSGI", django_wsgi, "close", ("closed", None, "estimated")),
        pytest.param(
            *("Django under WSGI", django_wsgi, "drain", ("completed", "drained", "reported")),
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_browser_that_goes(
    name: str, serving: Serving, on_leave: str, outcome: tuple[str, str | None, str]
) -> None:
    """The page's table: one record, with the provider's own figure where the rest is drained."""
    with serving(example(name, on_leave)) as port:
        visit(port, until=b'"3 "')
        (record,) = records()
    assert (record.outcome, record.reason, record.usage.source) == outcome


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("name", "serving"),
    [
        ("FastAPI", asgi),
        ("aiohttp", aiohttp),
        ("Django", django_asgi),
        ("Django under WSGI", django_wsgi),
    ],
)
def test_a_browser_that_stays(name: str, serving: Serving) -> None:
    """It has the whole answer, and the record says so."""
    with serving(example(name)) as port:
        assert b"39 " in visit(port, until=b"\r\n0\r\n\r\n")
        (record,) = records()
    assert (record.outcome, record.reason) == ("completed", None)


class _Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


@pytest.mark.usefixtures("server")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_sync_generator_behind_a_middleware() -> None:
    """It is dropped in a cycle, and collected in any order: one record all the same."""
    with Client("openai", on_record=JsonLinesSink("usage.jsonl")) as client:

        def answer() -> Iterator[str]:
            question = [{"role": "user", "content": "Count"}]
            with client.stream(model="gpt-4o-mini", messages=question) as stream:
                for chunk in stream:
                    yield chunk.text

        def ask(request: Request) -> StreamingResponse:
            return StreamingResponse(answer())

        app = Starlette(routes=[Route("/ask", ask)], middleware=[Middleware(_Passing)])
        with asgi(app) as port:
            visit(port, until=b"3 \r\n")
            (record,) = records()
    assert record.outcome in ("closed", "abandoned")
    assert record.usage.source == "estimated"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("server", [SLOWER], indirect=True)
def test_an_async_generator_behind_a_middleware() -> None:
    """The task is cancelled by way of the middleware's own group of tasks.

    It waits for the provider then, who takes his time: cancelled while it hands over what it has,
    the generator is dropped in a cycle, and collected in any order.
    """
    app = example("FastAPI")
    app.add_middleware(_Passing)
    with asgi(app) as port:
        visit(port, until=b'"3 "')
        (record,) = records()
    assert (record.outcome, record.reason) == ("completed", "drained")
    assert record.usage.source == "reported"
