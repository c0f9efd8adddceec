"""What people paste as an address, taken apart by whole segments of its path.

They paste a base, or any request's address that begins with it, of OpenAI's wire and of Azure's
three surfaces (WIRE §2.3, §3.2), with a gateway's prefix before it. A prefix may hold any of the
words that mean something further on, and a deployment may be called by one: what stands last wins,
and a name is a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

__all__ = ["Pasted", "deployment_in", "take_apart"]

Surface: TypeAlias = Literal["none", "openai", "v1", "models"]

Segments: TypeAlias = tuple[str, ...]

_OPERATIONS: Final[frozenset[Segments]] = frozenset(
    {("chat", "completions"), ("completions",), ("embeddings",), ("responses",)}
)
"""What may stand behind any base, also one that ends in a gateway's prefix."""
_MORE_OPERATIONS: Final = _OPERATIONS | frozenset(
    tuple(each.split("/"))
    for each in (
        "audio/speech", "audio/transcriptions", "audio/translations", "batches", "chat", "files",
        "images/edits", "images/generations", "models", "moderations", "realtime",
    )
)  # fmt: skip
"""What stands behind `/v1` or `/openai` only, and may be part of a prefix elsewhere."""
_INFERENCE: Final[frozenset[Segments]] = frozenset(
    {("chat",), ("chat", "completions"), ("completions",), ("embeddings",), ()}
)
"""What stands behind the `/models` of Foundry's model inference."""
_LONGEST: Final = 2

_NAMING: Final = ("openai", "deployments")
_BEGINNINGS: Final[tuple[Segments, ...]] = (("v1",), ("deployments",))


@dataclass(frozen=True, slots=True)
class Pasted:
    """A path as it is read. Paths have no slash at their end."""

    base: str
    """All but the operation: what the SDK calls a base."""
    prefix: str
    """What stands before the surface, without a Foundry project."""
    surface: Surface
    """Which of Azure's surfaces is named: `/openai`, `/openai/v1`, `/models` or none."""
    deployment: str | None = None
    project: str | None = None


def take_apart(path: str) -> Pasted:
    """Read a path. Segments that are empty say nothing."""
    segments = tuple(segment for segment in path.split("/") if segment)
    lower = tuple(segment.lower() for segment in segments)
    for place in reversed(range(len(segments))):
        rest = lower[place + 1 :]
        if lower[place] != "openai" or (surface := _surface(rest, is_first=place == 0)) is None:
            continue
        if lower[max(place - 2, 0) : place] == _NAMING and rest[:1] not in _BEGINNINGS:
            continue  # a deployment that is called so
        named = segments[place + 2] if rest[:1] == _NAMING[1:] and len(rest) > 1 else None
        kept = place + 1 if named is None else place + 3
        prefix, project = _without_project(segments[:place])
        return Pasted(
            base=_path(_without_operation(segments, kept)),
            prefix=prefix,
            surface=surface,
            deployment=None if named is None else unquote(named),
            project=project,
        )
    return _unmarked(segments, lower)


def deployment_in(path: str) -> str | None:
    """The deployment that a path names, be it on Azure's surface or behind a gateway's own."""
    found = take_apart(path)
    if found.deployment is not None or found.surface in ("v1", "models"):
        return found.deployment
    segments = found.base.split("/")[1:]
    is_named = len(segments) > 1 and segments[-2].lower() == "deployments"
    return unquote(segments[-1]) if is_named else None


def _surface(rest: Segments, *, is_first: bool) -> Surface | None:
    """What `/openai` begins, seen by what follows; `None` where it is a word in a prefix."""
    first = rest[0] if rest else ""
    if first == "v1":
        return "v1"
    if first in ("", "deployments") or rest in _MORE_OPERATIONS:
        return "openai"
    # A version that nobody knows yet is none of a gateway's own.
    return "openai" if is_first and _is_version(first) else None


def _unmarked(segments: Segments, lower: Segments) -> Pasted:
    base = _path(_without_operation(segments, 0))
    for place in reversed(range(len(segments))):
        if lower[place] == "models" and lower[place + 1 :] in _INFERENCE:
            prefix, project = _without_project(segments[:place])
            return Pasted(base=base, prefix=prefix, surface="models", project=project)
    prefix, project = _without_project(_without_operation(segments, 0))
    return Pasted(base=base, prefix=prefix, surface="none", project=project)


def _without_operation(segments: Segments, kept: int) -> Segments:
    """Drop the operation at the end, if it is one; `kept` segments are something else."""
    for length in range(_LONGEST, 0, -1):
        base, last = segments[:-length], tuple(each.lower() for each in segments[-length:])
        if len(base) < kept or len(last) < length:
            continue
        is_behind = bool(base) and (base[-1].lower() == "openai" or _is_version(base[-1]))
        if last in _OPERATIONS or (is_behind and last in _MORE_OPERATIONS):
            return base
    return segments


def _without_project(segments: Segments) -> tuple[str, str | None]:
    """Drop a Foundry project, whose models are those of its resource."""
    if [each.lower() for each in segments[-3:-1]] == ["api", "projects"]:
        return _path(segments[:-3]), segments[-1]
    return _path(segments), None


def _is_version(segment: str) -> bool:
    return re.fullmatch(r"v\d+\w*", segment.lower()) is not None


def _path(segments: Segments) -> str:
    return "".join(f"/{segment}" for segment in segments)
