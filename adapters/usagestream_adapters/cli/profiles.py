"""`usagestream profiles`: which profiles there are, and where each value comes from."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from .screen import lay_out, say, say_json

if TYPE_CHECKING:
    from usagestream_core.profiles.listing import ListedProfile

__all__ = ["profiles"]


@click.command(short_help="List profiles, and where values come from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def profiles(as_json: bool) -> None:
    """List the profiles, and where each of their values comes from. Shows no secret.

    Reads usagestream.toml, [tool.usagestream] in pyproject.toml, or the environment, as a program
    in this folder would. Sends nothing. The profile that is used where none is named has a star.
    Exits with 1 if one cannot be used that a file holds or the environment describes, or the
    configured ledger or telemetry.
    """
    from usagestream import ConfigError
    from usagestream_core.profiles.listing import check_beside_profiles, list_profiles

    try:
        listed = list_profiles()
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    is_broken = any(each.configured and each.problem is not None for each in listed)
    if as_json:
        say_json(json.dumps([dataclasses.asdict(each) for each in listed], indent=2, default=str))
    else:
        say("\n\n".join(_shown(each) for each in listed) or "There is no profile in the file.")
    try:
        check_beside_profiles()
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from exc
    raise SystemExit(1 if is_broken else 0)


def _shown(profile: ListedProfile) -> str:
    star = "* " if profile.chosen else "  "
    lines = [lay_out([(f"{star}{profile.name}", f"({profile.origin})")])]
    rows = [(each.field, _text(each.value), each.origin) for each in profile.values]
    said = [row for row in rows if row[1]]
    lines += [lay_out(said, indent=4)] if said else []
    if profile.trust is not None and profile.trust not in (profile.problem or ""):
        lines.append(lay_out([(profile.trust,)], indent=4))
    if profile.problem is not None:
        lines.append(
            lay_out([("!", line) for line in profile.problem.splitlines()], indent=4, gap=1)
        )
    return "\n".join(lines)


def _text(value: object) -> str:
    """A value as it is shown; nothing for one that is left open."""
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
