"""A local server that plays both providers; no behaviour that nobody has seen of them.

    with Emulator() as server:
        client = OpenAI(base_url=server.openai_base_url, api_key="any")

It answers over real HTTP with the shapes that both services send, counts real tokens, and fails on
demand: give it a `Scenario`, or one that is ready in `scenarios`. Comments that say WIRE name the
section of the project's collected wire facts that a behaviour is taken from.
"""

from __future__ import annotations

from . import scenarios
from ._default import DEMO_QUESTION
from ._request import ReceivedRequest
from .errors import REFUSALS, ErrorReply
from .scenario import Answer, Cut, Scenario, ToolCall
from .server import Emulator

__all__ = [
    "DEMO_QUESTION",
    "REFUSALS",
    "Answer",
    "Cut",
    "Emulator",
    "ErrorReply",
    "ReceivedRequest",
    "Scenario",
    "ToolCall",
    "scenarios",
]
