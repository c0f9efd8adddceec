"""`python -m benchmarks.estimates`: how far estimates are from what providers reported.

Reads the recorded exchanges in the folder that USAGESTREAM_CORPUS names, estimates each as if its
usage had never come, and prints a table. `--write` puts it into docs/estimates.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usagestream import Chunk, Outcome, TokenCounter, Usage
from usagestream_adapters import ChatDecoder
from usagestream_core.adapter import Head, Report, Target
from usagestream_core.estimates.estimate import find_counter
from usagestream_core.streams.meter import Call, Meter

PAGE = Path(__file__).parents[1] / "docs" / "estimates.md"
BEGIN, END = "<!-- table: begin", "<!-- table: end -->"
KINDS = ("text", "tool calls", "reasoning or audio")


class Mute:
    """A decoder that never heard of usage."""

    def __init__(self, head: Head) -> None:
        self._decoder = ChatDecoder(head)

    def feed(self, data: bytes) -> list[Chunk | Report]:
        """Decode, and take the counts away."""
        return [self._mute(item) for item in self._decoder.feed(data)]

    def close(self) -> list[Chunk | Report]:
        """Give what was held back, without its counts."""
        return [self._mute(item) for item in self._decoder.close()]

    def _mute(self, item: Chunk | Report) -> Chunk | Report:
        if isinstance(item, Report):
            item.counts = None
        return item


@dataclass(frozen=True)
class Sample:
    """One exchange: what was reported, and what would have been estimated."""

    id: str
    model: str
    kind: str
    reported: Usage
    estimated: Usage


def replay(case: dict[str, Any], counter: TokenCounter | None) -> tuple[Usage, str | None]:
    """Read a recorded body, with its usage or, where there is a counter, without."""
    head = Head(status=200)
    request: dict[str, Any] = case.get("request") or {}
    params: dict[str, Any] = dict(request.get("body") or {})
    model = str(params.pop("model", ""))
    target = Target(endpoint="recorded.test")
    call = Call(provider="recorded", profile=None, target=target, model=model, params=params)
    meter = Meter(call, counter)
    meter.start(0.0, datetime.now(UTC))
    meter.opened(head)
    decoder = ChatDecoder(head) if counter is None else Mute(head)
    meter.take(decoder.feed(case["response"]["body"].encode()), 0.0)
    if not meter.over:
        meter.close(decoder.close(), 0.0)
    record = meter.record(Outcome.COMPLETED, now=1.0)
    return record.usage, record.response_model


def samples(folder: Path) -> list[Sample]:
    """What can be compared: reported, whole, and by a model whose tokenizer is known."""
    counter = find_counter()
    assert counter is not None, 'pip install "usagestream[estimate]"'
    found: list[Sample] = []
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        if case.get("api") != "chat" or case["response"]["status"] != 200:
            continue
        if case["provider"] not in ("openai", "azure") or case["fidelity"] == "edited":
            continue
        reported, model = replay(case, None)
        estimated, _ = replay(case, counter)
        if reported.source == "reported" and estimated.source == "estimated" and model:
            hidden = (reported.reasoning_tokens or 0) + (reported.output_audio_tokens or 0)
            tools = bool(case["expected"].get("tool_calls"))
            kind = KINDS[2] if hidden else KINDS[1] if tools else KINDS[0]
            name = re.sub(r"-\d{4}-\d{2}-\d{2}$|-\d{4}$", "", model)
            found.append(Sample(path.stem, name, kind, reported, estimated))
    return found


def percent(sample: Sample, count: str) -> float:
    """The estimate's distance from the reported figure, in percent of that."""
    reported: int = getattr(sample.reported, count)
    estimated: int = getattr(sample.estimated, count)
    return 100 * abs(estimated - reported) / max(1, reported)


def render(found: list[Sample]) -> str:
    """The table, with what it was made of."""
    names = "\n".join(sample.id for sample in found).encode()
    lines = [
        f"{BEGIN} {len(found)} exchanges {hashlib.sha256(names).hexdigest()[:12]} -->",
        "",
        "| model | answers | n | output: median | p95 | input: median | p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in found:
        groups[sample.kind, sample.model].append(sample)
    for kind, model in sorted(groups, key=lambda name: (KINDS.index(name[0]), name[1])):
        group = groups[kind, model]
        cells = [
            f"{figure:.1f} %"
            for count in ("output_tokens", "input_tokens")
            for figure in spread([percent(sample, count) for sample in group])
        ]
        lines.append(f"| {model} | {kind} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", END])


def spread(figures: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(figures)
    return statistics.median(ordered), ordered[round(0.95 * (len(ordered) - 1))]


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimates", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    arguments = parser.parse_args()
    folder = os.environ.get("USAGESTREAM_CORPUS")
    if not folder:
        raise SystemExit("USAGESTREAM_CORPUS must name a folder of recorded exchanges.")
    found = samples(Path(folder))
    table = render(found)
    print(table)
    for sample in found:
        print(
            f"{sample.id}: output {sample.estimated.output_tokens} for "
            f"{sample.reported.output_tokens}, input {sample.estimated.input_tokens} for "
            f"{sample.reported.input_tokens}"
        )
    if arguments.write:
        page = PAGE.read_text("utf-8")
        before, rest = page.split(BEGIN, 1)
        PAGE.write_text(before + table + rest.split(END, 1)[1], "utf-8")


if __name__ == "__main__":
    main()
