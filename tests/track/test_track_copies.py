"""What a tracked client keeps of the client that it was made of, and what is said of the rest."""

# What the SDK keeps on a client has no static type.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any

import openai
import pytest

from usagestream import UsageRecord
from usagestream_adapters.track import track
from usagestream_adapters.track._copying import copied
from usagestream_adapters.track.http import is_metered

from .test_track_decoded_once import EVENTS, USAGE
from .test_track_objects import client_for

ASK: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
DONE = b"data: [DONE]\n\n"


class Sub(openai.OpenAI):
    """A client as other libraries derive them: with something of its own, and a resource."""

    def __init__(self, own: Any = None, **how: Any) -> None:
        super().__init__(**how)
        self._own = own
        self._notes = ["default"]
        self._helper = Helper(self)


class SubOfAzure(openai.AzureOpenAI):
    """The same for Azure."""

    def __init__(self, own: Any = None, **how: Any) -> None:
        super().__init__(**how)
        self._own = own


class Helper:
    """What belongs to one client."""

    def __init__(self, client: Any) -> None:
        self._client = client


def test_what_a_subclass_keeps() -> None:
    """Its own is carried over; what belongs to the client given is not; the SDK's is the copy's."""
    client = client_for([], kind=Sub, own="own")
    client._notes = ["changed"]
    client.chat.completions  # noqa: B018 - made on first use, and kept
    for made in (tracked := track(client), tracked.with_options(max_retries=7)):
        assert (type(made), made._own, made._notes) == (Sub, "own", ["changed"])
        assert made._helper._client is made
        assert made.chat.completions._client is made
        assert is_metered(made._client)
    assert made.max_retries == 7


def test_what_a_subclass_for_azure_keeps() -> None:
    """Its SDK takes an address of another kind."""
    client = SubOfAzure(
        own="own", api_key="k", api_version="2025-03-01-preview", azure_endpoint="http://a.test"
    )
    made: Any = track(client)
    assert (made._own, made._azure_endpoint) == ("own", client._azure_endpoint)
    assert made._api_version == client._api_version


def test_what_its_user_put_on_a_client() -> None:
    """An attribute of the user's own, and settings that the SDK's `copy` forgets."""
    client = client_for([])
    client.purpose = "search"
    client._strict_response_validation = True
    client._idempotency_header = "Idempotency-Key"
    for made in (tracked := track(client), tracked.with_options(timeout=1)):
        assert made.purpose == "search"
        assert made._strict_response_validation is True
        assert made._idempotency_header == "Idempotency-Key"


def test_credentials_in_the_headers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that was made without a key can be tracked without one; early SDKs make none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    client: Any = openai.OpenAI
    can = "_enforce_credentials" in inspect.signature(client.copy).parameters
    bare = client(
        base_url="http://server.test/v1",
        default_headers={"Authorization": "Bearer k"},
        **({"_enforce_credentials": False} if can else {"api_key": "k"}),
    )
    assert track(bare).with_options(max_retries=0).default_headers["Authorization"] == "Bearer k"


def test_a_copy_function_of_an_early_sdk() -> None:
    """It is not told of credentials, which it does not know."""
    client = client_for([])
    asked: list[dict[str, Any]] = []

    def copy(*, base_url: str) -> Any:
        asked.append({"base_url": base_url})
        return client.copy(base_url=base_url)

    assert str(copied(client, copy, {"base_url": "http://b.test"}).base_url) == "http://b.test"
    assert asked == [{"base_url": "http://b.test"}]


@pytest.mark.parametrize("name", ["copy", "with_options", "request"])
def test_a_method_shows_the_sdks_signature(asynchronous: bool, name: str) -> None:
    """For tools that read it."""
    client = client_for([], asynchronous=asynchronous)
    shown = inspect.signature(getattr(track(client), name))
    assert shown == inspect.signature(getattr(client, name))


@pytest.mark.parametrize("path", ["request", "post", "chat.completions.create", "responses.create"])
def test_what_was_replaced_on_an_instance_is_named(path: str) -> None:
    """Instrumentation of one client cannot come along, and does not vanish without a word."""
    client = client_for([EVENTS[0], DONE])
    *way, name = path.split(".")
    owner = client
    for step in way:
        owner = getattr(owner, step)
    setattr(owner, name, print)
    with pytest.warns(UserWarning, match=rf"^{path} of this client was replaced"):
        tracked = track(client)
    assert len(list(tracked.chat.completions.create(**ASK))) == 1


def test_nothing_is_said_of_a_client_that_was_used() -> None:
    """Its resources are there by then, as the SDK made them."""
    client = client_for([EVENTS[0], DONE])
    list(client.chat.completions.create(**ASK))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        track(client)


@pytest.mark.parametrize("hide", [True, False])
def test_usage_that_is_sent_unasked_can_be_shown(hide: bool) -> None:
    """It looks as what was asked for: the caller knows his server."""
    records: list[UsageRecord] = []
    client = client_for([EVENTS[0], EVENTS[4], DONE])
    tracked = track(client, on_record=records.append, hide_usage=hide)
    for made in (tracked, tracked.with_options(max_retries=1)):
        items = list(made.chat.completions.create(**ASK))
        assert len(items) == (1 if hide else 2)
    assert [record.wire_usage for record in records] == [USAGE, USAGE]
    sent = json.loads(items[0].to_json())
    assert "usage" not in sent
