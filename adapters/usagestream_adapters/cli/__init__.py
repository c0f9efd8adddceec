"""The command, one file for each of its commands; it shows what others do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .command import main

__all__ = ["main", "run"]


def run(**settings: Any) -> None:
    """Be the program `usagestream`. Ctrl-C ends it without a word while it is loaded, too.

    `settings` are those of `click.Command.main`.
    """
    try:
        from .command import main
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    main(**settings)


def __getattr__(name: str) -> object:
    # On use, so that `run` sees what interrupts the import.
    if name == "main":
        from .command import main

        return main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
