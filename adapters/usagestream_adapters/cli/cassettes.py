"""The commands about cassettes; `usagestream` shows them as its group `cassettes`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .screen import say
from .serving import serve_until_interrupted

__all__ = ["cassettes"]

_MISSING = 'This needs vcrpy and PyYAML: pip install "usagestream[replay]"'
_PATH = click.Path(exists=True, path_type=Path)


@click.group()
def cassettes() -> None:
    """Look into recorded exchanges, whatever tool recorded them."""


@cassettes.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
def check(paths: tuple[Path, ...]) -> None:
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
    found = 0
    for file in files:
        for finding in check_file(file, os.environ):
            found += 1
            say(f"{file}:{finding.line}: {finding}")
    many = "1 file" if len(files) == 1 else f"{len(files)} files"
    say(f"{found or 'Nothing'} found in {many}.", err=True)
    raise SystemExit(1 if found else 0)


@cassettes.command()
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


@cassettes.command()
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
