"""What is aimed at, and what was measured of it: each aim once, over all the cases it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "ASKING",
    "CLOSER",
    "PEERS_TOO",
    "RATIOS",
    "TRACKED",
    "Aim",
    "Results",
    "aims",
    "cell_of",
    "ratio",
    "single",
    "tracked_memory",
]

Results = Mapping[str, Any]
"""What the command writes to `results.json`."""

PEERS_TOO: Final = "/peers"
"""Marks a case at which peers took turns too."""
RATIOS: Final = {
    ("ours_sync", "sdk_sync"): 0.15,
    ("ours_async", "sdk_async"): 0.17,
    ("ours_aiohttp", "sdk_async"): 0.06,
    ("ours_sync", "raw_sync"): 1.7,
    ("ours_async", "raw_async"): 1.7,
}
"""CPU time per chunk against another's: with the SDK for every case, with the HTTP client alone for
those of one frame in each read."""
CLOSER: Final = {
    ("ours_sync", "sdk_sync"): 0.12,
    ("ours_async", "sdk_async"): 0.13,
    ("ours_aiohttp", "sdk_async"): 0.05,
    ("ours_sync", "raw_sync"): 1.55,
    ("ours_async", "raw_async"): 1.55,
}
"""The same for frames as OpenAI sends them, which are shorter than those of Azure."""
TRACKED: Final = (
    ("sync", "tracked_sync", "sdk_sync", "openai/2000/1", 0.25),
    ("sync, eight in each read", "tracked_sync", "sdk_sync", "openai/2000/8", 0.22),
    ("async", "tracked_async", "sdk_async", "openai/2000/1", 0.25),
    ("async over aiohttp", "tracked_aiohttp", "sdk_async", "openai/2000/1", 0.15),
    ("the `stream()` helper", "trackedhelper_sync", "helper_sync", "openai/2000/1", 0.6),
    ("Responses, text", "trackedresponses_sync", "responses_sync", "responses/2000/1", 0.25),
)
"""A tracked client: what is compared, who, against whom, at which case, and the part aimed at."""
ASKING: Final = (
    ("sync", "tracked_sync", "sdk_sync", 0.3),
    ("async", "tracked_async", "sdk_async", 0.3),
)
"""A tracked client that asks with a long conversation: the same, without a case."""
_TRACKED_KB: Final = 8
_OURS: Final = ("ours_sync", "ours_async", "ours_aiohttp")
_NOT_PEERS: Final = ("ours", "sdk", "helper", "raw")


@dataclass(frozen=True)
class Aim:
    """A limit, and the figures that are to stay below it."""

    what: str
    limit: float
    figures: list[float]

    @property
    def reached(self) -> bool:
        """Whether all of them do."""
        return max(self.figures) <= self.limit

    @property
    def shown(self) -> str:
        """The least and the greatest of them."""
        ends = sorted({f"{min(self.figures):.3g}", f"{max(self.figures):.3g}"}, key=float)
        return " to ".join(ends)


def aims(results: Results) -> list[Aim]:
    """Every aim of which something was measured."""
    found = [*_costs(results), *_peers(results)]
    if "growth" in results:
        found += _growth(results["growth"])
    if "tracked" in results:
        found += _tracked(results["tracked"])
    return [aim for aim in found if aim.figures]


def _costs(results: Results) -> Iterator[Aim]:
    for limits, more in ((RATIOS, ""), (CLOSER, "; OpenAI's frames")):
        for (ours, theirs), limit in limits.items():
            alone = theirs.startswith("raw")
            cases = single(results) if alone else own(results)
            if more:
                cases = [case for case in cases if case.startswith("openai/")]
            yield Aim(
                f"CPU per chunk: ours, {ours.removeprefix('ours_')} / "
                f"{'the HTTP client alone' if alone else 'the SDK'}, "
                f"{theirs.partition('_')[2]}{more}",
                limit,
                [
                    ratio(results, ours, theirs, case)
                    for case in cases
                    if cell_of(results, ours, case)
                ],
            )


def _tracked(figures: Results) -> Iterator[Aim]:
    cpu, asking = figures["cpu_us"], figures["asking_ms"]
    for what, ours, theirs, case, limit in TRACKED:
        part = cpu[f"{ours} {case}"] / cpu[f"{theirs} {case}"]
        yield Aim(f"CPU per chunk: a tracked client / a bare one, {what}", limit, [part])
    for what, ours, theirs, limit in ASKING:
        said = f"CPU of asking with 100 messages: a tracked client / a bare one, {what}"
        yield Aim(said, limit, [asking[ours] / asking[theirs]])
    yield Aim(
        "KB of a tracked client's open stream beyond a bare one's",
        _TRACKED_KB,
        tracked_memory(figures),
    )


def tracked_memory(figures: Results) -> list[float]:
    """KB that a stream of a tracked client holds beyond that of a bare one, by chunks read."""
    ours, theirs = (figures["memory"][name] for name in ("tracked_sync", "sdk_sync"))
    return [(ours[chunks] - theirs[chunks]) / 1024 for chunks in ours]


def _peers(results: Results) -> Iterator[Aim]:
    figures: list[float] = []
    for case in results["cases"]:
        for name in results["contestants"]:
            who, _, kind = name.rpartition("_")
            if case.endswith(PEERS_TOO) and who not in _NOT_PEERS:
                figures.append(ratio(results, f"ours_{kind}", name, case))
    yield Aim("CPU per chunk: ours / any peer, sync and async", 1, figures)


def _growth(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[Aim]:
    first, asking, memory = figures["first"], figures["asking"], figures["memory"]
    yield Aim(
        "first chunk, by the clock: ours / the SDK",
        1,
        [first[name]["openai"] / first[_sdk(name)]["openai"] for name in _OURS],
    )
    yield Aim(
        "CPU of asking with 100 messages: ours / the SDK",
        1,
        [asking[name]["100"] / asking[_sdk(name)]["100"] for name in _OURS],
    )
    yield Aim(
        "CPU per chunk of 200,000 chunks / of 20,000",
        1.1,
        [figures["length"][name]["200000"] / figures["length"][name]["20000"] for name in _OURS],
    )
    yield Aim(
        "CPU per chunk with 1,000 streams at once / with 10",
        1.2,
        [figures["streams"][name]["1000"] / figures["streams"][name]["10"] for name in _OURS[1:]],
    )
    ours, theirs = memory["ours_sync"], memory["response_sync"]
    yield Aim(
        "KB of an open stream beyond the SDK's response",
        4,
        [(ours[chunks] - theirs[chunks]) / 1024 for chunks in ours],
    )
    yield Aim("bytes kept of each chunk", 1, [max(0.0, (ours["1000"] - ours["1"]) / 999)])
    by_import = figures["imports"]
    yield Aim(
        "CPU of `from usagestream import Client` / of `import openai`",
        0.3,
        [by_import["from usagestream import Client"]["ms"] / by_import["import openai"]["ms"]],
    )


def _sdk(name: str) -> str:
    return "sdk_sync" if name.endswith("_sync") else "sdk_async"


def own(results: Results) -> list[str]:
    """The cases at which only the SDK and the HTTP client took turns with us."""
    return [case for case in results["cases"] if not case.endswith(PEERS_TOO)]


def single(results: Results) -> list[str]:
    """Those of them with one frame in each read."""
    return [case for case in own(results) if case.endswith("/1")]


def cell_of(results: Results, name: str, case: str) -> Mapping[str, float] | None:
    """What a contestant was measured at; `None` where it did not take part."""
    found: Mapping[str, float] | None = (
        results["contestants"].get(name, {}).get("cases", {}).get(case)
    )
    return found


def ratio(results: Results, name: str, base: str, case: str) -> float:
    """CPU time against another contestant's."""
    one, other = cell_of(results, name, case), cell_of(results, base, case)
    assert one is not None
    assert other is not None
    return one["cpu_us"] / other["cpu_us"]
