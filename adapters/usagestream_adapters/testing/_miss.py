"""One sentence for a request that no recording answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..cassettes.addresses import is_token_request
from ..cassettes.match import body_differences

__all__ = ["describe_miss"]

_RECORD = "Run it once with --record-mode=rewrite to record it."


def describe_miss(cassette: Any, request: Any, asked: Any, name: str) -> str:
    """Say what was asked, what of it is recorded, and what to do.

    `asked` is the request as it would be recorded.
    """
    if is_token_request(request.uri):
        host = urlsplit(str(request.uri)).hostname
        return (
            f"A request for an access token went to {host}: those are never recorded, so give the "
            "client a fixed token where the fixture record_mode is 'none'."
        )
    what = f"{asked.method} {asked.uri}"
    if not len(cassette):
        return f"There is no recording in {name} to answer {what} with. {_RECORD}"
    nearest = cassette.find_requests_with_most_matches(asked)
    if not nearest:
        return f"Nothing like {what} is recorded in {name}. {_RECORD}"
    if not nearest[0][2]:
        times = len(cassette.responses_of(asked))
        return (
            f"{name} answers {what} {_times(times)}, and it was sent once more than that. {_RECORD}"
        )
    recorded, _, failed = min(nearest, key=lambda one: len(list(body_differences(asked, one[0]))))
    position = next(number for number, one in enumerate(cassette.requests, 1) if one is recorded)
    why = "; ".join(str(reason or f"its {matcher}") for matcher, reason in failed)
    return (
        f"Nothing recorded in {name} answers {what}. The nearest, request {position} of "
        f"{len(cassette)}, differs in {why}. {_RECORD}"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
