"""The pytest plugin, loaded in every run of pytest where usagestream is installed.

Only tests marked `@pytest.mark.vcr` are touched, through pytest-recording, and nothing is imported
here that pytest has not imported already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ._recording import Recording

_PLAY_ALL = "usagestream_play_all"
_configured: pytest.StashKey[Recording] = pytest.StashKey()
_recording: pytest.StashKey[Recording] = pytest.StashKey()
_passed: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be set in pytest's configuration."""
    parser.addini(
        _PLAY_ALL,
        "Fail a test marked vcr that replays only part of its cassette.",
        type="bool",
        default=False,
    )


# Optional, since pytest-recording comes with an extra; first, so that a user's hook has its way.
@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
    """Set the defaults of a test's cassette; called by pytest-recording, for marked tests only."""
    from ._recording import Recording

    recording = config.stash[_configured] = Recording()
    recording.configure(vcr)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Take hold of the cassette before another fixture can send anything."""
    result = yield
    if fixturedef.argname == "vcr" and _configured in request.config.stash:
        recording = request.config.stash[_configured]
        del request.config.stash[_configured]
        recording.attach(result)
        request.node.stash[_recording] = recording
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that recorded what must not be written."""
    result = yield
    recording = item.stash.get(_recording, None)
    refusal = recording.check() if recording else None
    if refusal:
        pytest.fail(refusal, pytrace=False)
    item.stash[_passed] = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail for what shows only now: vcrpy writes, and stops patching, in the fixture's end."""
    result = yield
    recording = item.stash.get(_recording, None)
    if recording and item.stash.get(_passed, False):
        play_all = item.config.getini(_PLAY_ALL)
        problems = [*recording.misses, recording.refusal, play_all and recording.unplayed()]
        for problem in filter(None, problems):
            pytest.fail(problem, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the one sentence where a marked test failed for want of a recording."""
    report = yield
    recording = item.stash.get(_recording, None)
    if recording and report.failed and call.excinfo and not hasattr(report, "wasxfail"):
        report.longrepr = _sentence(recording, call.excinfo.value) or report.longrepr
    return report


def _sentence(recording: Recording, error: BaseException) -> str | None:
    """The cause of a failure that is buried under the SDK's exceptions, if it is one of ours."""
    from ._recording import Miss

    for cause in _causes(error, set()):
        if isinstance(cause, Miss):
            return str(cause)
        blocked = str(cause).startswith("Network is disabled for host")
        if isinstance(cause, RuntimeError) and blocked and not recording.writing:
            return (
                f"{cause}: this test replays a cassette, and this request is kept out of it by "
                "the test's own configuration, or is not made through HTTP."
            )
    return None


def _causes(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """An exception and all that led to it, the members of groups included."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    for cause in (*inner, error.__cause__, error.__context__):
        yield from _causes(cause, seen)
