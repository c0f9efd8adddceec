"""An adapter that answers from memory, and a provider package that declares it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from usagestream_adapters.wire.chat import ChatDecoder
from usagestream_core.adapter import Head, Request, Target
from usagestream_core.errors import ConfigError
from usagestream_core.profile import Profile

from .chat import HELLO, cut


def raising(error: BaseException) -> Callable[..., Any]:
    """What raises this whenever it is called, with whatever."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


class FakeProfile(Profile, frozen=True):
    """A profile with nothing of its own."""

    provider: Literal["fake"] = "fake"
    required_variables: ClassVar[tuple[str, ...]] = ("FAKE_KEY",)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        if not environ.get("FAKE_KEY"):
            raise ConfigError("set FAKE_KEY")
        return cls(name="fake")


class FakeBody:
    """A response in memory, for both kinds of client. Counts how often it was closed."""

    def __init__(self, head: Head, reads: Sequence[bytes | BaseException]) -> None:
        self.head = head
        self.reads = reads
        self.taken = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for item in self.reads:
            self.taken += 1
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        self.closed += 1


class FakeAsyncBody:
    """`FakeBody` for async code."""

    def __init__(self, body: FakeBody) -> None:
        self.head = body.head
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self._body:
            yield data

    async def close(self) -> None:
        self._body.close()


class FakeAdapter:
    """Answers every request with the same reads; an exception among them is raised there."""

    provider: ClassVar[str] = "fake"
    profile_type: ClassVar[type[Profile]] = FakeProfile

    def __init__(self, profile: Any = None, *, http_client: Any = None) -> None:
        self.profile = profile
        self.http_client = http_client
        self.requests: list[Request] = []
        self.reads: Sequence[bytes | BaseException] = [HELLO]
        self.refusal: BaseException | None = None
        self.head = Head(status=200, request_ids={"x-request-id": "req_1"})
        self.body = FakeBody(self.head, ())
        self.closed = 0

    @classmethod
    def of(
        cls,
        *reads: bytes | BaseException,
        refusal: BaseException | None = None,
        size: int | None = None,
    ) -> FakeAdapter:
        """An adapter with this behaviour; `size` splits the one body that is given."""
        made = cls()
        if reads:
            made.reads = reads
        if size is not None:
            whole = made.reads[0]
            assert isinstance(whole, bytes)
            made.reads = cut(whole, size)
        made.refusal = refusal
        return made

    def target(self, model: str) -> Target:
        return Target(endpoint="fake.test", deployment=f"{model}-deployment")

    def open(self, request: Request) -> FakeBody:
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.body = FakeBody(self.head, self.reads)
        return self.body

    async def aopen(self, request: Request) -> FakeAsyncBody:
        return FakeAsyncBody(self.open(request))

    def decoder(self, head: Head) -> ChatDecoder:
        return ChatDecoder(head)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1
