"""The command on a pseudo-terminal, as somebody sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What came to the terminal, and how the command ended."""

    output: bytes
    status: int


def on_a_terminal(
    *arguments: str,
    columns: int = 80,
    variables: dict[str, str] | None = None,
    watch: Callable[[bytes, subprocess.Popen[bytes], int], None] | None = None,
) -> Seen:
    """Run the command to its end. `watch` is called with all that came, and may type or signal."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(variables or {})}
    for size in (
        "COLUMNS",
        "LINES",
    ):  # which who runs the tests may have set, and the terminal says
        environment.pop(size, None)
    program = [sys.executable, "-m", "usagestream", *arguments]
    deadline = time.monotonic() + 120
    with subprocess.Popen(
        program, stdin=secondary, stdout=secondary, stderr=secondary, env=environment
    ) as process:
        os.close(secondary)
        shown = b""
        while (data := _read(primary)) and time.monotonic() < deadline:
            shown += data
            if watch is not None:
                watch(shown, process, primary)
        if time.monotonic() >= deadline:  # pragma: no cover - a failure
            process.kill()
    os.close(primary)
    return Seen(shown, process.returncode)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says the other side of a pseudo-terminal is gone this way
        return b""
