"""Whether a profile file may send secrets of the user's where it says.

A file that was merely found may have come with somebody else's folder: a clone, an unpacked
archive. It may not pair a secret that it did not bring along (of the environment, of this host, of
a file outside its folder) with an address that is not the provider's own, until the user has
trusted it as it stands, once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ..errors import ConfigError, UntrustedProfileError
from ..masking import shown_address
from ..profile import Profile, is_unset, mapping_fields, secret_fields
from .file import ProfileFile
from .references import path_of, reference

__all__ = [
    "Pairing",
    "Trust",
    "brought_along",
    "forget",
    "is_trusted",
    "judge",
    "pairing",
    "require_trust",
    "trust",
]

_LARGEST: Final = 1 << 20
"""What is read of a file that a profile refers to, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether a profile may be used as it is."""

    given: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What would be sent where; both in words, without a secret."""

    secrets: tuple[str, ...]
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' and '.join(self.secrets)} to {' and '.join(self.addresses)}"


def judge(file: ProfileFile, profile: Profile, environ: Mapping[str, str]) -> Trust:
    """Say whether a profile of this file may be used, and why. It is judged as it would be used."""
    if file.finding == "named":
        return Trust(given=True, why="trusted: USAGESTREAM_CONFIG names its file")
    if file.finding == "own":
        return Trust(given=True, why="trusted: its file is in your configuration folder")
    pair = pairing(file, profile, environ)
    if pair is None:
        return Trust(
            given=True, why="needs no trust: sends no secret of yours to an address of its own"
        )
    if is_trusted(file):
        return Trust(given=True, why=f"trusted with `usagestream trust`: sends {pair}")
    return Trust(given=False, why=f"not trusted: would send {pair}")


def require_trust(file: ProfileFile, profile: Profile, environ: Mapping[str, str]) -> Trust:
    """`judge`, raising `UntrustedProfileError` for a profile that may not be used."""
    verdict = judge(file, profile, environ)
    if not verdict.given:
        raise UntrustedProfileError(
            f"{file.place('profiles', profile.name or '')} is {verdict.why}, which is not the "
            "provider's own, and the file was found, not named. If you know whose it is, trust it "
            f"as it stands: `usagestream trust {shlex.quote(str(file.path))}`; or name it in "
            "USAGESTREAM_CONFIG.",
            path=str(file.path),
        )
    return verdict


def pairing(file: ProfileFile, profile: Profile, environ: Mapping[str, str]) -> Pairing | None:
    """Give what a profile would send of the user's, and to which addresses of the file's choosing.

    The profile is filled from the environment first: a key it leaves open is the environment's.
    An address from the variable that the provider's own SDK reads is the user's choice.
    """
    filled = profile.filled(environ)
    table = file.profiles[profile.name or ""]
    addresses = {
        name: value
        for name, value in filled.foreign_addresses().items()
        if name in table and reference(table[name]) != ("env", filled.variables.get(name))
    }
    secrets = (
        *_from_outside(file, profile.name or "", type(profile)),
        *_from_environment(filled, table),
        *filled.ambient_secrets(environ),
    )
    if not addresses or not secrets:
        return None
    return Pairing(
        secrets=secrets,
        addresses=tuple(_shown(name, table[name], addresses[name]) for name in addresses),
    )


def trust(file: ProfileFile) -> None:
    """Trust a file as it stands, until it or a file of its folder that it refers to changes.

    Raises `ConfigError` where that cannot be kept.
    """
    _keep({**_known(), str(file.path): _digest(file)})


def is_trusted(file: ProfileFile) -> bool:
    """Whether the user has trusted a file as it stands."""
    return _known().get(str(file.path)) == _digest(file)


def brought_along(file: ProfileFile, path: Path) -> bool:
    """Whether a path is in the folder of this file, and that is not the user's home or above it."""
    return _came_along(path, file.folder)


def forget(file: ProfileFile) -> bool:
    """Trust a file no longer; return whether it was trusted in some state."""
    known = _known()
    was = known.pop(str(file.path), None) is not None
    if was:
        _keep(known)
    return was


def _shown(name: str, written: object, value: str) -> str:
    """An address; where it is from elsewhere, that, since it may be anything."""
    found = reference(written)
    where = shown_address(value) if found is None else f"{{ {found[0]} = {found[1]!r} }}"
    return f"{name} {where!r}" if found is None else f"{name} {where}"


def _from_outside(file: ProfileFile, name: str, kind: type[Profile]) -> Iterator[str]:
    """What the file takes from the environment, or from a file that is not in its folder."""
    table, mappings = file.profiles[name], mapping_fields(kind)
    for key, value in table.items():
        inner: Mapping[str, Any] = {key: value}
        if key == "headers" and isinstance(value, dict):
            headers = cast("dict[str, Any]", value)
            inner = {f"headers[{header!r}]": each for header, each in headers.items()}
        elif key in mappings:
            continue
        for shown, each in inner.items():
            found = reference(each)
            is_own_address = key in kind.variables and found == ("env", kind.variables[key])
            if found is None or (is_own_address and key not in secret_fields(kind)):
                continue
            if found[0] == "env":
                yield f"{shown} (environment variable {found[1]})"
            elif not _came_along(path_of(file, found[1]), file.folder):
                yield f"{shown} (file {found[1]})"


def _from_environment(filled: Profile, table: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(secret_fields(type(filled)) - table.keys()):
        if not is_unset(getattr(filled, name)):
            yield f"{name} (environment variable {filled.variables.get(name, '')})"


def _came_along(path: Path, folder: Path) -> bool:
    """Whether a file came with the folder. With the user's home, or what is above it, none did."""
    home = Path.home().resolve()
    return _is_inside(path, folder) and not home.is_relative_to(folder.resolve())


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # too many links, no path at all
        return False


def _digest(file: ProfileFile) -> str:
    """What the file says, comments left out, and what the files of its folder say that it names."""
    named = {target: path_of(file, target) for target in _targets(file.profiles)}
    said: dict[str, object] = {
        "default": file.default,
        "profiles": file.profiles,
        "files": {
            target: _content(path)
            for target, path in named.items()
            if _is_inside(path, file.folder)
        },
    }
    if file.ledger is not None:  # a file without one keeps the trust it was given before
        said["ledger"] = file.ledger
    text = json.dumps(said, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _targets(value: object) -> Iterator[str]:
    found = reference(value)
    if found is not None and found[0] == "file":
        yield found[1]
    elif isinstance(value, Mapping):
        for each in cast("Mapping[str, Any]", value).values():
            yield from _targets(each)


def _content(path: Path) -> str | None:
    try:
        with path.open("rb") as opened:
            return hashlib.sha256(opened.read(_LARGEST)).hexdigest()
    except OSError:
        return None


def _store() -> Path:
    from platformdirs import user_state_path  # slow to import

    return user_state_path("usagestream", appauthor=False) / "trusted.json"


def _known() -> dict[str, str]:
    """The digest of each trusted file by its path. What cannot be read trusts nothing."""
    with contextlib.suppress(OSError, ValueError):
        known: Any = json.loads(_store().read_text("utf-8"))
        if isinstance(known, dict):
            entries = cast("dict[str, Any]", known)
            return {path: each for path, each in entries.items() if isinstance(each, str)}
    return {}


def _keep(known: Mapping[str, str]) -> None:
    store = _store()
    unfinished = store.with_suffix(f".{os.getpid()}")
    try:
        store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.write_text(json.dumps(known, indent=2), "utf-8")
        unfinished.replace(store)
    except OSError as exc:
        raise ConfigError(f"{store} cannot be written, so that nothing is trusted: {exc}") from exc
