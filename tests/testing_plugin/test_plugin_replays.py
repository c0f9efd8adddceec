"""What a user of the plugin sees: recording, replaying, and one sentence where that fails."""

from __future__ import annotations

import gc
import sys

import pytest

from .conftest import KEY, Project

ASKS = """
@pytest.mark.vcr
def test_asks():
    assert ask("Wie viel ist 1+1? 🤔")

@pytest.mark.vcr
def test_asks_async():
    assert asyncio.run(aask("Wie viel ist 1+1? 🤔"))

@pytest.mark.vcr
def test_asks_azure():
    assert ask("Wie viel ist 1+1? 🤔", azure())
"""


def only_sentence(result: pytest.RunResult) -> str:
    """Give what is printed of the one failure, which must be one line."""
    lines = result.outlines
    begin = next(i for i, line in enumerate(lines) if line.startswith("____")) + 1
    end = next(i for i, line in enumerate(lines) if "short test summary" in line)
    (sentence,) = lines[begin:end]
    return sentence


def test_a_marked_test_records_and_replays(project: Project) -> None:
    """A mark is all it takes: recorded once, replayed without network or key."""
    project.record(ASKS).assert_outcomes(passed=3)
    project.replay(ASKS).assert_outcomes(passed=3)
    for name in ("test_asks", "test_asks_async", "test_asks_azure"):
        text = project.text_of(name)
        assert KEY not in text
        assert "127.0.0.1" not in text
        assert "Wie viel ist 1+1? 🤔" in text
    cassette = project.cassette("test_asks_azure")
    assert cassette["recorded_against"] == "usagestream emulator"
    assert cassette["interactions"][0]["request"]["uri"].startswith(
        "https://example.openai.azure.com/openai/deployments/gpt-4o-mini/"
    )


def test_an_unmarked_test_is_left_alone(project: Project) -> None:
    """Without the mark nothing is recorded, and the service is asked."""
    project.record("def test_asks():\n    assert ask('Hi')").assert_outcomes(passed=1)
    assert not (project.path / "cassettes").exists()


@pytest.mark.parametrize("call", ["ask({!r})", "asyncio.run(aask({!r}))"], ids=["sync", "async"])
def test_another_question_is_a_miss(project: Project, call: str) -> None:
    """A miss names the nearest recording and the difference, sync and async."""
    test = "@pytest.mark.vcr\ndef test_asks():\n    " + call
    project.record(test.format("Hi")).assert_outcomes(passed=1)
    result = project.replay(test.format("Hello"))
    result.assert_outcomes(failed=1)
    assert only_sentence(result) == (
        "Nothing recorded in cassettes/test_app/test_asks.yaml answers POST "
        "https://api.openai.com/v1/chat/completions. The nearest, request 1 of 1, differs in "
        '`messages[0].content` of the body: "Hi" was recorded, "Hello" was sent. '
        "Run it once with --record-mode=rewrite to record it."
    )


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("azure(deployments={'gpt-4o-mini': 'other'})", "the deployment: "),
        ("azure(api_version='2024-09-01-preview')", "the api version: "),
        ("azure(api_version='v1')", "the path: "),
        ("None", "the path: "),
    ],
)
def test_another_address_is_a_miss(project: Project, now: str, said: str) -> None:
    """Deployment, api version and path are part of what is matched."""
    test = "@pytest.mark.vcr\ndef test_asks():\n    ask('Hi', {})"
    project.record(test.format("azure()")).assert_outcomes(passed=1)
    result = project.replay(test.format(now))
    result.assert_outcomes(failed=1)
    assert f"differs in {said}" in only_sentence(result)


def test_what_changes_nothing_is_no_miss(project: Project) -> None:
    """Another host, another key, padding or not, and Azure's unused model name match."""
    test = """
    @pytest.mark.vcr
    def test_asks():
        options = {{"include_obfuscation": {}}}
        ask('Hi', azure(deployments={{{!r}: 'chat'}}), stream_options=options, model={!r})
    """
    project.record(test.format(True, "gpt-4o", "gpt-4o")).assert_outcomes(passed=1)
    replayed = project.replay(test.format(False, "o3", "o3"))
    replayed.assert_outcomes(passed=1)


def test_asking_once_more_is_a_miss(project: Project) -> None:
    """An answer is played as often as it was recorded."""
    once = "@pytest.mark.vcr\ndef test_asks():\n    ask('Hi')"
    project.record(once).assert_outcomes(passed=1)
    result = project.replay(once + "; ask('Hi')")
    assert "answers POST https://api.openai.com/v1/chat/completions once" in only_sentence(result)


def test_no_cassette_is_a_miss(project: Project) -> None:
    """A test that was never recorded says so."""
    result = project.replay("@pytest.mark.vcr\ndef test_asks():\n    ask('Hi')")
    assert only_sentence(result).startswith(
        "There is no recording in cassettes/test_app/test_asks.yaml to answer POST"
    )


def test_another_service_is_a_miss(project: Project) -> None:
    """A request that is like nothing in the cassette."""
    test = "@pytest.mark.vcr\ndef test_asks():\n    {}"
    project.record(test.format("ask('Hi')")).assert_outcomes(passed=1)
    get = "__import__('urllib.request').request.urlopen('https://example.com/?page=1')"
    assert "Nothing like GET https://example.com/?page=1 is recorded in" in only_sentence(
        project.replay(test.format(get))
    )


def test_a_miss_inside_a_group_is_one_sentence(project: Project) -> None:
    """A miss in a task group comes wrapped, and is shown unwrapped."""
    test = """
    @pytest.mark.vcr
    def test_asks():
        async def both():
            async with asyncio.TaskGroup() as group:
                group.create_task(aask("Hi"))
        asyncio.run(both())
    """
    assert only_sentence(project.replay(test)).startswith("There is no recording in")


def test_a_swallowed_miss_fails_the_test(project: Project) -> None:
    """An application that swallows everything does not swallow a miss."""
    test = """
    @pytest.mark.vcr
    def test_asks():
        try:
            ask("Hi")
        except BaseException:
            pass
    """
    result = project.replay(test)
    result.assert_outcomes(passed=1, errors=1)
    assert only_sentence(result).startswith("There is no recording in")


def test_an_expected_failure_stays_one(project: Project) -> None:
    """A test marked xfail is reported as pytest does."""
    test = "@pytest.mark.xfail\n@pytest.mark.vcr\ndef test_asks():\n    ask('Hi')"
    project.replay(test).assert_outcomes(xfailed=1)


def test_another_failure_keeps_its_traceback(project: Project) -> None:
    """A test that fails for its own reasons is shown as pytest does."""
    result = project.replay("@pytest.mark.vcr\ndef test_asks():\n    assert 1 == 2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * assert 1 == 2"])


# Blocking leaves the sockets of the async transport to the collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", ["ask('Hi')", "asyncio.run(aask('Hi'))"], ids=["sync", "async"])
def test_a_blocked_connection_is_one_sentence(project: Project, call: str) -> None:
    """What a user's configuration keeps out of the cassette is blocked, in one sentence."""
    test = f"""
    @pytest.mark.vcr(ignore_hosts=["127.0.0.1"])
    def test_asks():
        {call}
    """
    project.use("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    result = project.run(test, "--block-network")
    gc.collect()
    result.assert_outcomes(failed=1)
    assert only_sentence(result) == (
        "Network is disabled for host '127.0.0.1': this test replays a cassette, and this request "
        "is kept out of it by the test's own configuration, or is not made through HTTP."
    )


def test_a_cassette_must_be_played_whole_where_asked_for(project: Project) -> None:
    """The setting `usagestream_play_all` fails a test that leaves a recording unplayed."""
    test = "@pytest.mark.vcr\ndef test_asks():\n    ask('Hi'){}"
    project.record(test.format("; ask('Hello')")).assert_outcomes(passed=1)
    project.replay(test.format("")).assert_outcomes(passed=1)
    result = project.replay(test.format(""), "-o", "usagestream_play_all=true")
    result.assert_outcomes(passed=1, errors=1)
    assert only_sentence(result) == (
        "cassettes/test_app/test_asks.yaml was not played to its end: 2 (POST "
        "/v1/chat/completions) is left."
    )


def test_recording_may_be_turned_off(project: Project) -> None:
    """`--disable-recording` asks the service, mark or not."""
    test = "@pytest.mark.vcr\ndef test_asks():\n    ask('Hi')"
    project.run(test, "--disable-recording").assert_outcomes(passed=1)
    assert not (project.path / "cassettes").exists()


def test_it_loads_where_pytest_recording_is_not(project: Project) -> None:
    """The plugin is there wherever usagestream is, and asks for nothing."""
    project.run("def test_it(): pass", "-p", "no:recording").assert_outcomes(passed=1)


@pytest.mark.slow
def test_it_costs_next_to_nothing_unused(project: Project) -> None:
    """A run without a marked test imports nothing of what recording needs."""
    heavy = ["vcr", "yaml", "openai", "pydantic", "usagestream", "httpx2", "rich", "click"]
    project.pytester.makepyfile(
        test_light=f"import sys\ndef test_it(): assert not sys.modules.keys() & set({heavy})"
    )
    run = project.pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    run.assert_outcomes(passed=1)


def test_a_form_with_a_file_replays(project: Project) -> None:
    """Its boundary is drawn by lot, and does not count; what is in it does."""
    test = """
    import openai

    @pytest.mark.vcr
    def test_hears():
        with pytest.raises(openai.NotFoundError):
            openai.OpenAI(max_retries=0).audio.transcriptions.create(
                model="whisper-1", file=("a.wav", {!r})
            )
    """
    project.record(test.format(b"\xff\x00one")).assert_outcomes(passed=1)
    project.replay(test.format(b"\xff\x00one")).assert_outcomes(passed=1)
    project.replay(test.format(b"\xff\x00two")).assert_outcomes(failed=1)
