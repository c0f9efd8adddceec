"""Which ledger streams are kept in: the one that is given, or the one that is configured."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ..errors import ConfigError, UntrustedProfileError
from ..masking import shown_address
from ..records.ledger import Ledger
from .configuration import Configuration
from .references import reference

if TYPE_CHECKING:
    from ..records.ledger import LedgerChoice
    from .file import ProfileFile

__all__ = ["check_ledger", "configured_ledger_url", "find_ledger"]

ENTRY_POINT_GROUP: Final = "usagestream.ledgers"
VARIABLE: Final = "USAGESTREAM_LEDGER"
_NONE: Final = "none"
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)(?:\+[a-zA-Z0-9]+)?:")
_SQLITE: Final = "sqlite:///"
_METHODS: Final = ("begin", "end", "replace", "flush")

_ledgers: dict[tuple[str, Path], Ledger] = {}


def find_ledger(
    choice: LedgerChoice = "auto", configuration: Configuration | None = None
) -> Ledger | None:
    """Give the ledger that is meant; `None` where none is.

    `configuration` is what the one who asks has looked at already; what is in force now if `None`.
    One of each URL, shared by all clients of the process. It is opened now: raises `ConfigError`
    for a URL that no ledger is made for, for one that cannot be used, and where its package is not
    installed; `UntrustedProfileError` for a file that was found and names a place of its choosing.
    """
    if choice is None:
        return None
    if isinstance(choice, str):
        place = f"ledger={shown_address(choice)!r}"
        if choice == "auto":
            url, place = configured_ledger_url(configuration)
            return None if url is None else _opened(url, place)
        return _opened(choice, place)
    ledger: Any = choice
    if isinstance(ledger, type) or not all(hasattr(ledger, name) for name in _METHODS):
        raise ConfigError(
            "ledger must be 'auto', None, a URL as sqlite:///usage.db, or have the methods of "
            f"usagestream.Ledger, unlike {choice!r}"
        )
    return cast("Ledger", ledger)


def check_ledger(configuration: Configuration) -> None:
    """Check the configured ledger as far as can be without opening it.

    Raises `ConfigError` for what is no URL, for one that no ledger is made for, and where the
    ledger's package is not installed; `UntrustedProfileError` as `find_ledger` does.
    """
    url, place = configured_ledger_url(configuration)
    if url is not None:
        _maker(url, place)


def configured_ledger_url(configuration: Configuration | None = None) -> tuple[str | None, str]:
    """Give the URL of the configured ledger, `None` where there is none, and who says so.

    `USAGESTREAM_LEDGER`, else `ledger = "..."` in the profile file, where a SQLite file is relative
    to the folder of that. `none` turns off what the file says. What is in force now is looked at if
    `configuration` is `None`.

    Raises `ConfigError` for what is no URL, `UntrustedProfileError` as `find_ledger` does.
    """
    configuration = configuration or Configuration()
    environ = configuration.environ
    named = environ.get(VARIABLE, "").strip()
    if named:
        return (None if named == _NONE else named), VARIABLE
    file = configuration.file
    if file is None or file.ledger is None:
        return None, ""
    place = file.place("ledger")
    found = reference(file.ledger)
    url: object = file.ledger
    if found is not None and found[0] == "env":
        url = environ.get(found[1])
        if not url:
            raise ConfigError(f"{place}: the environment variable {found[1]} is not set.")
    if not isinstance(url, str) or (url != _NONE and not _SCHEME.match(url)):
        raise ConfigError(f'{place} must be a URL, as in ledger = "sqlite:///usage.db".')
    if url == _NONE:
        return None, place
    url = _beside(file, url)
    _require_trust(file, url, place)
    return url, place


def _beside(file: ProfileFile, url: str) -> str:
    """A SQLite file with a relative path is where the profile file is, whoever reads that."""
    if not url.startswith(_SQLITE) or url.startswith(f"{_SQLITE}/"):
        return url
    path, question, query = url.removeprefix(_SQLITE).partition("?")
    if not path or path == ":memory:":
        return url
    return f"{_SQLITE}{file.folder / path}{question}{query}"


def _require_trust(file: ProfileFile, url: str, place: str) -> None:
    """A file that came with somebody's folder may have records kept in that folder, and only there.

    Elsewhere it could have any file written to, or records sent to anybody.
    """
    from .trust import brought_along, is_trusted  # not for those who have no ledger

    if file.finding != "found" or is_trusted(file):
        return
    path = Path(url.removeprefix(_SQLITE).partition("?")[0])
    is_own = url.startswith(_SQLITE) and reference(file.ledger) is None
    if is_own and brought_along(file, path):
        return
    raise UntrustedProfileError(
        f"{place} is not trusted: it would keep records in {shown_address(url)!r}, outside its own "
        "folder, and the file was found, not named. If you know whose it is, trust it as it stands:"
        f" `usagestream trust {shlex.quote(str(file.path))}`; or name it in USAGESTREAM_CONFIG; or "
        f"set {VARIABLE}, to `{_NONE}` for no ledger.",
        path=str(file.path),
    )


def _opened(url: str, place: str) -> Ledger:
    key = (url, Path.cwd())
    if key not in _ledgers:
        _ledgers.setdefault(key, _made(url, place))
    return _ledgers[key]


def _made(url: str, place: str) -> Ledger:
    make = _maker(url, place)
    try:
        return cast("Ledger", make(url))
    except ImportError as exc:  # of a database's driver
        raise _unusable(place, exc) from exc


def _maker(url: str, place: str) -> Any:
    """What makes a ledger of such a URL."""
    from importlib.metadata import entry_points  # costs a tenth of this package's import

    declared = entry_points(group=ENTRY_POINT_GROUP)
    scheme = _SCHEME.match(url)
    name = scheme[1].lower() if scheme else ""
    if name not in declared.names:
        known = ", ".join(sorted(declared.names))
        raise ConfigError(
            f"{place}: no ledger is made for that; a URL begins with one of: {known}. As in "
            "sqlite:///usage.db."
        )
    try:
        return declared[name].load()
    except ImportError as exc:
        raise _unusable(place, exc) from exc


def _unusable(place: str, exc: ImportError) -> ConfigError:
    return ConfigError(f"{place}: this ledger cannot be used. {exc}")
