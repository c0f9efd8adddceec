"""The file that holds named profiles: where it is looked for, and how it is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from ..errors import ConfigError

__all__ = ["Finding", "ProfileFile", "find_file", "looked_for", "read_file", "suggestion"]

Finding: TypeAlias = Literal["named", "found", "own"]
"""How a file came to be read: named by `USAGESTREAM_CONFIG`; found in the current folder or above;
or found in the user's own configuration folder."""

_TABLE: Final = re.compile(r"""\s*\[+((?:[^\]"']|"[^"]*"|'[^']*')*)\]""")
_KEYS: Final = re.compile(r""""[^"]*"|'[^']*'|[\w-]+""")
_PYPROJECT_TABLE: Final = ("tool", "usagestream")
_SETTINGS: Final = ("default", "ledger", "prices", "profiles", "telemetry")


@dataclass(frozen=True, kw_only=True)
class ProfileFile:
    """A profile file that was read; what it says of each profile is not checked yet."""

    path: Path
    prefix: tuple[str, ...]
    """Where in the file our table is: nowhere special, or `tool.usagestream`."""
    default: str | None
    profiles: Mapping[str, Mapping[str, Any]]
    telemetry: object = None
    """What the file says of it; not checked yet."""
    ledger: object = None
    """What it says of the ledger; not checked yet."""
    prices: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it says of prices, not checked yet; empty where it says nothing."""
    text: str = field(repr=False)
    finding: Finding = "found"
    mistakes: tuple[str, ...] = ()
    """What is wrong with the file itself, beside what may be wrong with a profile in it."""

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return self.path.parent

    def place(self, *keys: str) -> str:
        """Say where a key is: file, line where that can be told, and the path of the key."""
        return place(self.path, self.text, (*self.prefix, *keys))


def find_file(
    environ: Mapping[str, str], start: Path | None = None, *, strict: bool = True
) -> ProfileFile | None:
    """Read the profile file that is in force, or return `None` where there is none.

    That is the one that `USAGESTREAM_CONFIG` names; else the nearest `usagestream.toml`, or
    `pyproject.toml` with a table `tool.usagestream`, in the folder `start` (by default the current
    one) or above it; else `usagestream.toml` in the user's configuration folder. Files are not
    merged.

    Raises `ConfigError` for a file that cannot be read, naming the file and the line; and, if
    `strict`, for one that has `mistakes`, naming them all.
    """
    file = _found(environ, start)
    return _sound(file) if strict else file


def _found(environ: Mapping[str, str], start: Path | None) -> ProfileFile | None:
    named = environ.get("USAGESTREAM_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"USAGESTREAM_CONFIG names {named!r}, and there is no such file.")
        return _read(path, "named")
    for path in _candidates(start.resolve() if start else Path.cwd()):
        if path.is_file():
            found = _read(path, "found")
            if found is not None:
                return found
    own = _own_file()
    return _read(own, "own") if own.is_file() else None


def read_file(path: Path) -> ProfileFile | None:
    """Read this file, as if it had been found; `None` for a `pyproject.toml` without our table.

    Raises `ConfigError` as `find_file` does.
    """
    return _sound(_read(path.parent.resolve() / path.name, "found"))


def _sound(file: ProfileFile | None) -> ProfileFile | None:
    if file is not None and file.mistakes:
        raise ConfigError("\n".join(file.mistakes))
    return file


def looked_for(start: Path | None = None) -> str:
    """Say where a profile file is looked for."""
    return (
        "USAGESTREAM_CONFIG is not set; there is no usagestream.toml, and no pyproject.toml with a "
        f"table [tool.usagestream], in {(start or Path.cwd()).resolve()} or a folder above it; and "
        f"there is no {_own_file()}"
    )


def suggestion(name: str, known: list[str]) -> str:
    """Point at a near name, or list them all."""
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(known) or 'none'}."


def place(path: Path, text: str, keys: tuple[str, ...]) -> str:
    """Say where in a file a key is."""
    line = line_of(text, keys)
    where = str(path) if line is None else f"{path}:{line}"
    return f"{where}: {'.'.join(keys)}" if keys else where


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """The line of a key, or of the nearest table around it that is written on a line of its own."""
    table: tuple[str, ...] = ()
    deepest, found = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        if header:
            here = table = _keys(header[1])
        else:
            left, equals, _ = line.partition("=")
            if not equals or left.lstrip().startswith("#"):
                continue
            here = table + _keys(left)
        common = min(len(here), len(keys))
        if common > deepest and here[:common] == keys[:common]:
            deepest, found = common, number
    return found


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip("\"'") for key in _KEYS.findall(text))


# A program asks many times, mostly from one folder: the names are kept, and whether there are
# such files is looked at each time.
@lru_cache(maxsize=16)
def _candidates(folder: Path) -> tuple[Path, ...]:
    names = ("usagestream.toml", "pyproject.toml")
    return tuple(each / name for each in (folder, *folder.parents) for name in names)


def _own_file() -> Path:
    from platformdirs import user_config_path  # slow to import, and the last place to look

    return user_config_path("usagestream", appauthor=False) / "usagestream.toml"


def _read(path: Path, finding: Finding) -> ProfileFile | None:
    """Read a file; `None` for a `pyproject.toml` that does not mention us."""
    prefix: tuple[str, ...] = ()
    try:
        text = path.read_text("utf-8-sig")
        if path.name == "pyproject.toml":
            if "usagestream" not in text:
                return None
            prefix = _PYPROJECT_TABLE
        table: Any = _parsed(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 at byte {exc.start}.") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
    for key in prefix:
        table = cast("dict[str, Any]", table).get(key) if isinstance(table, dict) else None
    if table is None:
        return None
    if path.parent.name == "usagestream" and path == _own_file().resolve():
        finding = "own"
    return replace(_checked(path, text, prefix, deepcopy(table)), finding=finding)


# A client is made for each request by some, and a file is read for each client.
@lru_cache(maxsize=16)
def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _checked(path: Path, text: str, prefix: tuple[str, ...], table: object) -> ProfileFile:
    mistakes: list[str] = []

    def wrong(what: str, *keys: str) -> None:
        mistakes.append(f"{place(path, text, (*prefix, *keys))} {what}")

    settings: dict[str, Any] = {}
    if isinstance(table, dict):
        settings = cast("dict[str, Any]", table)
    else:
        wrong("must be a table.")
    for key in settings:
        if key not in _SETTINGS:
            known = suggestion(key, list(_SETTINGS))
            wrong(f"is no setting of usagestream: {known}", key)
    prices = settings.get("prices", {})
    if not isinstance(prices, dict):
        wrong('must be a table: write [prices], and in it file = "...".', "prices")
    default, named = _checked_profiles(settings, wrong)
    return ProfileFile(
        path=path,
        prefix=prefix,
        default=default,
        profiles=named,
        telemetry=settings.get("telemetry"),
        ledger=settings.get("ledger"),
        prices=cast("dict[str, Any]", prices) if isinstance(prices, dict) else {},
        text=text,
        mistakes=tuple(mistakes),
    )


def _checked_profiles(
    settings: Mapping[str, Any], wrong: Callable[..., None]
) -> tuple[str | None, dict[str, Any]]:
    """The default profile and the profiles by name; `wrong` is told of each mistake."""
    profiles = settings.get("profiles", {})
    named: dict[str, Any] = {}
    if isinstance(profiles, dict):
        named = cast("dict[str, Any]", profiles)
    else:
        wrong("must be a table of profiles, as in [profiles.openai].", "profiles")
    for name, profile in named.items():
        if not isinstance(profile, dict):
            wrong(f"must be a table: write [profiles.{name}].", "profiles", name)
    default = settings.get("default")
    is_there = default is None or (isinstance(default, str) and default in named)
    if isinstance(profiles, dict) and not is_there:
        wrong(
            f"names the profile {default!r}, which is not there: "
            f"{suggestion(str(default), list(named))}",
            "default",
        )
    return default, {name: each for name, each in named.items() if isinstance(each, dict)}
