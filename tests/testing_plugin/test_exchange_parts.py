"""What single parts of an exchange become, where no service would send them so."""

from __future__ import annotations

import base64
import gzip
import importlib
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests._support.sdk_http import client_of, http

from usagestream_adapters.cassettes import vcr as _vcr
from usagestream_adapters.cassettes import yaml as _yaml
from usagestream_adapters.cassettes.addresses import describe_origin, read_address
from usagestream_adapters.cassettes.leaks import leaks
from usagestream_adapters.cassettes.match import body_differences
from usagestream_adapters.cassettes.scrub import (
    clean_request,
    clean_response,
    clean_uri,
    decompressed,
    note_request,
)
from usagestream_adapters.cassettes.secrets import Secrets

KEY = "sk-proj-Zx81kfLq0934mnbvPoiu"


class Request:
    """What this package uses of vcrpy's request."""

    def __init__(self, method: str, uri: str, body: Any, headers: dict[str, Any]) -> None:
        self.method = method
        self.uri = uri
        self.body_bytes = body
        self.headers = headers


def request_of(body: Any, uri: str = "https://a/", **headers: str) -> Request:
    """Make a request."""
    return Request("POST", uri, body, {k.replace("_", "-"): v for k, v in headers.items()})


def response_of(body: Any, encoding: str | None = None, **more: Any) -> dict[str, Any]:
    """Make a response as vcrpy keeps one."""
    headers = {} if encoding is None else {"Content-Encoding": [encoding]}
    status = {"code": 200, "message": None}
    return {"status": status, "headers": headers, "body": {"string": body}, **more}


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("http://127.0.0.1:9/v1/models", "https://api.openai.com/v1/models"),
        (
            "http://localhost:9/openai/v1/models",
            "https://example.openai.azure.com/openai/v1/models",
        ),
        ("http://127.0.0.1:9/search?q=1", "http://127.0.0.1:9/search?q=1"),
        ("https://me:secret@example.com/a", "https://example.com/a"),
        ("https://Contoso.Services.AI.Azure.com/x", "https://example.services.ai.azure.com/x"),
        ("https://contoso.azure-api.net/v1/", "https://example.azure-api.net/v1/"),
        ("https://example.com/a?sig=12345678&b=", "https://example.com/a?sig=EXAMPLE&b="),
        (f"https://example.com/{KEY}", "https://example.com/sk-EXAMPLE"),
    ],
)
def test_addresses_as_they_are_kept(uri: str, kept: str) -> None:
    """The services' own stand for local servers and for resources; nothing else is renamed."""
    assert clean_uri(uri, Secrets({})) == kept


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://contoso.openai.azure.com/openai/v1/models", "Azure OpenAI"),
        ("https://api.openai.com/v1/models", "api.openai.com"),
        ("http://[::1]:9/v1/models", "a local server"),
    ],
)
def test_who_answers_is_said_without_a_name(uri: str, said: str) -> None:
    """A cassette says where it is from, and not whose."""
    assert describe_origin(uri) == said


def test_the_host_counts_where_it_is_no_service_of_ours() -> None:
    """Any host answers alike for OpenAI's paths, and for no other."""
    assert read_address("https://a/v1/models") == read_address("https://b/v1/models")
    assert read_address("https://a/models") != read_address("https://b/models")


def test_a_password_in_an_address_is_a_secret() -> None:
    """Wherever it comes up again."""
    secrets = Secrets({})
    note_request(request_of(b"", "https://me:hunter2hunter2@a/"), secrets)
    assert secrets.scrub("it is hunter2hunter2.") == "it is EXAMPLE."


def test_a_body_that_aiohttp_makes_json_of() -> None:
    """Vcrpy keeps the object; here it becomes what is sent."""
    assert clean_request(request_of({"a": "é"}), Secrets({})).body_bytes == '{"a":"é"}'.encode()


def test_a_compressed_request_is_kept_plain() -> None:
    """So that it can be searched, read and matched."""
    body = gzip.compress(f"key: {KEY}".encode())
    kept = clean_request(request_of(body, content_encoding="gzip"), Secrets({}))
    assert (kept.body_bytes, kept.headers) == (b"key: sk-EXAMPLE", {})
    unknown = clean_request(request_of(b"\x00", content_encoding="zstd"), Secrets({}))
    assert unknown.headers == {"content-encoding": "zstd"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_a_compressed_response_is_kept_plain(encoding: str) -> None:
    """Of a body that was cut, what there is."""
    packed = {"gzip": gzip.compress(b"text"), "deflate": zlib.compress(b"text")}
    whole = decompressed(response_of(packed.get(encoding, b"text"), encoding))
    assert (whole["body"]["string"], whole["headers"]) == (b"text", {})


def test_a_cut_compressed_response_is_kept_plain() -> None:
    """As far as it goes."""
    body = gzip.compress(bytes(range(256)) * 9)[:-12]
    assert decompressed(response_of(body, "gzip"))["body"]["string"].startswith(b"\x00\x01")


@pytest.mark.parametrize("encoding", ["zstd", "gzip, br", "gzip"])
def test_what_stays_compressed_is_refused(encoding: str) -> None:
    """No secret could be seen in it."""
    kept = clean_response(decompressed(response_of(b"\x28\xb5\x2f\xfd", encoding)), Secrets({}))
    (leak,) = leaks([request_of(None)], [kept], Secrets({}))
    assert str(leak).startswith(f"the body of response 1 holds bytes compressed by {encoding}")


def test_compressed_bytes_of_no_declared_kind_are_refused() -> None:
    """They are known by how they begin."""
    kept = clean_response(response_of(gzip.compress(KEY.encode())), Secrets({}))
    (leak,) = leaks([request_of(None)], [kept], Secrets({}))
    assert "compressed by gzip" in str(leak)


def test_bytes_that_are_no_text_are_scrubbed_too() -> None:
    """And otherwise left as they are."""
    kept = clean_response(response_of(b"\xff\x00 " + KEY.encode() + b" \xfe"), Secrets({}))
    assert kept["body"]["string"] == b"\xff\x00 sk-EXAMPLE \xfe"


def test_an_address_beside_a_response_is_kept_like_any() -> None:
    """Vcrpy's recorder of aiohttp keeps one."""
    kept = clean_response(response_of(None, url="http://127.0.0.1:9/v1/a"), Secrets({}))
    assert kept["url"] == "https://api.openai.com/v1/a"
    assert kept["body"] == {"string": b""}


@pytest.mark.parametrize(
    "escaped",
    ["\\u0073k-proj-Zx81kfLq0934", "%73k-proj-Zx81kfLq0934", "AKIA\\u0041BCDEFGHIJKLMNOP"],
)
def test_an_escaped_secret_is_refused(escaped: str) -> None:
    """It cannot be replaced in place, and it is seen."""
    kept = clean_response(response_of(f'{{"a": "{escaped}"}}'.encode()), Secrets({}))
    assert list(leaks([request_of(None)], [kept], Secrets({})))


@pytest.mark.parametrize(
    "spelled",
    [
        base64.b64encode(b"correct horse battery").decode(),
        base64.b64encode(b"user:correct horse battery").decode(),
        b"correct horse battery".hex(),
        "correct%20horse%20battery",
        "correct+horse+battery",
    ],
)
def test_a_known_secret_in_another_spelling_is_replaced(spelled: str) -> None:
    """As in a header of basic authentication that a body echoes."""
    secrets = Secrets({"MY_TOKEN": "correct horse battery"})
    kept = clean_response(response_of(f"it was {spelled}.".encode()), secrets)
    assert b"EXAMPLE" in kept["body"]["string"]
    assert spelled.encode() not in kept["body"]["string"]
    assert [each.kind for each in secrets.find(spelled)] == ["the value of MY_TOKEN"]


@pytest.mark.parametrize(
    ("sent", "recorded", "difference"),
    [
        (b"ab", b"abc", "the body, of 3 bytes as recorded and 2 as sent"),
        (b"[1]", b"[1, 2]", "`[1]` of the body: 2 was recorded, none was sent"),
        (b"[1, 2]", b"[1]", "`[1]` of the body: none was recorded, 2 was sent"),
        (b'"a"', b'"b"', 'the body: "b" was recorded, "a" was sent'),
        (b'{"a b": 1}', b'{"a b": 2}', '`"a b"` of the body: 2 was recorded, 1 was sent'),
        (b'{"a": {"b": 1}}', b"{}", '`a` of the body: none was recorded, {"b": 1} was sent'),
    ],
)
def test_differences_of_bodies(sent: bytes, recorded: bytes, difference: str) -> None:
    """Each says where, what was recorded and what was sent."""
    assert list(body_differences(request_of(sent), request_of(recorded))) == [difference]


def test_long_values_are_cut_short() -> None:
    """A sentence stays one."""
    (difference,) = body_differences(request_of(b'"' + b"a" * 999 + b'"'), request_of(b"1"))
    assert len(difference) < 120


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        (b"[1]", b"[1]"),
        (b'{"a": 1, "b": [2]}', b'{"b":[2],"a":1}'),
        (b'{"stream_options": {"include_obfuscation": false}}', b"{}"),
    ],
)
def test_bodies_that_mean_the_same(sent: bytes, recorded: bytes) -> None:
    """The order of keys, white space and padding are no difference."""
    assert not list(body_differences(request_of(sent), request_of(recorded)))


def test_a_body_that_is_no_text_is_written_as_it_is() -> None:
    """And no body as none."""
    for body in (None, b"\xff\x00"):
        interaction = {"request": {"body": body}, "response": {}}
        loaded = _yaml.deserialize(_yaml.serialize({"interactions": [interaction]}))
        assert loaded["interactions"][0]["request"]["body"] == body


def test_plain_vcrpy_is_not_disturbed(tmp_path: Path) -> None:
    """A cassette of ours loads in it, and one of its own has no stamp of ours."""

    def answer(_: Any) -> Any:
        return http.Response(200, text="a")

    vcr: Any = importlib.import_module("vcr")
    with client_of(answer) as client, vcr.use_cassette(str(tmp_path / "a.yaml")):
        client.get("https://example.com/")
    assert "recorded_with" not in (tmp_path / "a.yaml").read_text("utf-8")
    reader = SimpleNamespace(deserialize=_vcr.yaml_format.deserialize)
    assert len(_vcr.deserialize((tmp_path / "a.yaml").read_text("utf-8"), reader)[0]) == 1
