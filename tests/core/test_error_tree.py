"""The error tree is the one its module draws."""

from __future__ import annotations

import re

import pytest

from usagestream_core import errors
from usagestream_core.errors import (
    NotAStreamError,
    ProviderError,
    RateLimitError,
    StreamFailedError,
    UsageStreamError,
)


def drawn_tree() -> dict[str, str | None]:
    """Class names by the name of their parent, read off the drawing."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)(\w+Error)\b", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        del path[depth:]
        parents[match[2]] = path[-1] if path else None
        path.append(match[2])
    return parents


def test_classes_form_the_tree_that_is_drawn() -> None:
    """Every error is in the drawing, under its real parent."""
    real = {
        name: None if name == "UsageStreamError" else getattr(errors, name).__bases__[0].__name__
        for name in errors.__all__
    }
    assert real == drawn_tree()


def test_the_root_is_an_ordinary_exception() -> None:
    """`except Exception` catches them all."""
    assert UsageStreamError.__bases__ == (Exception,)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_says_what_it_means(name: str) -> None:
    """Each class has a sentence of its own."""
    assert getattr(errors, name).__doc__.strip().split("\n")[0].endswith((".", ","))


def test_an_error_without_a_stream_has_no_record() -> None:
    """`record` can be asked of every error."""
    assert UsageStreamError("x").record is None


def test_a_provider_error_carries_what_the_response_said() -> None:
    """The data is on the exception, not only in its text."""
    ids = {"x-request-id": "r"}
    error = RateLimitError(
        "slow down",
        provider="azure",
        status=429,
        code="429",
        request_ids=ids,
        body={"a": 1},
        retry_after=2.5,
    )
    ids.clear()
    assert vars(error) == {
        "provider": "azure",
        "status": 429,
        "code": "429",
        "request_ids": {"x-request-id": "r"},
        "body": {"a": 1},
        "retry_after": 2.5,
    }
    assert str(error) == "slow down"


def test_a_provider_error_without_a_response_knows_the_provider_only() -> None:
    """Nothing is made up for a connection that never was."""
    assert vars(ProviderError("x", provider="openai")) == {
        "provider": "openai",
        "status": None,
        "code": None,
        "request_ids": {},
        "body": None,
        "retry_after": None,
    }


def test_stream_errors_carry_what_was_sent() -> None:
    """The reported error and the beginning of a foreign body can be looked at."""
    failed = StreamFailedError("x", code="c", body={"message": "x"})
    foreign = NotAStreamError("x", body="<html>")
    assert (failed.code, failed.body) == ("c", {"message": "x"})
    assert (foreign.code, foreign.body) == (None, "<html>")
