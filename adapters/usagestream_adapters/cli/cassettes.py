"""The commands about cassettes; `usagestream` shows them as its group `cassettes`."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import click

from .screen import say, say_json
from .serving import serve_until_interrupted

__all__ = ["cassettes"]

_MISSING = 'This needs vcrpy and PyYAML: pip install "usagestream[replay]"'
_PATH = click.Path(exists=True, path_type=Path)


@click.group(short_help="Look into recorded exchanges.")
def cassettes() -> None:
    """Look into recorded exchanges, whatever tool recorded them."""


@cassettes.command(short_help="Find secrets in files.")
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Find secrets and resource names in files, or in all files of a folder.

    Reads vcrpy's YAML and JSON, other tools' JSON, and anything else as text. Looks for what
    secrets look like and for the values of the variables in the environment that hold one. Prints
    FILE:LINE and what it found, masked, and exits with 1 if there was something.
    """
    try:
        from ..cassettes.check import check_file, files_below
    except ImportError as exc:
        raise click.ClickException(_MISSING) from exc
    files = [file for path in paths for file in files_below(path)]
    found: list[dict[str, object]] = []
    for file in files:
        for finding in check_file(file, os.environ):
            found.append({"file": str(file), **dataclasses.asdict(finding)})
            if not as_json:
                say(f"{file}:{finding.line}: {finding}")
    if as_json:
        say_json(json.dumps({"files": len(files), "findings": found}, indent=2))
    many = "1 file" if len(files) == 1 else f"{len(files)} files"
    say(f"{len(found) or 'Nothing'} found in {many}.", err=True)
    raise SystemExit(1 if found else 0)


@cassettes.command(short_help="Print one readably.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def show(file: Path) -> None:
    """Print a cassette readably: each request, the frames of its answer, the usage."""
    from usagestream_core.errors import ConfigError

    try:
        from ..cassettes import show as _show
    except ImportError as exc:
        raise click.ClickException(_MISSING) from exc
    try:
        for line in _show.show(file):
            say(line)
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc


@cassettes.command(short_help="Answer from them on a local port.")
@click.argument("path", type=_PATH)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8766, show_default=True, type=click.IntRange(0, 65535))
@click.option("--recorded-pace", is_flag=True, help="Wait between reads as long as was recorded.")
def serve(path: Path, host: str, port: int, recorded_pace: bool) -> None:
    """Answer from a cassette, or a folder of them, on a local port until interrupted.

    No key is looked at. A request that nothing answers is refused with status 501.
    """
    from usagestream_core.errors import ConfigError

    from ..replay import Replay, ReplayServer

    try:
        replay = Replay(path, pace="recorded" if recorded_pace else "at_once")
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    serve_until_interrupted(ReplayServer(replay, host=host, port=port), host, port)
