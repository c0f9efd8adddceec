"""`usagestream trust`: let a profile file that was found send secrets where it says."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .screen import lay_out, say, say_json

__all__ = ["trust"]


@click.command(short_help="Trust a profile file that was found.")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--forget", "forgets", is_flag=True, help="Trust it no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def trust(path: Path | None, forgets: bool, as_json: bool) -> None:
    """Trust the profile file at PATH as it stands, until it changes.

    Look at it first: its profiles may send your keys, and tokens of your identity, to the addresses
    that it names. PATH is a file or a folder; without it, the file is meant that a program in this
    folder would find. Sends nothing, and shows what the trusted profiles would send where.
    """
    from usagestream import ConfigError
    from usagestream_core.profiles import trust as trusting
    from usagestream_core.profiles.file import find_file, read_file
    from usagestream_core.profiles.listing import list_profiles

    try:
        is_file = path is not None and path.is_file()
        file = read_file(path) if path is not None and is_file else find_file({}, path)
        if file is None:
            where = path if is_file else f"{path or Path.cwd()} or above it"
            raise click.ClickException(
                f"There is no profile in {where}: profiles stand in usagestream.toml, or in "
                "[tool.usagestream] of pyproject.toml."
            )
        if forgets:
            was = trusting.forget(file)
            said = "is trusted no longer" if was else "was not trusted"
            pairings: dict[str, str] = {}
        else:
            trusting.trust(file)
            said = "is trusted as it stands"
            listed = list_profiles(file=file)
            pairings = {each.name: each.trust for each in listed if each.trust is not None}
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    if as_json:
        found = {"file": str(file.path), "trusted": not forgets, "profiles": pairings}
        say_json(json.dumps(found, indent=2))
        return
    say(f"{file.path} {said}.")
    if pairings:
        say(lay_out([(f"{name}:", why) for name, why in pairings.items()], indent=2, gap=1))
