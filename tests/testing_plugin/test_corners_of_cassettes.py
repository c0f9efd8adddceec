"""What seldom stands in a cassette, or in a text, and is read all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from usagestream_adapters.cassettes.leaks import seen
from usagestream_adapters.cassettes.limits import CassetteError
from usagestream_adapters.cassettes.names import is_random, tells
from usagestream_adapters.cassettes.secrets import Secrets
from usagestream_adapters.cassettes.show import show
from usagestream_adapters.replay import Replay

KEY = "sk-proj-Zx81kfLq0934mnbvPoiu"


def cassette(folder: Path, *, request: Any = None, body: Any = "", **more: Any) -> Path:
    """Write one of one exchange, with parts of another kind."""
    asked: dict[str, Any]
    asked = {"method": "GET", "uri": "https://a/", "headers": {}, "body": "", **(request or {})}
    answered: dict[str, Any]
    answered = {"status": {"code": 200}, "headers": {}, "body": {"string": body}}
    file = folder / "a.yaml"
    file.write_text(
        yaml.safe_dump({"interactions": [{"request": asked, "response": answered, **more}]})
    )
    return file


@pytest.mark.parametrize(
    "parts",
    [
        {"body": 5},
        {"request": {"body": [1]}},
        {"request": {"uri": 5}},
        {"request": {"method": [1]}},
        {"timing": {"head": 0}},
        {"timing": {"head": 0, "end": 1, "ended": "left", "reads": [1]}},
    ],
)
def test_parts_of_another_kind_are_an_error_of_ours(parts: dict[str, Any], tmp_path: Path) -> None:
    """Which names the file."""
    with pytest.raises(CassetteError, match=r"a\.yaml"):
        Replay(cassette(tmp_path, **parts))


def test_an_anchor_on_a_text_is_read(tmp_path: Path) -> None:
    """As some tools write for what comes again."""
    file = tmp_path / "a.yaml"
    text = cassette(tmp_path).read_text().replace("https://a/", "&u https://a/")
    file.write_text(text + "other: [*u, *u]\n")
    assert Replay(file).unplayed == ["a.yaml, request 1"]


def test_an_answer_of_which_nothing_was_read_is_shown(tmp_path: Path) -> None:
    """With how it ended."""
    timing: dict[str, Any]
    timing = {"head": 0.1, "reads": [], "end": 0.5, "ended": "ReadError"}
    lines = list(show(cassette(tmp_path, timing=timing)))
    assert lines[-2:] == ["   nothing was read in 0.5 s", "   ended: ReadError"]


@pytest.mark.parametrize(
    ("value", "random"),
    [
        *[("a1", False), ("correct1 horse", False), ("12345678", False), ("Authentic", False)],
        *[("aBcDeFgHiJ", True), ("a1b2c3d4", True), ("A1B2C3D4", True)],
    ],
)
def test_what_looks_random(value: str, random: bool) -> None:
    """No word of a language, no number."""
    assert is_random(value) is random


def test_an_organisation_is_one_where_it_is_no_word() -> None:
    """The header says `user-abc123` of a person, and may say `test`."""
    assert not tells("OpenAI-Organization", "personal", "header")
    assert tells("OpenAI-Organization", "user-ab12cd34", "header")
    assert not tells("x-page-token", "abc123def456", "header")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"password": "abc\\"d1234"}', '{"password": "EXAMPLE"}'),
        ('{"password": "never ends', '{"password": "never ends'),
        ("Basic YWJjZGVmZ2hp, Basic YWJjZGVmZ2h", "Basic YWJjZGVmZ2hp, Basic YWJjZGVmZ2h"),
        ("password=user_token=abc123def456", "password=EXAMPLE"),
    ],
)
def test_where_a_value_ends(text: str, kept: str) -> None:
    """At its own quote; what is in it is replaced with it."""
    assert Secrets({}).scrub(text) == kept


def test_what_was_seen_is_seen_once() -> None:
    """Though it stands in other spellings too."""
    escaped = json.dumps(f"é {KEY} \\u0073{KEY[1:]}")
    assert [sighting.value for sighting, _ in seen(escaped, Secrets({}))] == [KEY]
