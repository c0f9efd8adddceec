"""Files that are made to grow, or are no cassettes: an error of ours, and little memory."""

from __future__ import annotations

import base64
import gzip
import json
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from usagestream_adapters.cassettes import limits
from usagestream_adapters.cassettes.check import check_file
from usagestream_adapters.cassettes.leaks import seen
from usagestream_adapters.cassettes.limits import CassetteError, TooLargeError, unpacked
from usagestream_adapters.cassettes.scrub import decompressed
from usagestream_adapters.cassettes.secrets import Secrets
from usagestream_adapters.cassettes.show import show
from usagestream_adapters.cli.command import main
from usagestream_adapters.replay import Replay
from usagestream_core.errors import ConfigError

MIB = 1024 * 1024
KEY = "sk-proj-Zx81kfLq0934mnbvPoiu"


def _aliases() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\ninteractions: [*a11]\n"


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "aliases": (".yaml", lambda: _aliases().encode()),
    "an alias of itself": (".yaml", lambda: b"interactions: &a [*a, *a]\n"),
    "a deep list": (".yaml", lambda: b"interactions: " + b"[" * 500 + b"]" * 500),
    "blocks in blocks": (
        ".yaml",
        lambda: b"interactions:\n" + b"".join(b" " * n + b"- a:\n" for n in range(1, 400, 2)),
    ),
    "deep JSON": (".json", lambda: b'{"interactions": ' + b"[" * 100_000),
    "a large file": (".yaml", lambda: b"interactions: " + b"x" * (65 * MIB)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_grows_is_refused(bomb: str, tmp_path: Path) -> None:
    """By the replay and by `show`; the check looks at its text, or says that it did not."""
    suffix, make = BOMBS[bomb]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(make())
    tracemalloc.start()
    try:
        with pytest.raises(CassetteError, match=f"a{suffix} is not"):
            Replay(file)
        with pytest.raises(CassetteError, match=f"a{suffix} is not"):
            list(show(file))
        check_file(file, {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300 * MIB


@pytest.mark.parametrize("bomb", ["aliases", "an alias of itself", "a large file"])
def test_the_check_says_what_it_did_not_look_into(bomb: str, tmp_path: Path) -> None:
    """It exits with 1: a line in CI must not pass over it."""
    suffix, make = BOMBS[bomb]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(make())
    result = CliRunner().invoke(main, ["cassettes", "check", str(file)])
    assert result.exit_code == 1
    assert f"{file}:1: too much to be looked into (" in result.stdout


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_packed_is_unpacked_within_bounds(inside: bool, tmp_path: Path) -> None:
    """A packed file, and a packed body in one."""
    bomb = gzip.compress(b"\0" * (100 * MIB), 1)
    file = tmp_path / ("a.yaml" if inside else "a.log.gz")
    packed = f"body: !!binary {base64.b64encode(bomb).decode()}\n".encode()
    file.write_bytes(packed if inside else bomb)
    tracemalloc.start()
    try:
        (finding,) = check_file(file, {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert finding.kind == "too much to be looked into"
    assert peak < 200 * MIB


def test_a_packed_answer_that_grows_stays_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is refused by the recorders, since nobody can look into it."""
    monkeypatch.setattr(limits, "LARGEST", 1000)
    body = gzip.compress(b"x" * 2000)
    response = {"headers": {"content-encoding": ["gzip"]}, "body": {"string": body}}
    assert decompressed(response) is response
    with pytest.raises(TooLargeError):
        unpacked(body)


class _Decompressor:
    """As brotli's, from its version 1.2."""

    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes:
        """Give no more than so much."""
        if data == b"broken":
            raise ValueError
        return (data * 100)[:output_buffer_limit]


def test_brotli_is_undone_where_it_can_be_told_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where it is missing, or given what is none."""
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert unpacked(b"ab", "br") is None
    fake: Any = type("brotli", (), {"Decompressor": _Decompressor})
    monkeypatch.setitem(sys.modules, "brotli", fake)
    assert unpacked(b"ab", "br") == b"ab" * 100
    assert unpacked(b"broken", "br") is None
    assert unpacked(b"ab", "zstd") is None


def test_zstd_is_undone_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where zstandard is installed; of what was cut, what there is."""
    data = zstandard.ZstdCompressor().compress(b"text")
    assert unpacked(data, "zstd") == b"text"
    assert unpacked(data[:4], "zstd") is None
    monkeypatch.setattr(limits, "LARGEST", 1000)
    with pytest.raises(TooLargeError, match="what zstd compressed is larger"):
        unpacked(zstandard.ZstdCompressor().compress(b"x" * 2000), "zstd")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert unpacked(data, "zstd") is None


BROTLI: Any = import_module("brotli")
PACKED: dict[str, bytes] = {
    "zstd": zstandard.ZstdCompressor().compress(KEY.encode()),
    "br": BROTLI.compress(KEY.encode()),
    "deflate": zlib.compress(KEY.encode()),
    "gzip": gzip.compress(KEY.encode()),
}


@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_another_recorder_left_packed_is_looked_into(
    coding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what its headers say; where it cannot be, that is said, and the command fails."""
    file = tmp_path / "a.yaml"
    body = base64.b64encode(PACKED[coding]).decode()
    file.write_text(f"headers:\n  Content-Encoding: [{coding}]\nbody: !!binary {body}\n")
    assert [found.kind for found in check_file(file, {})] == ["an API key"]
    if coding in ("br", "zstd"):
        monkeypatch.setitem(sys.modules, {"br": "brotli", "zstd": "zstandard"}[coding], None)
        (finding,) = check_file(file, {})
        assert finding.kind == (
            f"bytes that may be compressed by {coding}, where no secret is seen"
        )
        assert CliRunner().invoke(main, ["cassettes", "check", str(file)]).exit_code == 1


def test_a_text_is_a_text_whatever_a_header_says(tmp_path: Path) -> None:
    """Recorders undo a compression and leave the header."""
    file = tmp_path / "a.yaml"
    body = base64.b64encode(f"hello {KEY}".encode()).decode()
    file.write_text(f"headers:\n  content-encoding: [br]\nbody: !!binary {body}\n")
    assert [found.kind for found in check_file(file, {})] == ["an API key"]


@pytest.mark.parametrize(
    "text",
    ["a=" * 50_000, "\\" * 150_000, '\\"' * 50_000, "-----BEGIN PRIVATE KEY-----" * 4_000],
    ids=["signs", "escapes", "quotes", "keys"],
)
def test_the_time_of_looking_grows_with_the_text(text: str) -> None:
    """And not with its square: each of these took from five to fifteen seconds once."""
    began = time.process_time()
    list(seen(text, Secrets({})))
    assert time.process_time() - began < 3


def test_a_secret_within_a_secret_is_taken_out_with_it() -> None:
    """It is not looked at again."""
    text = r'{"password":"outer \"secret\":\"inner-123456\" outer"}'
    assert Secrets({}).scrub(text) == '{"password":"EXAMPLE"}'


def test_a_long_secret_is_taken_out_to_its_end() -> None:
    """Whether it is one is told by how it begins."""
    secret = "a1B2" * 500
    for text in (f"client_secret={secret}&x=1", f"client_secret: {secret};"):
        assert secret[-4:] not in Secrets({}).scrub(text)
    key = f"-----BEGIN PRIVATE KEY-----\n{'Ab1+' * 400}\n-----END PRIVATE KEY-----"
    assert Secrets({}).scrub(key) == "-----BEGIN PRIVATE KEY-----EXAMPLE-----END PRIVATE KEY-----"


def test_a_deflated_body_may_lack_its_head() -> None:
    """Some servers leave it out."""
    data = zlib.compressobj(wbits=-15)
    raw = data.compress(b"text") + data.flush()
    assert unpacked(raw, "deflate") == b"text"
    assert unpacked(b"\xff\xff\xff", "deflate") is None


def test_show_hides_secrets_and_obeys_nobody(tmp_path: Path) -> None:
    """Of a file that another tool wrote: also a key that comes in pieces."""
    pieces = ["it is sk-pro", "j-Zx81kfLq09", "34mnbvPoiu \x1b]0;x\x07"]
    frames = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    stream = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    request: dict[str, Any] = {"method": "POST", "uri": "https://a/v1/chat/completions"}
    request |= {"headers": {}, "body": f"key {KEY} \x9b2J \u202e"}
    response = {
        "status": {"code": 200},
        "headers": {"content-type": ["text/event-stream\x1b[2J"]},
        "body": {"string": stream},
    }
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"interactions": [{"request": request, "response": response}]}))
    shown = "\n".join(show(file))
    assert "Zx81" not in shown
    assert "34mnbvPoiu" not in shown
    assert not [each for each in shown if each in "\x1b\x07\x9b\u202e"]
    assert "\\x1b[2J" in shown


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def _partly(keys: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={k: v | values for k, v in keys.items()}) | values


header = _partly({"content-type": st.just(["text/event-stream"]), "x": st.just("y")})
timing = _partly(
    {"head": st.floats(), "end": st.floats(), "ended": st.text()}
    | {"reads": st.lists(st.tuples(st.floats(), st.integers()).map(list))}
)
document = _partly(
    {
        "interactions": st.lists(
            _partly(
                {
                    "request": _partly(
                        {"method": st.just("POST"), "uri": st.just("https://h/v1/responses")}
                        | {"body": st.text(), "headers": header}
                    ),
                    "response": _partly(
                        {"status": _partly({"code": st.integers()}), "headers": header}
                        | {"body": _partly({"string": st.text() | st.just("data: {}\n\n")})}
                    ),
                    "timing": timing,
                }
            ),
            max_size=2,
        )
    }
)


@settings(deadline=None, max_examples=150)
@given(content=document, suffix=st.sampled_from([".json", ".yaml"]))
def test_whatever_is_in_a_file_the_errors_are_ours(content: Any, suffix: str) -> None:
    """Or there is none."""
    text = json.dumps(content) if suffix == ".json" else yaml.safe_dump(content)
    _survives(text.encode(), suffix)


@settings(deadline=None, max_examples=40)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_the_bytes_of_a_file_are(data: bytes) -> None:
    """That are no YAML and no JSON either."""
    for suffix in (".json", ".yaml", ".log", ".gz"):
        _survives(b"interactions: " + data, suffix)
        _survives(data, suffix)


def _survives(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        file.write_bytes(data)
        check_file(file, {})
        with suppress(ConfigError):
            list(show(file))
        for path in (file, file.parent):
            with suppress(ConfigError):
                Replay(path).answer("POST", "https://h/v1/responses", b"{}")
