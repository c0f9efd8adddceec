"""The command that plays both providers, as they are or as they go wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from .screen import say
from .serving import serve_until_interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..emulator import Scenario

__all__ = ["emulate"]


@click.command(short_help="Play both providers on a local port.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
@click.option("--text", help="What every answer says.")
@click.option(
    "--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Pause between two frames."
)
@click.option("--scenario", metavar="NAME", help='What happens; "list" names them.')
@click.option("--fault", metavar="NAME", help='What goes wrong; "list" names them.')
def emulate(
    host: str,
    port: int,
    text: str | None,
    delay: float | None,
    scenario: str | None,
    fault: str | None,
) -> None:
    """Play OpenAI and Azure OpenAI on a local port until interrupted.

    Prints lines for a shell: eval them, or copy them. Any key is accepted, except one that begins
    with "wrong". Counting the tokens of questions other than the demo's takes a tokenizer:
    pip install "usagestream[estimate]".

    Every answer is as --scenario, --text, --delay and --fault say, in this order.
    """
    from ..emulator import Emulator
    from ..token_counter import installed_counter

    scenarios, faults = _scenarios(), _faults()
    asked: dict[str, tuple[str | None, Mapping[str, object]]]
    asked = {"--scenario": (scenario, scenarios), "--fault": (fault, faults)}
    for option, (name, names) in asked.items():
        if name == "list":
            say("\n".join(names))
            return
        if name is not None and _plain(name) not in names:
            said = f"there is no {name!r}; there are: {', '.join(names)}"
            raise click.BadParameter(said, param_hint=option)
    played = None if scenario is None else scenarios[_plain(scenario)]
    changes: dict[str, Any] = {} if delay is None else {"delay": delay}
    if text is not None:
        changes |= {"text": text, "choices": (), "tool_calls": (), "refusal": ()}
    if fault is not None:
        changes |= faults[_plain(fault)]
    if installed_counter() is None:
        say(
            "There is no tokenizer here, so that only the demo's question has an answer. For any: "
            'pip install "usagestream[estimate]"',
            err=True,
        )
    server = Emulator(host=host, port=port, scenario=_changed(played, changes))
    serve_until_interrupted(server, host, port)


def _changed(scenario: Scenario | None, changes: dict[str, Any]) -> Scenario | None:
    from ..emulator import Scenario

    return replace(scenario or Scenario(), **changes) if changes else scenario


def _plain(name: str) -> str:
    return name.replace("_", "-")


def _scenarios() -> Mapping[str, Scenario]:
    from ..emulator import scenarios

    return {_plain(name): getattr(scenarios, name) for name in scenarios.__all__}


def _faults() -> Mapping[str, Mapping[str, Any]]:
    """What each changes of a scenario."""
    from ..emulator import errors, scenarios

    cuts = {"cut": "clean", "drop": "drop", "reset": "reset", "stall": "stall"}
    return {
        **{name: {"cut_after_frames": 3, "cut": cut} for name, cut in cuts.items()},
        "hold": {"hold_after_done": True},
        "no-usage": {"omit_usage": True},
        "refuse-stream-options": {"stream_options_refused": "unrecognized_argument"},
        "error-frame": {
            "cut_after_frames": 3,
            "error_frame": scenarios.error_mid_stream.error_frame,
        },
        "rate-limit": {"error": errors.rate_limited()},
        "server-error": {"error": errors.SERVER_ERROR},
    }
