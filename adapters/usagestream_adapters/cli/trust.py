"""`usagestream trust`: let a profile file that was found send secrets where it says."""

from __future__ import annotations

from pathlib import Path

import click

from .screen import say

__all__ = ["trust"]


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--forget", "forgets", is_flag=True, help="Trust it no longer.")
def trust(path: Path | None, forgets: bool) -> None:
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
            raise click.ClickException(f"There is no profile in {where}.")
        if forgets:
            was = trusting.forget(file)
            say(f"{file.path} is trusted no longer." if was else f"{file.path} was not trusted.")
            return
        trusting.trust(file)
        say(f"{file.path} is trusted as it stands.")
        for listed in list_profiles(file=file):
            if listed.trust is not None:
                say(f"  {listed.name}: {listed.trust}")
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
