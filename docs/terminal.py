"""Record the command on a terminal, as a picture that moves: `uv run python -m docs.terminal`.

The command runs on a pseudo-terminal, against the local server that plays both providers. What it
writes is kept frame by frame, and shown one below the other by a style sheet; there is no script.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from pydantic import SecretStr

from usagestream import Client, Emulator, OpenAIProfile, Scenario

PICTURE = Path(__file__).with_name("terminal.svg")
COLUMNS, ROWS = 120, 15
WIDE, HIGH, MARGIN, BAR = 8.2, 22, 16, 30
LONGEST = 0.3
"""Seconds that a frame is shown at most, where nothing else happens: a machine may be slow."""
PAUSE = 1.5
"""Seconds between one command and the next."""
TITLE = "A question to OpenAI, to Azure OpenAI, and one whose answer breaks off: what each cost"
_QUESTION = "Why count tokens?"
_ANSWER = "Because somebody pays for each of them, and nobody can check a bill without a count."
COMMANDS = (
    f"usagestream chat {shlex.quote(_QUESTION)} --provider openai",
    f"usagestream chat {shlex.quote(_QUESTION)} --provider azure",
    f"usagestream chat {shlex.quote(_QUESTION)} --provider azure",
)
SCENARIOS = (
    Scenario(text=_ANSWER, delay=0.25),
    Scenario(text=_ANSWER, delay=0.25),
    Scenario(text=_ANSWER, delay=0.25, cut_after_frames=8),
)
_CONTROL = re.compile(r"\x1b\[(\??\d*)([a-zA-Z])|([\r\n])|([^\x1b\r\n]+)")


@dataclass
class Screen:
    """The lines of a terminal, as far as this command moves on it. A line keeps its dim parts."""

    lines: list[list[tuple[str, bool]]] = field(default_factory=lambda: [[]])
    row: int = 0
    dim: bool = False

    def write(self, text: str) -> None:
        """Do what a terminal does with this text."""
        for number, letter, control, written in _CONTROL.findall(text):
            if letter == "m":
                self.dim = number == "2"
            elif letter == "A":
                self.row -= int(number or 1)
            elif letter == "K":
                self.lines[self.row] = []
            elif control == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append([])
            elif written:
                self.lines[self.row].append((written, self.dim))

    def frame(self) -> Frame:
        """What is seen now."""
        return tuple(tuple(line) for line in self.lines)


Line = tuple[tuple[str, bool], ...]
Frame = tuple[Line, ...]


def variables(server: Emulator) -> dict[str, str]:
    """What the command reads, so that both providers are this server."""
    return {
        "OPENAI_API_KEY": "any",
        "OPENAI_BASE_URL": server.openai_base_url,
        "AZURE_OPENAI_API_KEY": "any",
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
    }


def recorded() -> list[tuple[float, Frame]]:
    """Run the commands; give each frame with the seconds it is shown."""
    screen = Screen()
    frames: list[tuple[float, Frame]] = []
    with Emulator() as server:
        _load_tokenizer(server)
        for command, scenario in zip(COMMANDS, SCENARIOS, strict=True):
            server.script(scenario)
            screen.write("$ ")
            frames.append((PAUSE, screen.frame()))
            screen.write(f"{command}\r\n")
            last = time.monotonic()
            for text in _output(command, variables(server)):
                now = time.monotonic()
                frames.append((min(now - last, LONGEST), screen.frame()))
                last = now
                screen.write(text)
    screen.write("$ ")
    frames.append((3 * PAUSE, screen.frame()))
    return _told_apart(frames)


def _load_tokenizer(server: Emulator) -> None:
    """Have the server count once: its first answer waits for a tokenizer, as no provider's does."""
    profile = OpenAIProfile(api_key=SecretStr("any"), base_url=server.openai_base_url)
    with Client(profile) as client:
        question = [{"role": "user", "content": _QUESTION}]
        client.stream(model="gpt-4o-mini", messages=question).drain()


def _told_apart(frames: list[tuple[float, Frame]]) -> list[tuple[float, Frame]]:
    """One frame for each thing that is seen, and few for those that wait."""
    found: list[tuple[float, Frame]] = []
    for seconds, frame in frames:
        waits = any(text.startswith("waiting") for line in frame[-2:] for text, _ in line)
        if found and (frame == found[-1][1] or (waits and seconds < LONGEST)):
            continue
        found.append((seconds, frame))
    return found


def _output(command: str, env: dict[str, str]) -> Iterator[str]:
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    program = [sys.executable, "-m", *shlex.split(command)]
    env = {**os.environ, **env, "TERM": "xterm-256color"}
    with subprocess.Popen(program, env=env, stdin=secondary, stdout=secondary, stderr=secondary):
        os.close(secondary)
        try:
            while data := os.read(primary, 4096):
                yield data.decode()
        except OSError:  # how Linux says that the other side is gone
            pass
        finally:
            os.close(primary)


def svg(frames: list[tuple[float, Frame]]) -> str:
    """Draw the frames as a strip that the style sheet moves; the last one is seen without it."""
    rows = max(len(frame) for _, frame in frames)
    width, height = COLUMNS * WIDE + 2 * MARGIN, rows * HIGH + 2 * MARGIN
    whole = sum(seconds for seconds, _ in frames)
    stops: list[str] = []
    strip: list[str] = []
    begun = 0.0
    for number, (seconds, frame) in enumerate(frames):
        top = number * height
        stops.append(f"{100 * begun / whole:.2f}%{{transform:translateY({-top}px)}}")
        begun += seconds
        for row, line in enumerate(frame):
            spans = "".join(_span(*part) for part in line)
            place = f'x="{MARGIN}" y="{top + MARGIN + row * HIGH + 14}"'
            strip += [f"<text {place}>{spans}</text>"] if spans else []
    last = (len(frames) - 1) * height
    style = f"""
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
fill:#e6e6e6;white-space:pre}}
.d{{fill:#9aa4b2}}
.strip{{transform:translateY({-last}px);animation:play {whole:.1f}s step-end infinite}}
@media(prefers-reduced-motion:reduce){{.strip{{animation:none}}}}
@keyframes play{{{"".join(stops)}}}
"""
    size = f'width="{width:.0f}" height="{height + BAR:.0f}"'
    dots = "".join(
        f'<circle cx="{20 + 20 * at}" cy="18" r="6" fill="{colour}"/>'
        for at, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    view = f'viewBox="0 0 {width:.0f} {height + BAR}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>',
        f"<title>{TITLE}</title>",
        f"<style>{style}</style>",
        f'<rect {size} rx="8" fill="#16181d"/>{dots}',
        f'<svg y="{BAR}" width="{width:.0f}" height="{height}"><g class="strip">',
        *strip,
        "</g></svg>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _span(text: str, dim: bool) -> str:
    text = escape(text, quote=False)
    return f'<tspan class="d">{text}</tspan>' if dim else text


if __name__ == "__main__":
    PICTURE.write_text(svg(recorded()), "utf-8")
