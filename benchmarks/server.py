"""A server that answers any request with a stream made beforehand, as fast as it is read.

Runs in a process of its own, so that its CPU time is nobody's. The path says what to send:
`/<shape>/<frames>/<frames in one HTTP chunk>/<microseconds between writes>/...`. A frame, or a
group of frames, is one chunk of the transfer coding and one write: clients hand out one read for
each.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from functools import cache
from typing import Any

SHAPES = ("openai", "azure", "responses")
USAGE = {
    "prompt_tokens": 24,
    "completion_tokens": 2000,
    "total_tokens": 2024,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_benchmark\r\ntransfer-encoding: chunked\r\n\r\n"
)


def frame(shape: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    """One event, with the keys and about the size that each provider sends."""
    body: dict[str, Any] = {
        "id": "chatcmpl-Bq3K7wVtTLyTn5mZ0a1XcUe9sPfRh",
        "object": "chat.completion.chunk",
        "created": 1784728648,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_07871e2ad8",
        "choices": choices,
        "usage": None,
        "obfuscation": "h7Qm2ZpX",
    }
    if shape == "azure":
        body = dict(sorted(body.items()))
    return b"data: " + json.dumps({**body, **more}, separators=(",", ":")).encode() + b"\n\n"


def choice(shape: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One choice; Azure's carries the filter's results."""
    made = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    if shape == "azure":
        safe = {"filtered": False, "severity": "safe"}
        names = ("hate", "self_harm", "sexual", "violence")
        made["content_filter_results"] = dict.fromkeys(names, safe)
    return made


@cache
def stream(shape: str, frames: int, group: int) -> tuple[bytes, ...]:
    """The writes of one response."""
    if shape == "responses":
        return _chunked(_responses(frames), group)
    words = (" tokens", " of", " a", " stream", ",", " one", " by", " one")
    events = [frame(shape, [choice(shape, {"role": "assistant", "content": ""})])]
    events += [frame(shape, [choice(shape, {"content": words[n % 8]})]) for n in range(frames)]
    events.append(frame(shape, [choice(shape, {}, "stop")]))
    events.append(frame(shape, [], usage=USAGE))
    events.append(b"data: [DONE]\n\n")
    return _chunked(events, group)


def _responses(frames: int) -> list[bytes]:
    """The events of a response that is nothing but text."""
    where = {"item_id": "msg_68e4", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_text.delta", **where, "delta": " one", "logprobs": []}
    usage = {"input_tokens": 24, "output_tokens": 2000, "total_tokens": 2024}
    response = {"id": "resp_68e4", "object": "response", "model": "gpt-4o", "output": []}
    ends = {"response": {**response, "status": "completed", "usage": usage}}
    bodies = [
        {**delta, "sequence_number": number, "obfuscation": "h7Qm"} for number in range(frames)
    ]
    bodies.append({"type": "response.completed", **ends, "sequence_number": frames})
    return [
        f"event: {each['type']}\ndata: {json.dumps(each, separators=(',', ':'))}\n\n".encode()
        for each in bodies
    ]


def _chunked(events: list[bytes], group: int) -> tuple[bytes, ...]:
    groups = [b"".join(events[at : at + group]) for at in range(0, len(events), group)]
    return tuple(b"%x\r\n%s\r\n" % (len(data), data) for data in groups)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until it closes."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            _, shape, frames, group, pause, *_ = head.split(" ")[1].split("/")
            writer.write(HEAD)
            for data in stream(shape, int(frames), int(group)):
                writer.write(data)
                await writer.drain()
                if pause != "0":
                    await asyncio.sleep(int(pause) / 1e6)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen on a free port and print it."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
