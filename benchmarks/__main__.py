"""`python -m benchmarks`: measure, print the table, and write JSON and a chart.

Every contestant runs in a process of its own, peers in environments of their own that are made
here; the server in another. Contestants take turns, round by round, so that a machine that slows
down slows all of them. The figure is CPU time of the contestant's process per frame; the first
round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .chart import draw

HERE = Path(__file__).parent
PEERS = {
    "litellm": ("litellm_sync", "litellm_async"),
    "langchain-openai": ("langchain_sync", "langchain_async"),
    "pydantic-ai-slim[openai]": ("pydantic_ai_async",),
    "any-llm-sdk[openai]": ("any_llm_sync", "any_llm_async"),
}
OWN = (
    *("raw_sync", "sdk_sync", "helper_sync", "ours_sync"),
    *("raw_async", "sdk_async", "ours_async", "sdk_aiohttp", "ours_aiohttp"),
)
QUICK = ("raw_sync", "sdk_sync", "ours_sync", "raw_async", "sdk_async", "ours_async")
LIMITS = {
    ("ours_sync", "sdk_sync"): 0.15,
    ("ours_async", "sdk_async"): 0.17,
    ("ours_aiohttp", "sdk_async"): 0.06,
}
"""What is aimed at, for one frame in each read."""


@dataclass
class Contestant:
    """A worker process, and what it was measured at."""

    name: str
    process: subprocess.Popen[str]
    versions: str
    cpu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """CPU microseconds per frame, by case."""
    first: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Milliseconds until the first chunk, by case."""

    def run(self, base_url: str) -> dict[str, Any]:
        """Read one stream."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"base_url": base_url}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} gave up; see its message above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ours, the SDK and raw, in a minute")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--out", type=Path, default=Path("docs/speed"))
    parser.add_argument("--environments", type=Path, default=Path(".benchmarks"))
    arguments = parser.parse_args()
    frames = [2000] if arguments.quick else arguments.frames
    cases = [
        f"{shape}/{count}/{group}"
        for shape in ("openai", "azure")
        for count in frames
        for group in (1, 8)
    ]
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = int(server.stdout.readline())
    left_out: dict[str, str] = {}
    contestants = [start(sys.executable, name) for name in (QUICK if arguments.quick else OWN)]
    if not arguments.quick:
        for peer, names in PEERS.items():
            try:
                python = environment(peer, arguments.environments)
            except subprocess.CalledProcessError as exc:
                left_out[peer] = str(exc.stderr).strip().splitlines()[-1]
                continue
            contestants += [start(python, name) for name in names]
    try:
        for round_number in range(arguments.rounds + 1):
            for case in cases:
                for contestant in contestants:
                    measure(contestant, case, port, counted=round_number > 0)
    finally:
        for process in [server, *(contestant.process for contestant in contestants)]:
            process.kill()
            process.wait()
    report(contestants, cases, left_out, None if arguments.quick else arguments.out)


def environment(peer: str, folder: Path) -> str:
    """Make the peer's own environment, once; give its interpreter."""
    home = (folder / peer.split("[")[0]).absolute()
    python = home / "bin" / "python"
    if not python.exists():
        quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
        subprocess.run(["uv", "venv", "--python", sys.executable, str(home)], **quiet)
        subprocess.run(["uv", "pip", "install", "--python", str(python), peer], **quiet)
    return str(python)


def start(python: str, name: str) -> Contestant:
    """Start a contestant's process."""
    process = subprocess.Popen(
        [python, str(HERE / "worker.py"), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    ask = (
        "import importlib.metadata as m, sys\n"
        "for n in sys.argv[1:]:\n"
        "  try: print(n, m.version(n), end=', ')\n"
        "  except m.PackageNotFoundError: pass\n"
    )
    packages = ["openai", "httpx2", "httpx", "aiohttp", *(peer.split("[")[0] for peer in PEERS)]
    versions = subprocess.run(
        [python, "-c", ask, *packages], capture_output=True, text=True, check=True
    )
    return Contestant(name, process, versions.stdout.rstrip(", "))


def measure(contestant: Contestant, case: str, port: int, *, counted: bool) -> None:
    """One stream of one contestant."""
    answer = contestant.run(f"http://127.0.0.1:{port}/{case}")
    if answer["total_tokens"] not in ("", "2024"):
        raise SystemExit(f"{contestant.name} reports {answer['total_tokens']} tokens, not 2024")
    if counted:
        frames = int(case.split("/")[1])
        contestant.cpu.setdefault(case, []).append(answer["cpu"] / frames * 1e6)
        contestant.first.setdefault(case, []).append(answer["first"] * 1e3)


def report(
    contestants: list[Contestant], cases: list[str], left_out: dict[str, str], out: Path | None
) -> None:
    """Print the table, and write the files if there is a place for them."""
    median = {
        (contestant.name, case): statistics.median(contestant.cpu[case])
        for contestant in contestants
        for case in cases
    }
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"]
    lines += [f"{contestant.name}: {contestant.versions}" for contestant in contestants]
    lines += [f"{peer} could not be installed: {why}" for peer, why in left_out.items()]
    for case in cases:
        shape, frames, group = case.split("/")
        lines.append(f"\n{shape}, {frames} frames, {group} in each read")
        lines.append(f"{'':<18}{'CPU us/frame':>14}{'min':>8}{'max':>8}{'x SDK':>8}{'x raw':>8}")
        for contestant in contestants:
            name, cpu = contestant.name, contestant.cpu[case]
            kind = "sync" if name.endswith("_sync") else "async"
            value = median[name, case]
            lines.append(
                f"{name:<18}{value:>14.1f}{min(cpu):>8.1f}{max(cpu):>8.1f}"
                f"{value / median[f'sdk_{kind}', case]:>8.3f}"
                f"{value / median[f'raw_{kind}', case]:>8.2f}"
            )
    lines += ["", *verdicts(median, cases)]
    print("\n".join(lines))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        results = {
            contestant.name: {
                "versions": contestant.versions,
                "cpu_us": contestant.cpu,
                "first_ms": contestant.first,
            }
            for contestant in contestants
        }
        text = {"machine": lines[0], "left_out": left_out, "results": results}
        (out / "results.json").write_text(json.dumps(text, indent=1) + "\n")
        (out / "table.txt").write_text("\n".join(lines) + "\n")
        case = cases[0]
        bars = {contestant.name: median[contestant.name, case] for contestant in contestants}
        (out / "chart.svg").write_text(draw(bars, "CPU microseconds per frame, one in each read"))


def verdicts(median: dict[tuple[str, str], float], cases: list[str]) -> list[str]:
    """Say whether what is aimed at was reached."""
    said: list[str] = []
    for (ours, theirs), limit in LIMITS.items():
        for case in cases:
            if case.endswith("/1") and (ours, case) in median:
                ratio = median[ours, case] / median[theirs, case]
                word = "reached" if ratio <= limit else "MISSED"
                said.append(f"{ours} / {theirs}, {case}: {ratio:.3f}, aim {limit}: {word}")
    return said


if __name__ == "__main__":
    main()
