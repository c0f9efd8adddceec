"""Tokens are fetched once for all who wait, replaced early, and anew when one is refused."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests._support.entra import Directory
from tests._support.worlds import ASK, World

from usagestream import AsyncClient, AuthenticationError, Client, PermissionDeniedError, UsageRecord
from usagestream_adapters.azure import AzureProfile
from usagestream_adapters.emulator import Emulator, ErrorReply, Scenario
from usagestream_adapters.sdk import credentials as _tokens
from usagestream_adapters.sdk.credentials import (
    CallableFetcher,
    Token,
    TokenSource,
    _PrivateLoop,  # pyright: ignore[reportPrivateUsage]
)
from usagestream_core.locks import ForkSafeLock

Make = Callable[..., AzureProfile]


class Fake:
    """A fetcher that gives `token-1`, `token-2` and so on, or raises what it is told to."""

    is_async = False

    def __init__(self, *, lives: float = 3600.0, delay: float = 0.0) -> None:
        self.lives = lives
        self.delay = delay
        self.calls = 0
        self.forgotten = 0
        self.closed = 0
        self.failure: Exception | None = None
        self.first_waits_for: Callable[[], object] = object

    def __call__(self) -> Token:
        self.calls += 1
        number = self.calls
        time.sleep(self.delay)
        if number == 1:
            self.first_waits_for()
        if self.failure is not None:
            raise self.failure
        now = time.time()
        return Token.made(f"token-{number}", now + self.lives, None, now)

    def forget(self) -> None:
        self.forgotten += 1

    def explain(self, exc: Exception) -> str:
        return f"no token: {exc}."

    def close(self) -> None:
        self.closed += 1


class Getter:
    """A source seen alike from sync and async code."""

    def __init__(self, source: TokenSource, *, asynchronous: bool) -> None:
        self.source = source
        self.asynchronous = asynchronous

    def get(self) -> str:
        return asyncio.run(self.source.aget()) if self.asynchronous else self.source.get()

    def many(self, count: int) -> list[Any]:
        """Get it many times at once, errors included."""
        if self.asynchronous:

            async def all_of_them() -> list[Any]:
                return await asyncio.gather(
                    *(self.source.aget() for _ in range(count)), return_exceptions=True
                )

            return asyncio.run(all_of_them())

        arrived, lock = threading.Semaphore(0), self.source._lock

        class Counting(ForkSafeLock):
            def acquire(self, blocking: bool = True) -> bool:
                arrived.release()
                return lock.acquire(blocking)

            def release(self) -> None:
                lock.release()

        def all_are_here() -> None:
            for _ in range(count):
                assert arrived.acquire(timeout=60)

        self.source._lock = Counting()
        fake_of(self).first_waits_for = all_are_here

        def one(_: int) -> Any:
            try:
                return self.source.get()
            except AuthenticationError as exc:
                return exc

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


@pytest.fixture(params=["sync", "async"])
def getter(request: pytest.FixtureRequest) -> Getter:
    """A source over a fake fetcher."""
    return Getter(TokenSource(Fake(), "azure"), asynchronous=request.param == "async")


def fake_of(getter: Getter) -> Fake:
    """Its fetcher."""
    fetcher = getter.source._fetcher
    assert isinstance(fetcher, Fake)
    return fetcher


def test_a_token_is_fetched_once_and_kept(getter: Getter) -> None:
    """The second request waits for nothing."""
    assert [getter.get(), getter.get()] == ["token-1", "token-1"]
    assert getter.source.secrets == ("token-1",)


def test_many_callers_make_one_fetch(getter: Getter) -> None:
    """All who come while a token is fetched share it."""
    fake_of(getter).delay = 0.1
    assert getter.many(20) == ["token-1"] * 20
    assert fake_of(getter).calls == 1


def test_many_callers_share_one_failure(getter: Getter) -> None:
    """Nobody asks again what has just failed, and each has an error of their own."""
    fake = fake_of(getter)
    fake.delay, fake.failure = 0.1, ValueError("down")
    errors = getter.many(20)
    assert fake.calls == 1
    assert {str(error) for error in errors} == {"no token: down."}
    assert len({id(error) for error in errors}) == 20
    assert {id(error.__cause__) for error in errors} == {id(fake.failure)}
    fake.failure = None
    assert getter.get() == "token-2"


def test_a_token_near_its_end_is_replaced(getter: Getter) -> None:
    """A token in the second half of a short life is old."""
    fake_of(getter).lives = 20.0
    assert getter.get() == "token-1"
    held = getter.source._held
    assert held is not None
    getter.source._held = Token(held.value, held.expires_at, time.time() - 1)
    assert getter.get() == "token-2"


def test_an_expired_token_is_never_used(getter: Getter) -> None:
    """The last seconds count as over: a request takes time too."""
    fake_of(getter).lives = 2.0
    assert [getter.get(), getter.get()] == ["token-1", "token-1"]
    getter.source._held = Token("old", time.time() + 1, 0.0)
    assert getter.get() == "token-2"


def test_a_failure_to_replace_early_is_only_logged(
    getter: Getter, caplog: pytest.LogCaptureFixture
) -> None:
    """The token that is held serves on, and the next attempt waits."""
    fake = fake_of(getter)
    getter.source._held = Token("held", time.time() + 200, time.time() - 1)
    fake.failure = ValueError("down")
    with caplog.at_level(logging.WARNING, "usagestream"):
        assert [getter.get(), getter.get()] == ["held", "held"]
    assert fake.calls == 1
    assert caplog.messages == ["no token: down. The token that is held is used on."]


def test_nobody_waits_for_an_early_replacement(getter: Getter) -> None:
    """One caller replaces it while the others go on with the one that is still valid."""
    fake_of(getter).delay = 0.2
    getter.source._held = Token("held", time.time() + 200, time.time() - 1)
    got = getter.many(5)
    assert sorted(got) == ["held"] * 4 + ["token-1"]


def test_the_issuers_own_advice_is_taken() -> None:
    """`refresh_on` brings the replacement forward, never back."""
    now = 1_000.0
    assert Token.made("t", now + 86_400, now + 43_200, now).refresh_at == now + 43_200
    assert Token.made("t", now + 3_600, None, now).refresh_at == now + 3_300
    assert Token.made("t", now + 3_600, now + 3_599, now).refresh_at == now + 3_300
    assert Token.made("t", now + 60, None, now).refresh_at == now + 30
    assert Token.made("t", now - 60, None, now).refresh_at == now - 60


def test_a_refused_token_is_renewed_once(getter: Getter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that replaced it is not replaced for the same reason so soon."""
    source = getter.source
    assert source.renew(getter.get())
    assert fake_of(getter).forgotten == 1
    assert getter.get() == "token-2"
    assert source.renew("token-1")  # refused before it was replaced: there is a newer one
    assert not source.renew("token-2")
    assert fake_of(getter).forgotten == 1
    monkeypatch.setattr(_tokens, "RENEWAL_HOLDS", 0.0)
    assert source.renew("token-2")


def test_a_function_is_asked_each_time(getter: Getter) -> None:
    """It says nothing about how long its token is good for."""
    given = iter("abc")
    fetcher = CallableFetcher(lambda: next(given), "It")
    both = Getter(TokenSource(fetcher, "azure"), asynchronous=getter.asynchronous)
    assert [both.get(), both.get()] == ["a", "b"]
    both.source.renew("b")
    both.source.close()


def test_no_token_shows_in_a_repr() -> None:
    """Invariant 7."""
    assert "seeded" not in repr(Token("seeded-token", 1.0))


# --- with the real azure-identity, and streams


@pytest.mark.slow
def test_200_async_streams_on_a_cold_credential_make_one_token_request(
    server: Emulator, directory: Directory, entra_profile: Make
) -> None:
    """A burst at start-up does not storm the authority."""
    directory.delay = 0.2

    async def run() -> list[UsageRecord]:
        records: list[UsageRecord] = []
        async with AsyncClient(entra_profile(), on_record=records.append) as client:
            await asyncio.gather(*(client.stream(**ASK).drain() for _ in range(200)))
        return records

    records = asyncio.run(run())
    assert len(directory.asked) == 1
    assert {record.outcome for record in records} == {"completed"}
    assert len(records) == len(server.requests) == 200


def test_20_threads_on_a_cold_credential_make_one_token_request(
    server: Emulator, directory: Directory, entra_profile: Make
) -> None:
    """azure-identity alone makes one for each."""
    directory.delay = 0.1
    start = threading.Barrier(20)

    def one(client: Client) -> None:
        start.wait()
        client.stream(**ASK).drain()

    with Client(entra_profile()) as client, ThreadPoolExecutor(20) as pool:
        list(pool.map(one, [client] * 20))
    assert len(directory.asked) == 1
    assert len(server.requests) == 20


@pytest.mark.slow
def test_a_token_that_expires_mid_run_is_replaced_without_a_failed_stream(
    world: World, server: Emulator, directory: Directory, entra_profile: Make
) -> None:
    """Streams before and after its end all complete."""
    directory.expires_in = 2
    profile = entra_profile()
    for _ in range(6):
        world.stream(profile).drain()
        time.sleep(0.25)
    tokens = [request.bearer for request in server.requests]
    assert tokens[0] == "client-token-1"
    assert len(set(tokens)) >= 2
    assert {record.outcome for record in world.records} == {"completed"}


UNAUTHORIZED = ErrorReply(
    status=401,
    body={
        "statusCode": 401,
        "message": "Unauthorized. Access token is missing, invalid, audience is incorrect "
        "(https://cognitiveservices.azure.com), or have expired.",
    },
)


@pytest.mark.parametrize("version", ["v1", "2024-10-21"])
def test_401_then_success(
    world: World, server: Emulator, entra_profile: Make, version: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A refused token is replaced by a fresh one, past azure-identity's cache, once."""
    profile = entra_profile(api_version=version)
    world.stream(profile).drain()
    server.script(Scenario(error=UNAUTHORIZED))
    with caplog.at_level(logging.INFO, "usagestream"):
        world.stream(profile).drain()
    tokens = [request.bearer for request in server.requests]
    assert tokens == ["client-token-1", "client-token-1", "client-token-2"]
    assert [record.reopenings for record in world.records] == [0, 1]
    assert "azure refused the token: trying once more with a new one." in caplog.messages
    assert "client-token" not in caplog.text


def test_401_twice_is_the_answer(world: World, server: Emulator, entra_profile: Make) -> None:
    """The record says that it was tried again."""
    server.script(Scenario(error=UNAUTHORIZED), Scenario(error=UNAUTHORIZED))
    profile = entra_profile()
    with pytest.raises(AuthenticationError, match="the setting `token_scope`"):
        world.stream(profile).drain()
    assert len(server.requests) == 2
    assert world.records[0].reopenings == 1
    server.script(Scenario(error=UNAUTHORIZED))
    with pytest.raises(AuthenticationError):
        world.stream(profile).drain()
    assert len(server.requests) == 3  # the token is a fresh one: another would not help


def test_a_missing_role_is_not_tried_again(
    world: World, server: Emulator, entra_profile: Make
) -> None:
    """Azure says it with 401 too, and no token changes it."""
    said = "Principal does not have access to API/Operation."
    server.script(Scenario(error=ErrorReply(status=401, body={"error": {"message": said}})))
    with pytest.raises(PermissionDeniedError, match="Cognitive Services OpenAI User"):
        world.stream(entra_profile()).drain()
    assert len(server.requests) == 1


def test_a_key_is_not_tried_again(world: World, server: Emulator) -> None:
    """What is given as text cannot be fetched anew."""
    profile = AzureProfile(endpoint=server.azure_endpoint, api_key="wrong-key", max_retries=0)
    with pytest.raises(AuthenticationError):
        world.stream(profile).drain()
    assert len(server.requests) == 1


def test_invariant_7_a_token_in_an_error_body_is_masked(
    world: World, server: Emulator, entra_profile: Make
) -> None:
    """The token in use, and anything that looks like one."""
    web_token = "eyJhbGciOi.eyJzdWIi.c2VlZGVk"
    said = f"bad client-token-1 {web_token} seeded-client-secret-0123456789 gateway-secret"
    server.script(Scenario(error=ErrorReply(status=400, body={"error": {"message": said}})))
    profile = entra_profile(headers={"x-gateway": "gateway-secret", "x-short": "bad"})
    with pytest.raises(Exception, match=r"bad \*\*\* \*\*\* \*\*\* \*\*\*") as caught:
        world.stream(profile).drain()
    seen = f"{caught.value!r} {world.records} {profile!r}"
    for secret in ("client-token-1", web_token, "seeded-client", "gateway-secret"):
        assert secret not in seen


def test_one_loop_serves_every_call() -> None:
    """An async credential keeps connections that are tied to the loop they were made on."""
    private = _PrivateLoop()
    loops: list[object] = []

    async def fetch() -> None:
        loops.append(asyncio.get_running_loop())

    private.run(fetch)
    private.run(fetch)
    private.stop()
    assert loops[0] is loops[1]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_fetches_on_a_loop_of_its_own() -> None:
    """Its parent's thread is not there, and what that waits on is not the child's to close."""

    async def fetch() -> Token:
        return Token("t")

    private = _PrivateLoop()
    private.run(fetch)
    child = os.fork()
    if not child:
        signal.alarm(10)
        status = 0 if private.run(fetch) == Token("t") else 1
        private.stop()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert private.run(fetch) == Token("t")
    parents, vars(private)["_process"] = private._loop, -1  # as a child finds it
    private.run(fetch)
    assert private._loop is not parents
    private.stop()
    assert parents is not None
    parents.call_soon_threadsafe(parents.stop)
    while parents.is_running():
        time.sleep(0.001)
    parents.close()
