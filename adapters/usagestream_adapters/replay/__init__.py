"""Programs, not only tests, on recorded exchanges, with any fault; no network and no key.

`Recorder` records what goes through an HTTP client, with the boundaries and times of the reads.
`Replay` answers from cassettes, whoever recorded them; `ReplayServer` does over HTTP, and the
profile `provider = "replay"` without a change to the program. `cut`, `drop_usage`,
`refuse_stream_options`, `async_filter`, `stall` and `reset` make a good cassette go wrong.

Needs `pip install "usagestream[replay]"`.
"""

from . import faults
from ._adapter import ReplayAdapter, ReplayProfile
from ._recorder import Recorder, RecordingRefusedError
from ._replay import Pace, Replay
from ._server import ReplayServer
from .faults import (
    Fault,
    async_filter,
    cut,
    drop_usage,
    refuse_stream_options,
    reset,
    stall,
)

__all__ = [
    "Fault",
    "Pace",
    "Recorder",
    "RecordingRefusedError",
    "Replay",
    "ReplayAdapter",
    "ReplayProfile",
    "ReplayServer",
    "async_filter",
    "cut",
    "drop_usage",
    "faults",
    "refuse_stream_options",
    "reset",
    "stall",
]
