"""What a value of a profile file may refer to: a variable, or a file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

from .file import ProfileFile

__all__ = ["path_of", "reference"]


def reference(value: object) -> tuple[str, str] | None:
    """Read `{ env = "NAME" }` or `{ file = "path" }`; `None` for anything else."""
    if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
        kind, target = next(iter(cast("dict[str, Any]", value).items()))
        if kind in ("env", "file") and isinstance(target, str):
            return kind, target
    return None


def path_of(file: ProfileFile, target: str) -> Path:
    """Where a file is that a profile refers to: relative to the profile file; `~` is the home."""
    path = Path(target)
    with contextlib.suppress(RuntimeError):  # nobody's home
        path = path.expanduser()
    return file.folder / path
