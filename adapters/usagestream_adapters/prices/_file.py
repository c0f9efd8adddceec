"""The user's price file: where it is, what is wrong with it, and which entry is for a record."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from usagestream_core.errors import ConfigError
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.file import suggestion

from ._entries import Entry, FileRate

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic_core import ErrorDetails

    from ._facts import Facts

__all__ = ["PriceFile", "configured_prices", "known_corrections", "read_prices"]

_HEADER: Final = re.compile(r"^\s*\[\[\s*([\w.\s-]+?)\s*\]\]")
_ANY_HEADER: Final = re.compile(r"^\s*\[")


class _Contents(BaseModel, frozen=True):
    model_config = ConfigDict(extra="forbid")

    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    rate: FileRate | None = Field(default=None, gt=0)
    """Units of the currency for one US dollar: what list prices are multiplied by."""
    price: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceFile:
    """Prices that were read and checked."""

    source: str
    """What costs call it: its name and the beginning of its SHA-256, or the date of corrections."""
    currency: str
    rate: Decimal | None
    entries: tuple[Entry, ...]

    def first(self, facts: Facts, names: Collection[str]) -> Entry | None:
        """The first entry that is for this; the order is the file's."""
        return next((entry for entry in self.entries if entry.holds(facts, names)), None)


def read_prices(path: str | os.PathLike[str]) -> PriceFile:
    """Read a file of prices. Raises `ConfigError`, naming file and line, for one that is wrong."""
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: the price file cannot be read: {exc}") from exc
    return _checked(path, text, table)


def configured_prices(configuration: Configuration | None = None) -> PriceFile | None:
    """The prices that the profile file in force has, or names; `None` where it says nothing.

    Raises `ConfigError` as `read_prices` does, and for a profile file that cannot be read.
    """
    profiles = (configuration or Configuration()).file
    if profiles is None or not profiles.prices:
        return None
    table = dict(profiles.prices)
    named = table.pop("file", None)
    if named is None:
        return _checked(profiles.path, profiles.text, table, (*profiles.prefix, "prices"))
    where = profiles.place("prices", "file")
    if not isinstance(named, str):
        raise ConfigError(f"{where} must be a path.")
    if table:
        raise ConfigError(f"{where}: the prices are in that file, so {next(iter(table))!r} is too.")
    path = profiles.path.parent / Path(named).expanduser()
    if not path.is_file():
        raise ConfigError(f"{where} names {named!r}, and there is no such file.")
    return read_prices(path)


def known_corrections() -> PriceFile:
    """What is known to be wrong in the installed list: a file of the same kind, shipped with us."""
    table = tomllib.loads(Path(__file__).with_name("_known.toml").read_text("utf-8"))
    dated = table.pop("dated")
    contents = _Contents.model_validate(table)
    return PriceFile(f"usagestream corrections {dated}", contents.currency, None, contents.price)


def _checked(path: Path, text: str, table: object, prefix: tuple[str, ...] = ()) -> PriceFile:
    lines = _Lines(path, text, prefix)
    try:
        contents = _Contents.model_validate(table)
    except ValidationError as exc:
        raise ConfigError("\n".join(_line(each, lines) for each in exc.errors())) from None
    if contents.currency != "USD" and contents.rate is None:
        raise ConfigError(
            f"{lines.of('currency')}: lists are in USD, so give the rate as well: how many "
            f"{contents.currency} one US dollar is."
        )
    if contents.currency == "USD" and contents.rate is not None:
        raise ConfigError(f"{lines.of('rate')}: a rate is of a currency other than USD: name it.")
    for number, entry in enumerate(contents.price):
        for earlier, other in enumerate(contents.price[:number]):
            if entry.overlaps(other):
                raise ConfigError(
                    f"{lines.of('price', number)}: overlaps the entry of line "
                    f"{lines.number('price', earlier)}, which is for the same: give both their "
                    "days, from and until (the first day after)."
                )
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    source = f"file:{path.name}#{digest}"
    return PriceFile(source, contents.currency, contents.rate, contents.price)


def _line(each: ErrorDetails, lines: _Lines) -> str:
    keys = list(each["loc"])
    where = lines.of(*keys)
    if each["type"] == "extra_forbidden":
        known = list(_Contents.model_fields)
        if len(keys) > 1:
            known = [field.alias or name for name, field in Entry.model_fields.items()]
        return f"{where} is no setting of prices: {suggestion(str(keys[-1]), known)}"
    value = each["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float) else ""
    message = each["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"


class _Lines:
    """Finds the line of a key, of which entries in a row have the same."""

    def __init__(self, path: Path, text: str, prefix: tuple[str, ...]) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._prefix = prefix

    def of(self, *keys: str | int) -> str:
        """Say where a key is: file, line where that can be told, and the key."""
        line = self.number(*keys)
        where = str(self._path) if line is None else f"{self._path}:{line}"
        names = [str(key) for key in (*self._prefix, *keys) if not isinstance(key, int)]
        return f"{where}: {'.'.join(names)}"

    def number(self, *keys: str | int) -> int | None:
        """The line of a key, or of the entry it is in; `None` where neither has one of its own."""
        start, end = 0, len(self._lines)
        rest = list(keys)
        found: int | None = None
        if len(rest) > 1 and isinstance(rest[1], int):
            headers = [n for n, line in enumerate(self._lines) if self._is_header(line, rest[0])]
            if rest[1] < len(headers):
                start = headers[rest[1]] + 1
                found = start
                end = next((n for n in range(start, end) if _ANY_HEADER.match(self._lines[n])), end)
                rest = rest[2:]
            else:
                rest = rest[:1]
        for number in range(start, end):
            key = self._lines[number].partition("=")[0].strip().strip("\"'")
            if rest and key == rest[0]:
                return number + 1
        return found

    def _is_header(self, line: str, key: object) -> bool:
        header = _HEADER.match(line)
        return header is not None and header[1] == ".".join((*self._prefix, str(key)))
