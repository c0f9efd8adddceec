"""Which snapshot answers for the name that was asked for."""

from __future__ import annotations

import hashlib

_DEFAULT = "gpt-4o-mini"

_SNAPSHOTS = {
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-35-turbo": "gpt-35-turbo",
    "gpt-4": "gpt-4-0613",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-5.1": "gpt-5.1-2025-11-13",
    "gpt-5.2": "gpt-5.2-2025-12-11",
    "gpt-5.4": "gpt-5.4-2026-03-05",
    "o3-mini": "o3-mini-2025-01-31",
    "o4-mini": "o4-mini-2025-04-16",
}


def snapshot(model: str) -> str:
    """Return the snapshot a model's name stands for; any other name answers as itself."""
    return _SNAPSHOTS.get(model, model)


def snapshot_behind(deployment: str) -> str:
    """Guess the snapshot behind an Azure deployment from its name, which may be anything.

    A deployment's own name is never the model that answers (WIRE trap 14), so a name that says
    nothing gets the snapshot of gpt-4o-mini.
    """
    named = [model for model in _SNAPSHOTS if deployment.startswith(model)]
    return _SNAPSHOTS[max(named, key=len, default=_DEFAULT)]


def is_older(model: str) -> bool:
    """Whether the model is of the families that still send `logprobs: null` (WIRE §1.2)."""
    return model.startswith(("gpt-3", "gpt-4"))


def fingerprint(model: str) -> str | None:
    """Return a `system_fingerprint`: older models send one, newer ones null."""
    if not is_older(model):
        return None
    return f"fp_{hashlib.sha256(model.encode()).hexdigest()[:10]}"
