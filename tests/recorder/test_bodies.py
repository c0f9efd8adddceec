"""Bodies that are no JSON, and answers that bring what is private in pieces."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import AsyncOpenAI, OpenAI
from tests._support.sdk_http import http

from usagestream_adapters.cassettes.scrub import scrub_body
from usagestream_adapters.cassettes.secrets import Secrets
from usagestream_adapters.replay import Recorder, Replay

SOUND = bytes(range(256)) * 40
SPOKEN = b"ID3\x04\x00\xff\xfb\x90" + SOUND


def _answer(request: Any) -> Any:
    if "speech" in str(request.url):
        return http.Response(200, headers={"content-type": "audio/mpeg"}, content=SPOKEN)
    return http.Response(200, json={"text": "one two"})


def _say(client: OpenAI, sound: bytes = SOUND) -> tuple[str, bytes]:
    heard = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound))
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="one two")
    return heard.text, spoken.content


async def _asay(http_client: Any) -> tuple[str, bytes]:
    async with AsyncOpenAI(api_key="any-key", http_client=http_client, max_retries=0) as client:
        heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", SOUND))
        spoken = await client.audio.speech.create(model="tts-1", voice="alloy", input="one two")
        return heard.text, spoken.content


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_form_with_a_file_is_recorded_and_replayed(tmp_path: Path, kind: str) -> None:
    """Whatever boundary is drawn; and an answer that is no text comes back as it was."""
    path = tmp_path / "a.yaml"
    transport = http.MockTransport(_answer)
    with Recorder(path) as recorder:
        if kind == "async":
            said = asyncio.run(_asay(recorder.async_http_client(transport=transport)))
        else:
            with recorder.http_client(transport=transport) as client:
                said = _say(OpenAI(api_key="any-key", http_client=client))
    assert said == ("one two", SPOKEN)
    replay = Replay(path)
    with replay.http_client() as client:
        assert _say(OpenAI(api_key="other-key", http_client=client)) == said
        assert asyncio.run(_asay(replay.async_http_client())) == said
        with pytest.raises(Exception, match="Nothing recorded"):
            _say(OpenAI(api_key="any-key", http_client=client), b"other")


def test_a_body_that_is_made_while_it_is_sent_is_recorded(tmp_path: Path) -> None:
    """It is read before it is sent, since it can be read once only."""
    with (
        Recorder(tmp_path / "a.yaml") as recorder,
        recorder.http_client(transport=http.MockTransport(_answer)) as client,
    ):
        client.post("https://h/x", content=iter([b"one ", b"two"]))
    (kept,) = yaml.safe_load((tmp_path / "a.yaml").read_text("utf-8"))["interactions"]
    assert kept["request"]["body"] == "one two"


def _frame(text: str, spaced: bool) -> str:
    value = {"choices": [{"index": 0, "delta": {"content": text}}], "obfuscation": "aZ3"}
    return f"data: {json.dumps(value, separators=None if spaced else (',', ':'))}\n\n"


@pytest.mark.parametrize("spaced", [True, False])
def test_an_address_in_pieces_is_replaced(spaced: bool) -> None:
    """In the frame where it begins; the frames around it stay as they are, and so do the reads."""
    pieces = ["Write to ", "jane", ".doe", "@fabri", "kam.com", ", please."]
    frames = [_frame(piece, spaced).encode() for piece in pieces]
    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    body, moved = scrub_body(b"".join(frames), Secrets({}), ends)
    kept = [body[start:end] for start, end in zip([0, *moved], moved, strict=False)]
    said = ["Write to ", "someone@example.com", "", "", "", ", please."]
    assert kept == [_frame(text, spaced).encode() for text in said]


def test_frames_that_are_no_json_are_passed_over() -> None:
    """And those that say the same in each, and what is nested beyond reason."""
    deep = "data: " + '{"a":' * 3000 + "1" + "}" * 3000
    shallow = "data: " + '{"a":' * 60 + '"b"' + "}" * 60
    body = f'data: {{broken}}\n\n{deep}\n\n{shallow}\n\ndata: {{"a":"b"}}\n\n'.encode()
    assert scrub_body(body, Secrets({})) == (body, [])
