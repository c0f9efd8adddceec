"""The clients: a profile in, streams out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias

from .adapter import Adapter, Request, Warmable
from .errors import ClientClosedError, ConfigError
from .estimates.estimate import CounterChoice, as_messages, find_counter
from .pricing import PricerChoice, costs_by, find_pricer
from .profile import Profile
from .profiles.configuration import Configuration
from .profiles.ledgers import find_ledger
from .profiles.providers import load_adapter_type
from .profiles.resolve import resolve_by
from .profiles.telemetry import configured_telemetry
from .records.ledger import LedgerChoice
from .records.outbox import FLUSH_TIMEOUT, Outbox, is_async
from .records.tags import joined_tags
from .records.telemetry import beside, opened_by_us
from .streams.limit import OutputLimit
from .streams.meter import Call
from .streams.protocols import AsyncUsageStream, UsageStream
from .streams.recovery import arecover, recover
from .streams.shells import AsyncStream, SyncStream
from .streams.state import OnLeave, StreamPolicy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Unpack

    from .record import Api, UsageRecord
    from .streams.params import ChatParams, ResponseParams

__all__ = ["AsyncClient", "AsyncResponses", "Client", "Responses"]


_Prepared: TypeAlias = "tuple[Adapter, Request, Call, StreamPolicy]"


class _BaseClient:
    """What both clients share: the profile's adapter, checked requests, records handed out."""

    def __init__(
        self,
        profile: Profile | str | Adapter | None,
        on_record: Callable[[UsageRecord], object] | None,
        token_counter: CounterChoice,
        pricer: PricerChoice,
        ledger: LedgerChoice,
        http_client: Any,
        flush_timeout: float | None,
        *,
        warm: bool,
        asynchronous: bool,
    ) -> None:
        self._profile_name: str | None = None
        configuration = Configuration()
        if profile is None or isinstance(profile, str | Profile):
            profile = resolve_by(configuration, profile).profile
            self._profile_name = profile.name
            profile = load_adapter_type(profile.provider)(profile, http_client=http_client)
        elif not (hasattr(profile, "target") and hasattr(profile, "decoder")):
            raise TypeError(
                f"{type(self).__name__} takes a profile, the name of one, or an adapter, not "
                f"{profile if isinstance(profile, type) else type(profile).__name__}; a client of "
                "the openai SDK is for usagestream.track()"
            )
        elif http_client is not None:
            raise TypeError("give http_client to the adapter when you make it yourself")
        telemetry = configured_telemetry(configuration)
        self._adapter = opened_by_us(profile, on_record, *telemetry)
        sink, kept_in = beside(on_record, telemetry), find_ledger(ledger, configuration)
        self._outbox = Outbox(sink, timeout=flush_timeout, ledger=kept_in)
        self._counter = find_counter(token_counter)
        self._costs = costs_by(find_pricer(pricer, configuration))
        self._closed = False
        self._has_let_go = False
        if warm and isinstance(profile, Warmable):
            profile.warm(Request(model="", params={}), asynchronous=asynchronous)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._profile_name or self._adapter.provider}>"

    @property
    def sink_failures(self) -> int:
        """Records on which `on_record` raised; each was logged."""
        return self._outbox.failures

    def _prepare(
        self,
        params: Mapping[str, Any],
        api: Api = "chat",
    ) -> _Prepared:
        """Check what can be checked before anything is sent."""
        if self._closed:
            raise ClientClosedError
        rest = dict(params)
        tags: Mapping[str, str] | None = rest.pop("tags", None)
        on_leave: OnLeave = rest.pop("on_leave", "close")
        drain_timeout: float | None = rest.pop("drain_timeout", None)
        limit: object = rest.pop("output_tokens_limit", None)
        on_limit: str = rest.pop("on_limit", "raise")
        if "stream" in rest:
            raise TypeError("stream() always streams: leave the parameter `stream` out")
        model = rest.pop("model", None)
        if not isinstance(model, str) or not model:
            raise TypeError(f"stream() needs model=..., a non-empty string, not {model!r}")
        if api == "chat" and "messages" not in rest:
            raise TypeError("stream() needs messages=[...]")
        if on_leave not in ("close", "drain"):
            raise ValueError(f"on_leave must be 'close' or 'drain', not {on_leave!r}")
        target = self._adapter.target(model)
        call = Call(
            provider=target.provider or self._adapter.provider,
            profile=self._profile_name,
            target=target,
            model=model,
            api=api,
            tags=joined_tags(tags),
            secrets=getattr(self._adapter, "secrets", tuple),
            costs=self._costs,
            params=rest if api == "chat" else {**rest, "messages": as_messages(rest)},
        )
        policy = StreamPolicy(
            outbox=self._outbox,
            client_closed=lambda: self._closed,
            connections_closed=lambda: self._has_let_go,
            counter=self._counter,
            limit=self._limit(model, limit, on_limit),
            on_leave=on_leave,
            drain_timeout=drain_timeout,
        )
        return self._adapter, Request(api=api, model=model, params=rest), call, policy

    def _limit(self, model: str, tokens: object, on_limit: str) -> OutputLimit | None:
        if on_limit not in ("raise", "stop"):
            raise ValueError(f"on_limit must be 'raise' or 'stop', not {on_limit!r}")
        if tokens is None:
            return None
        if not isinstance(tokens, int):
            raise TypeError(f"output_tokens_limit must be an int, unlike {tokens!r}")
        if tokens < 0:
            raise ValueError(f"output_tokens_limit must not be negative, as {tokens} is")
        if self._counter is None:
            raise ConfigError(
                'output_tokens_limit needs a tokenizer: pip install "usagestream[estimate]", or '
                "give the client a token_counter."
            )
        if self._counter.count("", model) is None:
            raise ConfigError(
                f"output_tokens_limit: the tokenizer of {model!r} is not known. Ask for the model "
                "by its own name, with a map of deployments, or give the client a token_counter."
            )
        return OutputLimit(tokens, self._counter, model, quiet=on_limit == "stop")


class Client(_BaseClient):
    """Streams chat completions from the provider that a profile names.

    `profile` is a profile, the name of one, an adapter that you made yourself, or `None` for the
    profile that the environment describes. `http_client` is an HTTP client of your own, as the
    openai SDK takes it; closing it stays with you.

    `on_record` is called once for each stream with its `UsageRecord`, in the order the streams
    ended and where they ended; what it raises is logged, counted in `sink_failures`, and never
    reaches the stream. `token_counter` estimates what no provider reported: `"auto"` takes the
    installed one (`usagestream[estimate]`), `None` estimates nothing. `pricer` gives records their
    cost: `"auto"` takes the installed one (`usagestream[prices]`) and the price file, `None` none.

    `ledger` has each stream before its first chunk is handed over, and its record at the end: the
    URL of a database (`sqlite:///usage.db`), or a ledger of your own; `"auto"` takes the configured
    one, `None` none.

    Closing the client, and the end of the interpreter, wait for `on_record` and the ledger for
    `flush_timeout` seconds; `None` waits for as long as it takes.

    The provider's SDK is loaded with the first stream, or here with `warm=True`: it takes a second.

    Raises `ConfigError` if the profile is incomplete, or a price file or a ledger is wrong. Nothing
    is sent before a stream is entered or read. Use it as a context manager, or `close()` it, to let
    its connections go.
    """

    def __init__(
        self,
        profile: Profile | str | Adapter | None = None,
        *,
        on_record: Callable[[UsageRecord], object] | None = None,
        token_counter: CounterChoice = "auto",  # noqa: S107 - no secret
        pricer: PricerChoice = "auto",
        ledger: LedgerChoice = "auto",
        http_client: Any = None,
        flush_timeout: float | None = FLUSH_TIMEOUT,
        warm: bool = False,
    ) -> None:
        if is_async(on_record):
            raise TypeError("on_record of a Client is an ordinary function; AsyncClient awaits one")
        super().__init__(
            profile,
            on_record,
            token_counter,
            pricer,
            ledger,
            http_client,
            flush_timeout,
            warm=warm,
            asynchronous=False,
        )

    def stream(self, **params: Unpack[ChatParams]) -> UsageStream:
        """Ask for a streamed answer. Takes what `chat.completions.create` takes, minus `stream`.

        `tags` are copied to the record. Nothing that is passed is changed: a `stream_options` keeps
        its other keys, and its `include_usage` is set as the profile says.

        With `on_leave="drain"`, leaving early reads on to the provider's own figure, for at most
        `drain_timeout` seconds if given; the provider goes on writing meanwhile.
        `output_tokens_limit` closes the stream once an estimate of its output passes that many
        tokens, and raises `UsageLimitExceededError`, or ends quietly with `on_limit="stop"`.

        Raises `ConfigError`, `TypeError` or `ValueError`, before anything is sent, for what cannot
        be asked.
        """
        return SyncStream(*self._prepare(params))

    @property
    def responses(self) -> Responses:
        """The Responses API: `client.responses.stream(...)`."""
        return Responses(self._prepare)

    def recover(
        self, record: UsageRecord, *, cancel: bool = False, timeout: float = 0.0
    ) -> UsageRecord:
        """Give a record with the usage that the provider has now: see `UsageRecord.recover`."""
        costs = self._costs
        found = recover(self._adapter, record, cancel=cancel, timeout=timeout, costs=costs)
        if found is not record:
            self._outbox.replace(found)
        return found

    def close(self) -> None:
        """Wait until every record is handed over, and close the connections kept open."""
        self._closed = True
        self._outbox.wait()
        self._has_let_go = True
        self._adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncClient(_BaseClient):
    """`Client` for async code. `on_record` may be an async function here.

    An ordinary `on_record` is called where a stream ends, as `Client` does, and must be quick. An
    async one runs in the background, one record after the other; `close()` waits for it.
    """

    def __init__(
        self,
        profile: Profile | str | Adapter | None = None,
        *,
        on_record: Callable[[UsageRecord], object | Awaitable[object]] | None = None,
        token_counter: CounterChoice = "auto",  # noqa: S107 - no secret
        pricer: PricerChoice = "auto",
        ledger: LedgerChoice = "auto",
        http_client: Any = None,
        flush_timeout: float | None = FLUSH_TIMEOUT,
        warm: bool = False,
    ) -> None:
        super().__init__(
            profile,
            on_record,
            token_counter,
            pricer,
            ledger,
            http_client,
            flush_timeout,
            warm=warm,
            asynchronous=True,
        )
        self._draining: set[asyncio.Task[None]] = set()

    def stream(self, **params: Unpack[ChatParams]) -> AsyncUsageStream:
        """`Client.stream`, without `await`: the request is sent on `async with` or `async for`.

        With `on_leave="drain"` the rest is read in the background, and `close()` of the client
        waits for it. Where there is no asyncio loop (on trio), leaving the block waits.
        """
        prepared = self._prepare(params)
        return AsyncStream(*prepared, self._in_background)

    @property
    def responses(self) -> AsyncResponses:
        """The Responses API: `client.responses.stream(...)`."""
        return AsyncResponses(self._prepare, self._in_background)

    async def recover(
        self,
        record: UsageRecord,
        *,
        cancel: bool = False,
        timeout: float = 0.0,  # noqa: ASYNC109 - polling, which no cancel scope does
    ) -> UsageRecord:
        """Give a record with the usage that the provider has now: see `UsageRecord.recover`."""
        costs = self._costs
        found = await arecover(self._adapter, record, cancel=cancel, timeout=timeout, costs=costs)
        if found is not record:
            self._outbox.replace(found)
        return found

    async def close(self) -> None:
        """Wait for what is drained and handed over, and close the connections kept open."""
        self._closed = True
        while self._draining:
            import asyncio

            await asyncio.wait(self._draining)
        await self._outbox.flush()
        self._has_let_go = True
        await self._adapter.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> bool:
        import asyncio  # slow to import, and loaded already where it is of use

        try:
            task = asyncio.get_running_loop().create_task(work)
        except RuntimeError:
            return False
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        return True


class Responses:
    """The Responses API of a `Client`'s provider."""

    def __init__(self, prepare: Callable[..., _Prepared]) -> None:
        self._prepare = prepare

    def stream(self, **params: Unpack[ResponseParams]) -> UsageStream:
        """Ask for a streamed response. Takes what `responses.create` takes, minus `stream`.

        Everything else is as with `Client.stream`.
        """
        return SyncStream(*self._prepare(params, api="responses"))


class AsyncResponses:
    """The Responses API of an `AsyncClient`'s provider."""

    def __init__(
        self,
        prepare: Callable[..., _Prepared],
        in_background: Callable[[Coroutine[Any, Any, None]], bool],
    ) -> None:
        self._prepare = prepare
        self._in_background = in_background

    def stream(self, **params: Unpack[ResponseParams]) -> AsyncUsageStream:
        """`Responses.stream`, without `await`: sent on `async with` or `async for`."""
        prepared = self._prepare(params, api="responses")
        return AsyncStream(*prepared, self._in_background)
