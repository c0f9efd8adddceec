"""Secrets by kind, times the places where they stand: what one side catches, the other does too."""

from __future__ import annotations

import base64
import json
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from detect_secrets.plugins import (
    aws,
    azure_storage_key,
    discord,
    github_token,
    sendgrid,
    slack,
    square_oauth,
    stripe,
    twilio,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from usagestream_adapters.cassettes.check import check_file
from usagestream_adapters.cassettes.leaks import leaks
from usagestream_adapters.cassettes.scrub import (
    clean_request,
    clean_response,
    note_request,
    note_response,
)
from usagestream_adapters.cassettes.secrets import Secrets, is_placeholder
from usagestream_adapters.cassettes.vcr import Request, serialize, yaml_format

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def _of(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


random = _of(r"[a-z]{3}[A-Z]{2}[0-9][A-Za-z0-9]{10,30}").filter(
    lambda text: not is_placeholder(text)
)
"""A credential without a shape."""

KINDS: dict[str, st.SearchStrategy[str]] = {
    "github_pat": _of(r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{40}"),
    "gitlab": _of(r"glpat-[A-Za-z0-9]{20}"),
    "stripe": _of(r"sk_live_[A-Za-z0-9]{24}"),
    "pypi": _of(r"pypi-[A-Za-z0-9]{60}"),
    "slack": _of(r"xoxb-[0-9]{12}-[A-Za-z0-9]{20}"),
    "account key": st.binary(min_size=64, max_size=64).map(
        lambda data: "AccountKey=" + base64.b64encode(data).decode()
    ),
    "shared access key": random.map("Endpoint=sb://a/;SharedAccessKey={}".format),
    "connection string": random.map("Server=db;User Id=sa;Password={};Encrypt=yes".format),
    "PEM": st.text(ALNUM + "+/", min_size=64, max_size=200)
    .filter(lambda text: not is_placeholder(text))
    .map("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----".format),
    "password=": random.map("password={}".format),
    "pwd": random.map("and pwd={} then".format),
    "userinfo": random.map("postgresql://app:{}@db.internal/main".format),
    "user only": random.map("https://{}@git.internal/x.git".format),
    "hex key": _of(r"[0-9a-f]{15}[a-f][0-9][0-9a-f]{15}"),
    "HEX key": _of(r"[0-9A-F]{15}[A-F][0-9][0-9A-F]{15}"),
    "e-mail": _of(r"[a-z]{2,9}\.[a-z]{2,9}@[a-z]{3,9}\.(com|io|co\.uk)"),
    "guid": st.uuids(version=4).map(str),
    "GUID": st.uuids(version=4).map(lambda one: str(one).upper()),
    "basic": random.map(
        lambda secret: "Basic " + base64.b64encode(f"user:{secret}".encode()).decode()
    ),
    "sas": random.map("https://a.blob.core.windows.net/c?sv=2024&sig={}".format),
    "amz": random.map("https://b.s3/x?X-Amz-Date=2026&X-Amz-Signature={}".format),
    "user_token": random.map("https://h/x?user_token={}".format),
    "header": random.map("X-Custom-Auth: {}".format),
    "json": random.map(lambda secret: json.dumps({"userToken": secret})),
    "json in json": random.map(lambda secret: json.dumps(json.dumps({"client_secret": secret}))),
}


def _answer(text: str) -> bytes:
    return json.dumps({"error": {"message": text}}).encode()


def _frame(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def _nested(text: str) -> bytes:
    call = {"arguments": json.dumps({"said": text})}
    return json.dumps({"choices": [{"message": {"tool_calls": [{"function": call}]}}]}).encode()


def _text(text: str) -> bytes:
    return text.encode()


PLACES: dict[str, Callable[[str], bytes]] = {
    "answer": _answer,
    "frame": _frame,
    "nested": _nested,
    "text": _text,
}


def _response(body: bytes, headers: dict[str, list[str]] | None = None) -> dict[str, Any]:
    return {
        "status": {"code": 200, "message": "OK"},
        "headers": {"Content-Type": ["text/plain"], **(headers or {})},
        "body": {"string": body},
    }


def _request(uri: str = "https://h/x", headers: dict[str, str] | None = None) -> Any:
    return Request("POST", uri, b"", headers or {})


def recorded(request: Any, response: dict[str, Any], environ: dict[str, str]) -> str | None:
    """Scrub an exchange as both recorders do; `None` where it is refused."""
    secrets = Secrets(environ)
    note_request(request, secrets)
    note_response(response, secrets)
    asked, answered = clean_request(request, secrets), clean_response(response, secrets)
    if next(leaks([asked], [answered], secrets), None) is not None:
        return None
    return str(serialize({"requests": [asked], "responses": [answered]}, yaml_format))


def checked(text: str, environ: dict[str, str]) -> list[str]:
    """What the check finds in a cassette."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "one.yaml"
        file.write_text(text, "utf-8")
        return [str(finding) for finding in check_file(file, environ)]


def plain(request: Any, response: dict[str, Any]) -> str:
    """What plain vcrpy writes."""
    return str(serialize({"requests": [request], "responses": [response]}, yaml_format))


def core(secret: str) -> str:
    """The part that must not be seen: its longest run of what secrets are made of."""
    runs = "".join(each if each in ALNUM + "-" else " " for each in secret).split()
    return max(runs, key=len)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=3)
@given(data=st.data())
def test_a_secret_is_caught_by_its_kind(kind: str, place: str, data: st.DataObject) -> None:
    """The recorders write nothing of it, and the check finds it, but not in what they wrote."""
    secret = data.draw(KINDS[kind])
    assume(not is_placeholder(core(secret)))  # such as FAKE, of which few are made by chance
    body = PLACES[place](f"It was {secret} today")
    written = recorded(_request(), _response(body), {})
    assert written is not None
    assert core(secret) not in json.dumps(yaml.safe_load(written))
    assert checked(plain(_request(), _response(body)), {})
    assert checked(written, {}) == []


def test_a_word_that_a_key_has_by_chance_does_not_hide_it() -> None:
    """A private key is long enough to have FAKE in it, in some case."""
    lines = "\n".join("Zm9vYmFyIGJhcg" * 4 for _ in range(24)).replace("9v", "FakE", 1)
    key = f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----"
    assert checked(plain(_request(), _response(_answer(key))), {})
    assert checked(plain(_request(), _response(_answer(f"AccountKey={'FakE' * 22}=="))), {}) == []


@pytest.mark.parametrize(
    "name",
    ["X-Custom-Auth", "x-functions-key", "Api-Key", "X-Amz-Security-Token", "X-Vendor-Secret",
     "X-Session-Token", "Ocp-Apim-Subscription-Key", "x-auth-request", "X-Goog-Credential"],
)  # fmt: skip
@settings(deadline=None, max_examples=3)
@given(secret=random)
def test_a_header_is_secret_by_its_name(name: str, secret: str) -> None:
    """Where it stands, and where it is echoed in any spelling."""
    spelled = [secret, secret.encode().hex(), base64.b64encode(f"u:{secret}".encode()).decode()]
    for echo in spelled:
        request = _request(headers={name: secret})
        response = _response(_answer(f"You sent {echo}!"))
        written = recorded(request, response, {})
        assert written is not None
        assert echo.strip("=")[4:-4] not in written
    found = checked(plain(_request(headers={name: secret}), _response(b"")), {})
    assert any(f"the value of {name.lower()}" in each for each in found)


@settings(deadline=None, max_examples=10)
@given(secret=random)
def test_a_header_of_the_users_own_is_learnt(secret: str) -> None:
    """Whatever it is called, if its value looks random."""
    request = _request(
        headers={"X-Tenant-Thing": secret, "User-Agent": "openai/3.54.0 CPython/3.11.9"}
    )
    written = recorded(request, _response(_answer(f"no {secret}, openai/3.54.0")), {})
    assert written is not None
    assert secret not in written
    assert "openai/3.54.0" in written


@pytest.mark.parametrize(
    "name",
    ["user_token", "X-Amz-Signature", "X-Amz-Credential", "sig", "code", "key", "access_token",
     "apikey", "token", "Signature", "client_secret", "auth"],
)  # fmt: skip
@settings(deadline=None, max_examples=3)
@given(secret=random)
def test_a_parameter_is_secret_by_its_name(name: str, secret: str) -> None:
    """In the address, and where the answer repeats it."""
    request = _request(f"https://h/x?a=1&{name}={quote(secret, safe='')}")
    written = recorded(request, _response(_answer(f"no {secret}")), {})
    assert written is not None
    assert secret not in written
    assert checked(plain(request, _response(b"")), {})


@settings(deadline=None, max_examples=20)
@given(
    secret=st.text(ALNUM + "+/=\"'\\% é", min_size=12, max_size=40).map("7q{}Zk9".format),
    variable=st.sampled_from(["MY_TOKEN", "PGPASSWORD", "AZURE_CLIENT_SECRET", "APIKEY"]),
)
def test_a_value_of_the_environment_is_caught_in_every_spelling(secret: str, variable: str) -> None:
    """Quoted, escaped, encoded: by both sides."""
    environ = {variable: secret}
    for echo in (
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        secret.encode().hex(),
        base64.b64encode(secret.encode()).decode(),
    ):
        response = _response(f"It was {echo} today".encode())
        written = recorded(_request(), response, environ)
        assert (
            written is None
            or echo not in yaml.safe_load(written)["interactions"][0]["response"]["body"]["string"]
        )
        assert any(variable in each for each in checked(plain(_request(), response), environ))


def test_a_password_in_an_address_of_the_environment_is_known() -> None:
    """Whatever the variable is called."""
    secrets = Secrets(
        {"DATABASE_URL": "postgresql://app:horse-battery@db/main", "ODD": "http://[x"}
    )
    assert secrets.scrub("it is horse-battery") == "it is EXAMPLE"


TOKEN = ALNUM + "-_.~+/=:"
SCANNERS = [
    aws.AWSKeyDetector,
    azure_storage_key.AzureStorageKeyDetector,
    discord.DiscordBotTokenDetector,
    github_token.GitHubTokenDetector,
    sendgrid.SendGridDetector,
    slack.SlackDetector,
    square_oauth.SquareOAuthDetector,
    stripe.StripeDetector,
    twilio.TwilioKeyDetector,
]


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda each: str(each.secret_type))
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_what_a_kept_scanner_knows_is_known_here(scanner: Any, data: st.DataObject) -> None:
    """Its rules make up the secrets; those whose shape is a token's, and not any word by a name."""
    pattern = scanner.denylist[0]
    secret = data.draw(st.from_regex(pattern.pattern, fullmatch=True, alphabet=TOKEN))
    secrets = Secrets({})
    assert list(secrets.find(f"it was {secret} today"))
    assert not pattern.search(secrets.scrub(f"it was {secret} today"))


ORDINARY = [
    "Basic understanding of authentication: tokens, keys and passwords.",
    '{"max_tokens": 10, "prompt_cache_key": "route-1234-customers", "token": "Two1Three"}',
    '{"logprobs": [{"token": "Hello1World", "bytes": [72]}]}',
    '{"id": "0123456789abcdef0123456789abcdef", "object": "chat.completion"}',
    '{"id": "chatcmpl-b54c294ebfd60203da770a08fc84abcd", "system_fingerprint": "fp_27bebe765c"}',
    '{"id": "8f14e45f-ceea-467f-a0e6-00d8b5b0d1aa", "object": "chat.completion.chunk"}',
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "See https://example.com/a?b=c&page_token=abcdef12345 or mail someone@example.com.",
    "Authorization: the process of deciding who may do what.",
    "x = y; key = value; password = input()",
    "git clone git@github.com:openai/openai-python.git",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "The basic idea: use a key-value store. Token counts are 12345678.",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Words about secrets are none, nor are ids that a service gives its answers."""
    secrets = Secrets({})
    assert list(secrets.find(text)) == []
    assert secrets.scrub(text) == text


def test_different_guids_stay_different() -> None:
    """A placeholder for each, the same wherever it stands; scrubbed again they stay."""
    one, two = "8f14e45f-ceea-467f-a0e6-00d8b5b0d1aa", "9f14e45f-ceea-467f-a0e6-00d8b5b0d1ab"
    secrets = Secrets({})
    once = secrets.scrub(f"{one} {two} {one.upper()}")
    zero = "00000000-0000-0000-0000-00000000000"
    assert once == f"{zero}0 {zero}1 {zero}0"
    assert secrets.scrub(once) == once
    assert secrets.scrub(f"{once} {two}") == f"{once} {zero}2"
