"""Who is measured: each in a process of its own, peers in environments of their own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MEASURED", "OWN", "PEERS", "Contestant", "Field", "Server"]

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
MEASURED = tuple(name for name in OWN if name not in ("helper_sync", "sdk_aiohttp"))


@dataclass
class Contestant:
    """A worker process, and what it was measured at."""

    name: str
    process: subprocess.Popen[str]
    versions: str
    cpu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """CPU microseconds per frame, by case."""

    def run(self, base_url: str, *, streams: int = 1, messages: int = 1) -> dict[str, Any]:
        """Read one stream, or so many at once, that a conversation of so many messages asks for."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"base_url": base_url, "streams": streams, "messages": messages}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} gave up; see its message above")
        answer: dict[str, Any] = json.loads(line)
        if answer["total_tokens"] not in ("", "2024"):
            raise SystemExit(f"{self.name} reports {answer['total_tokens']} tokens, not 2024")
        return answer

    def median(self, case: str) -> float:
        """CPU microseconds per frame."""
        return statistics.median(self.cpu[case])


class Server:
    """The server's process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self._port = int(self.process.stdout.readline())

    def url(self, case: str, pause: int = 0) -> str:
        """Where a case is served, with so many microseconds between writes."""
        return f"http://127.0.0.1:{self._port}/{case}/{pause}"


@dataclass
class Field:
    """All who are measured together. Leaving it ends their processes."""

    server: Server = field(default_factory=Server)
    contestants: dict[str, Contestant] = field(default_factory=dict[str, Contestant])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """Peers that could not be installed, and why."""

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        contestants = [each.process for each in self.contestants.values()]
        for process in (self.server.process, *contestants):
            process.kill()
            process.wait()

    def add(self, python: str, names: Iterable[str]) -> None:
        """Start these in an interpreter."""
        for name in names:
            self.contestants[name] = _start(python, name)

    def add_peers(self, folder: Path) -> None:
        """Start every peer that can be installed."""
        for peer, names in PEERS.items():
            try:
                python = _environment(peer, folder)
            except subprocess.CalledProcessError as exc:
                self.left_out[peer] = str(exc.stderr).strip().splitlines()[-1]
            else:
                self.add(python, names)

    def measure(self, cases: list[str], rounds: int, names: Iterable[str], label: str = "") -> None:
        """Let these take turns at every case, round by round. The first round is not counted."""
        for round_number in range(rounds + 1):
            for case in cases:
                for name in names:
                    contestant = self.contestants[name]
                    answer = contestant.run(self.server.url(case))
                    if round_number:
                        each = answer["cpu"] / int(case.split("/")[1]) * 1e6
                        contestant.cpu.setdefault(case + label, []).append(each)


def _environment(peer: str, folder: Path) -> str:
    """Make the peer's own environment, once; give its interpreter."""
    home = (folder / peer.split("[")[0]).absolute()
    python = home / "bin" / "python"
    if not python.exists():
        quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
        subprocess.run(["uv", "venv", "--python", sys.executable, str(home)], **quiet)
        subprocess.run(["uv", "pip", "install", "--python", str(python), peer], **quiet)
    return str(python)


def _start(python: str, name: str) -> Contestant:
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
