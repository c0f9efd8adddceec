"""What tracking costs: CPU per chunk of a tracked stream over a bare one, in one interleaved run.

    python -m benchmarks.track [rounds]

No network: the SDK reads frames from memory, as both services write them.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import statistics
import sys
import time
from typing import Any

import openai

from usagestream_adapters.track import track

http: Any = importlib.import_module("httpx2" if openai.__version__[0] >= "3" else "httpx")

CHUNKS = 3_000
SLICE = 50
HEAD = (
    '"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1784728648,'
    '"model":"gpt-5-2025-08-07","service_tier":"default","system_fingerprint":null'
)


def body(*, with_usage: bool) -> list[bytes]:
    """Return the frames of a stream."""
    null = ',"usage":null' if with_usage else ""
    choice = '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]'
    choices = [choice % (f'{{"content":" word{i}"}}', "null") for i in range(CHUNKS)]
    frames = [f'{HEAD},{text}{null},"obfuscation":"EeXxvZr"' for text in choices]
    last = choice % ("{}", '"stop"')
    frames.append(f"{HEAD},{last}{null}")
    if with_usage:
        usage = '{"prompt_tokens":13,"completion_tokens":3000,"total_tokens":3013}'
        frames.append(f'{HEAD},"choices":[],"usage":{usage}')
    return [*[f"data: {{{frame}}}\n\n".encode() for frame in frames], b"data: [DONE]\n\n"]


def make_client() -> openai.OpenAI:
    """Make a bare client, answered as the services do: with usage if it was asked for."""
    bodies = {asked: body(with_usage=asked) for asked in (False, True)}

    def reply(request: Any) -> Any:
        frames = bodies[b"include_usage" in request.content]
        kind = {"content-type": "text/event-stream"}
        return http.Response(200, headers=kind, content=iter(frames))

    http_client = http.Client(transport=http.MockTransport(reply))
    return openai.OpenAI(api_key="none", http_client=http_client)


def measure(*clients: openai.OpenAI) -> list[float]:
    """Read a stream of each, a few chunks of one and of the other in turn: CPU us for each chunk.

    Other work on the machine then slows all alike.
    """
    streams = [
        client.chat.completions.create(model="m", messages=[], stream=True) for client in clients
    ]
    spent = [0.0] * len(streams)
    gc.collect()
    for _ in range(CHUNKS // SLICE):
        for i, stream in enumerate(streams):
            start = time.process_time()
            for _ in itertools.islice(stream, SLICE):
                pass
            spent[i] += time.process_time() - start
    for stream in streams:
        stream.close()
    return [seconds / CHUNKS * 1e6 for seconds in spent]


def main(rounds: int) -> None:
    """Print the medians, and the median of what each round gave."""
    clients = make_client(), track(make_client())
    results = [measure(*clients) for _ in range(rounds + 1)][1:]
    bare, tracked = (statistics.median(side) for side in zip(*results, strict=True))
    paired = statistics.median(after / before for before, after in results)
    print(f"openai {openai.__version__}, median of {rounds} rounds of {CHUNKS} chunks")
    print(f"bare {bare:.1f} us, tracked {tracked:.1f} us a chunk: {paired - 1:+.1%} CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
