"""No secret leaves us, however a server, a format or an address spells it."""

from __future__ import annotations

import base64
import json
import re
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from itertools import cycle
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai import OpenAI
from tests._support.chat import body, choice, event, frame
from tests._support.sdk_http import http

from usagestream import (
    AzureProfile,
    Client,
    ConfigError,
    OpenAIProfile,
    Outcome,
    UsageRecord,
    UsageStreamError,
    track,
)
from usagestream_core.masking import Mask, shown_address

KEY = "sk-abcdef/123+456'789"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in JSON": lambda secret: json.dumps({"key": secret}),
    "in JSON, unescaped": lambda secret: json.dumps({"key": secret}, ensure_ascii=False),
    "repr": repr,
    "repr of bytes": lambda secret: repr(secret.encode()),
    "in an address": lambda secret: quote(secret, safe=""),
    "in a query": quote_plus,
    "hex": lambda secret: secret.encode().hex(),
    "Basic": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "Basic, other name": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "Basic, third place": lambda secret: base64.b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=12, max_size=40))
def test_every_spelling_is_covered(spelling: str, secret: str) -> None:
    """Something of the text is covered, and the secret cannot be read out of what is left."""
    text = SPELLINGS[spelling](secret)
    covered = Mask.of((secret,)).text(f"<{text}>")
    assert "***" in covered
    assert text not in covered
    assert len(covered) < len(text)


EACH: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda each: f"\\u{ord(each):04X}",
    "JSON, escaped again": lambda each: f"\\\\u{ord(each):04x}",
    "JavaScript": lambda each: f"\\u{{{ord(each):x}}}",
    "a character beyond": lambda each: f"\\U{ord(each):08x}",
    "a byte": lambda each: f"\\x{ord(each):02x}",
    "octal": lambda each: f"\\{ord(each):03o}",
    "an address": lambda each: f"%{ord(each):02X}",
    "an address, escaped again": lambda each: f"%2525{ord(each):02x}",
    "HTML": lambda each: f"&#{ord(each)};",
    "HTML, hex": lambda each: f"&amp;#x{ord(each):x};",
    "upper case": str.upper,
    "folded": lambda each: f"{each}\r\n ",
    "folded in JSON": lambda each: f"{each}\\n",
    "spread": lambda each: f"{each}\u200b",
    "in quotes": lambda each: f"'{each}'",
}
ODD = "\"'\\%&"
"""What quoting drops, and what escapes begin with."""


@given(
    secret=st.just("000000000}")
    | st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=ODD), min_size=8
    ),
    how=st.lists(st.sampled_from(list(EACH)), min_size=1, max_size=40),
)
@example(secret="sk-a}bcdefgh", how=["as it is", "as it is", "as it is", "JSON"])
def test_each_character_in_a_spelling_of_its_own(secret: str, how: list[str]) -> None:
    """A secret is found though each character is written in another way, or escaped twice."""
    text = "".join(EACH[name](each) for each, name in zip(secret, cycle(how), strict=False))
    covered = Mask.of((secret,)).text(f"<{text}> and more")
    assert re.fullmatch(r"<'?\*{3}(\r\n |\\n|\u200b|')?> and more", covered)


@pytest.mark.parametrize("name", [*EACH][1:-3])
@pytest.mark.parametrize(
    "secret", ["sk-%41%2fabc%%123456", "sk-\\back\\x41\\1234", "sk-<a>&b;c&amp;d12"]
)
def test_a_secret_that_looks_like_escapes(secret: str, name: str) -> None:
    """It is found as it is, and with each of its characters written in another way."""
    for text in (secret, "".join(map(EACH[name], secret))):
        covered = Mask.of((secret,)).text(f"<{text}> and more")
        assert re.sub(r"[\s\u200b]", "", covered) == "<***>andmore"


@pytest.mark.parametrize("named", ["&quot;", "&amp;", "&lt;", "&gt;", "&apos;", "&amp;lt;"])
def test_characters_that_html_has_names_for(named: str) -> None:
    """They are read as what they stand for."""
    assert (
        Mask.of((f"secret{unescape(unescape(named))}secret",)).text(f"a secret{named}secret b")
        == "a *** b"
    )


@pytest.mark.parametrize("escape", ["&#9999999;", "\\Uffffffff"])
def test_an_escape_that_stands_for_nothing(escape: str) -> None:
    """Hides nothing."""
    assert Mask.of(("secret-secret",)).text(f"secret-{escape}secret") == "***"


def test_a_text_that_was_cut_within_a_secret() -> None:
    """What is left of it is covered; what all secrets begin with is not."""
    mask = Mask.of(("sk-proj-abcdefghijklmnop",))
    assert mask.text("a frame: sk-proj-abcdefgh") == "a frame: ***"
    assert mask.text("a frame: sk-proj-abcd\\u00") == "a frame: ***"
    assert mask.text("keys begin with sk-proj-") == "keys begin with sk-proj-"
    assert mask.text("sk-proj-abcdef is no secret") == "sk-proj-abcdef is no secret"


def test_what_is_found_twice_is_covered_once() -> None:
    """In one place by two of its forms, and in two places."""
    mask = Mask.of(("secret-secret", "the-secret-secret-word"))
    assert mask.text("a THE-secret-secret-WORD, SECRET-secret.") == "a ***, ***."


@pytest.mark.parametrize("odd", ["\\", "%25", "&amp;", "\\u0041", "sk-proj-", "\u00e9", "%", "&#0"])
def test_masking_takes_no_time(odd: str) -> None:
    """Nor does a text that is made to be hard to read."""
    began = time.perf_counter()
    Mask.of(("sk-proj-abcdefghijklmnop",)).text(odd * (65536 // len(odd)))
    assert time.perf_counter() - began < 2


def test_a_secret_that_was_cut_by_a_newline() -> None:
    """Each of its lines is one."""
    assert Mask.of(("first-part\nsecond-part",)).text("x second-part first-part") == "x *** ***"


def test_what_is_no_secret_stays() -> None:
    """What is short garbles nothing, and no secret at all covers nothing."""
    assert Mask.of(("short",)).text("a short text") == "a short text"
    assert Mask.of(()).value({"a": [1, None, "b"]}) == {"a": [1, None, "b"]}


def test_what_is_nested_without_end() -> None:
    """It is covered where it gets too deep."""
    deep: Any = KEY
    for _ in range(100):
        deep = [deep]
    assert KEY not in json.dumps(Mask.of((KEY,)).value(deep))


def escaped(text: str) -> str:
    """A text with every character escaped, as JSON allows."""
    return "".join(f"\\u{ord(each):04x}" for each in text)


HI = event(frame(choice(content="Hi")))
STREAM = {"content-type": "text/event-stream"}
ECHOES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "error frame": (200, STREAM, HI + event({"error": {"message": KEY, "code": KEY}})),
    "escaped error frame": (200, STREAM, HI + f'data: {{"error":"{escaped(KEY)}"}}\n\n'.encode()),
    "no stream": (200, {"content-type": "text/html"}, f"<p>{KEY}</p>".encode()),
    "unreadable frame": (200, STREAM, HI + f"data: {KEY}\n\n".encode()),
    "request id": (200, {**STREAM, "x-request-id": KEY}, HI),
    "response id": (200, STREAM, event({**frame(choice(content="Hi")), "id": KEY, "model": KEY})),
    "usage": (200, STREAM, body(frame(usage={"prompt_tokens": 1, "note": KEY}))),
    "finish reason": (200, STREAM, event(frame(choice(finish=KEY)))),
    "any header": (
        200,
        dict.fromkeys(
            (
                *("x-request-id", "apim-request-id", "x-ms-region", "openai-model", "retry-after"),
                *("x-ms-deployment-name", "x-ms-spillover-from-deployment", "openai-version"),
            ),
            KEY,
        )
        | STREAM,
        HI,
    ),
    "tier": (200, STREAM, event(frame(choice(content="Hi"), service_tier=KEY, usage=KEY))),
    "refusal": (400, {}, json.dumps({"error": {"message": KEY, "code": KEY}}).encode()),
    "escaped refusal": (401, {}, f'{{"error":{{"message":"{escaped(KEY)}"}}}}'.encode()),
    "refusal in text": (403, {"apim-request-id": KEY}, KEY.encode()),
}


def assert_hidden(*texts: str) -> None:
    """No text has the key, or the part of it that every spelling leaves as it is."""
    assert [text for text in texts if "abcdef" in text] == []


@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_echoes_the_key(echo: str) -> None:
    """It stands in no record, no error and no traceback."""
    status, headers, content = ECHOES[echo]
    records: list[UsageRecord] = []

    def answer(_: Any) -> Any:
        return http.Response(status, headers=headers, content=content)

    profile = OpenAIProfile(api_key=KEY, base_url="http://server.test/v1", max_retries=0)
    transport = http.Client(transport=http.MockTransport(answer))
    with Client(profile, on_record=records.append, http_client=transport) as client:
        error: BaseException | None = None
        try:
            client.stream(**ASK).drain()
        except UsageStreamError as exc:
            error = exc
    trace = "".join(traceback.format_exception(error))
    assert_hidden(str(error), repr(error), trace, repr(getattr(error, "__dict__", None)))
    assert len(records) == 1
    assert_hidden(records[0].model_dump_json(), repr(records[0]))


@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_echoes_the_key_of_a_tracked_client(echo: str) -> None:
    """The record does not have it; what the SDK raises is the SDK's."""
    status, headers, content = ECHOES[echo]
    records: list[UsageRecord] = []

    def answer(_: Any) -> Any:
        return http.Response(status, headers=headers, content=content)

    sdk = OpenAI(
        api_key="other-key",
        base_url="http://server.test/v1",
        max_retries=0,
        default_headers={"x-key": KEY},
        http_client=http.Client(transport=http.MockTransport(answer)),
    )
    client = track(sdk, on_record=records.append)
    with suppress(Exception):  # whatever the SDK makes of it
        for _ in client.chat.completions.create(**ASK, stream=True):
            pass
    assert len(records) == 1
    assert_hidden(*(record.model_dump_json() for record in records))


@pytest.mark.parametrize("around", ["{}\n", " {}", "\t{}\r\n"])
def test_white_space_around_a_key_is_dropped(around: str) -> None:
    """As it comes along when a key is copied or read from a file."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.headers["authorization"])
        return http.Response(200, headers=STREAM, content=HI)

    transport = http.Client(transport=http.MockTransport(answer))
    profile = OpenAIProfile(api_key=around.format(KEY), headers={"x-gateway": around.format("g")})
    with Client(profile, http_client=transport) as client, client.stream(**ASK) as stream:
        next(stream)
    assert seen == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("\n", "control character 0x0a"),
        ("\u2013", "EN DASH"),
        ("\u200b", "ZERO WIDTH SPACE"),
        ("\ufeff", "ZERO WIDTH NO-BREAK SPACE"),
        ("\x7f", "control character 0x7f"),
    ],
)
def test_a_key_that_cannot_be_sent(bad: str, named: str) -> None:
    """The setting and the character are named, the key is not, and nothing is sent."""
    key = f"sk-abcdef{bad}123456"
    made: list[Any] = [
        lambda: Client(OpenAIProfile(api_key=key)),
        lambda: Client(OpenAIProfile(api_key="good-enough", headers={"x-key": key})),
        lambda: Client(AzureProfile(endpoint="https://x.openai.azure.com", api_key=key)),
        lambda: Client(AzureProfile(endpoint="https://x.openai.azure.com", ad_token=key)),
    ]
    for make in made:
        with pytest.raises(ConfigError, match=named) as caught:
            make()
        assert_hidden(str(caught.value))


def test_a_function_that_gives_a_key_that_cannot_be_sent() -> None:
    """It is the function that is blamed."""
    records: list[UsageRecord] = []
    profile = OpenAIProfile(api_key=lambda: "sk-abcdef\n123")
    with (
        Client(profile, on_record=records.append) as client,
        pytest.raises(UsageStreamError, match="control character 0x0a") as caught,
    ):
        client.stream(**ASK).drain()
    assert_hidden(str(caught.value), "".join(traceback.format_exception(caught.value)))
    assert records[0].outcome is Outcome.REJECTED


def test_a_password_in_an_address_is_not_shown() -> None:
    """A profile that is printed does not have it."""
    profile = OpenAIProfile(api_key=KEY, base_url="https://me:abcdefghij@gateway.test/v1")
    assert_hidden(repr(profile), str(profile))
    assert "https://***@gateway.test/v1" in repr(profile)


def test_all_that_an_exception_came_from_is_covered() -> None:
    """Its cause and its context, the exceptions of a group, and what each of them keeps."""
    cause = ValueError("cause", (KEY, [KEY, (KEY,)]))
    cause.add_note(f"asked with {KEY}")
    context = OSError(2, f"no {KEY}", KEY)
    group = ExceptionGroup("several", [LookupError(KEY), ExceptionGroup("more", [KeyError(KEY)])])
    error = RuntimeError(KEY)
    error.__cause__, error.__context__ = cause, context
    context.__context__, cause.__context__ = group, error
    Mask.of((KEY,)).error(error)
    assert_hidden(*traceback.format_exception(error), *traceback.format_exception(group))
    assert_hidden(str(context), context.filename)
    assert cause.args == ("cause", ("***", ["***", ("***",)]))


def test_what_cannot_be_changed_of_an_exception_stays() -> None:
    """An attribute that cannot be set is no reason to fail."""

    class FixedError(Exception):
        """With a message of its own."""

        @property
        def message(self) -> str:
            """Not to be set."""
            return KEY

    Mask.of((KEY,)).error(FixedError())


def test_a_token_is_covered_whose_ever_it_is() -> None:
    """It is known by its looks, also where the secrets are not known."""
    token = "eyJhbGciOi.eyJhdWQi.c2lnbmF0dXJl"
    assert Mask.of(()).value({"said": [f"got {token}."]}) == {"said": ["got ***."]}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:pw@host.test:8/v1", "https://***@host.test:8/v1"),
        ("https://me:p@w@host.test/v1", "https://***@host.test/v1"),
        ("https://me:p/w@host.test/v1", "https://***@host.test/v1"),
        ("https://me:p?w@host.test/v1", "https://***@host.test/v1"),
        ("https://token@host.test", "https://***@host.test"),
        ("me:pw@host.test", "***@host.test"),
        ("https://host.test/v1?key=pw&api-version=v1&pw#pw", "https://host.test/v1?key=***&api-version=v1&***#***"),
        ("host.test?key=a@b=c", "host.test?key=***"),
        ("https://host.test:8/a/b?x=", "https://host.test:8/a/b?x="),
        ("https://host.test/a/@me", "https://host.test/a/@me"),
        ("what is no address", "what is no address"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_what_may_be_secret(address: str, shown: str) -> None:
    """User and query are covered, also where nobody can tell what they are."""
    assert shown_address(address) == shown


@example(secret="00000://", where="https://me:{}@host.test/v1")
@example(secret="00000://", where="me:{}@host.test")
@given(
    secret=st.text("abcXYZ019-._~!$&'()*+,;=:@/?", min_size=8, max_size=20),
    where=st.sampled_from(["https://me:{}@host.test/v1", "me:{}@host.test", "//host.test/v1?k={}"]),
)
def test_no_address_shows_its_secret(secret: str, where: str) -> None:
    """Whatever it is made of, and escaped or not; also in the `repr` of a profile."""
    for written in (secret, quote(secret, safe="")):
        if "?" in where and re.search(r"&[^&=]+=", written):
            continue  # what is written so is the name of another parameter
        address = where.format(written)
        parts = {part for part in re.split(r"[&=]", written) if len(part) > 7}
        for shown in (shown_address(address), repr(OpenAIProfile(base_url=address))):
            assert [part for part in parts if part in shown] == []
