"""`python -m benchmarks.sdk_suite`, on a small suite of the shape of the SDK's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks import sdk_suite

SUITE = {
    "conftest.py": """
import openai, pytest

@pytest.fixture(scope="session")
def client():
    with openai.OpenAI(api_key="k") as client:
        yield client
""",
    "test_clients.py": """
import openai, pytest
from openai import AsyncOpenAI, OpenAI

def test_that_differs(client):
    assert not hasattr(client, "with_tags")

@pytest.mark.parametrize("kind", [0])
def test_that_is_the_same(client, kind):
    assert isinstance(client, OpenAI)
    assert isinstance(OpenAI(api_key="k"), openai.OpenAI)
    assert issubclass(openai.OpenAI, OpenAI)
    assert OpenAI.copy

def test_of_its_own_clients():
    for kind in (OpenAI, AsyncOpenAI):
        assert not hasattr(kind(api_key="k"), "with_tags")

def test_of_a_subclass():
    class Sub(OpenAI):
        pass
    assert not hasattr(Sub(api_key="k"), "with_tags")

def test_that_fails_anyway(client):
    assert False

@pytest.mark.skip(reason="not here")
def test_that_is_skipped():
    pass
""",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with tests."""
    tests = tmp_path / "tests"
    tests.mkdir()
    for name, text in SUITE.items():
        (tests / name).write_text(text)
    return tmp_path


@pytest.mark.slow
def test_clients_are_tracked(checkout: Path) -> None:
    """Those of fixtures, and those that a test makes; what is no client stays what it is."""
    outcomes = sdk_suite.outcomes(sys.executable, checkout, ["tests"], tracked=True)
    assert {name.rpartition("::")[2]: how.partition(":")[0] for name, how in outcomes.items()} == {
        "test_that_differs": "failure",
        "test_that_is_the_same[0]": "",
        "test_of_its_own_clients": "failure",
        "test_of_a_subclass": "",
        "test_that_fails_anyway": "failure",
        "test_that_is_skipped": "skipped",
    }


def test_a_report() -> None:
    """What came of each test, and of one that was not run the second time."""
    report = (
        '<testsuites><testsuite><testcase classname="a" name="one[1]"/>'
        '<testcase classname="a" name="two"><error message="why"/></testcase>'
        "</testsuite></testsuites>"
    )
    assert sdk_suite.read(report) == {"a::one[1]": "", "a::two": "error: why"}
    assert sdk_suite.differing(sdk_suite.read(report), {}) == {"a::one[1]": "not run"}


def test_what_is_explained() -> None:
    """A test is known whatever its parameters, and the page has the reason of each."""
    name = next(iter(sdk_suite.KNOWN))
    assert sdk_suite.KNOWN[name] == sdk_suite.reason_of(f"{name}[error-async]")
    assert sdk_suite.reason_of("tests.other::test") is None
    page = (Path(__file__).parents[2] / "docs" / "track.md").read_text("utf-8")
    assert f"<!-- sdk tests -->\n{sdk_suite.explained()}\n<!-- /sdk tests -->" in page


def test_a_folder_without_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no checkout, and nothing is installed for it."""
    monkeypatch.setattr(sys, "argv", ["sdk_suite", str(tmp_path)])
    with pytest.raises(SystemExit):
        sdk_suite.main()
