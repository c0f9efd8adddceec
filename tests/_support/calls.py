"""How much work something is, in a figure that no other load on the machine changes."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable

__all__ = ["calls"]


def calls(run: Callable[[], object]) -> Counter[str]:
    """Count the functions that are called: `call` those of Python, `c_call` those of C.

    What others have left is not collected meanwhile, or it would be counted.
    """
    seen: Counter[str] = Counter()

    def note(_frame: object, event: str, _argument: object) -> None:
        seen[event] += 1

    before = sys.getprofile()
    gc.disable()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
        gc.enable()
    return seen
