"""What never reaches the disk, and that a refusal leaves nothing behind."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from usagestream_adapters.emulator import Emulator, Scenario

from .conftest import KEY, Project
from .test_plugin_replays import only_sentence

ASKS = "@pytest.mark.vcr\ndef test_asks():\n    ask('Hi')\n"
# No frame of this holds a key, so no frame can be scrubbed of it.
SPREAD = Scenario(text=["The key is sk-proj", "-Ab3dE6", "gH9jK2", ", keep it."])


class SignIn(http.server.BaseHTTPRequestHandler):
    """Gives a token to everybody."""

    def do_POST(self) -> None:
        """Answer as Entra does."""
        body = b'{"token_type":"Bearer","access_token":"a-token-of-entra"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@pytest.fixture
def sign_in() -> Iterator[str]:
    """A local server with the path of Entra's."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SignIn) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/tenant/oauth2/v2.0/token"
        running.shutdown()
        thread.join()


def test_a_leaky_recording_is_refused(project: Project, server: Emulator) -> None:
    """What cannot be scrubbed is not written; the test fails, and says what and where."""
    server.script(SPREAD)
    result = project.record(ASKS)
    result.assert_outcomes(failed=1)
    assert only_sentence(result) == (
        "Nothing was written to cassettes/test_app/test_asks.yaml: the body of response 1, spread "
        "over its frames, holds an API key (sk-p…, 20 characters), which cannot be scrubbed."
    )
    assert not project.has("test_asks")


def test_a_refusal_leaves_nothing_patched(project: Project, server: Emulator) -> None:
    """The test after a refused one reaches the service, and records."""
    server.script(SPREAD)
    test = ASKS + "\n\ndef test_plain():\n    assert ask('Hi')\n\n" + ASKS.replace("asks", "more")
    project.record(test).assert_outcomes(passed=2, failed=1)
    assert project.has("test_more")
    assert len(server.requests) == 3


def test_what_a_fixture_records_last_is_refused_too(project: Project, server: Emulator) -> None:
    """A recording may go on after the test's own end."""
    server.script(SPREAD)
    test = """
    @pytest.fixture
    def last(vcr):
        yield
        ask("Hi")

    @pytest.mark.vcr
    def test_asks(last):
        pass
    """
    result = project.record(test)
    result.assert_outcomes(passed=1, errors=1)
    assert only_sentence(result).startswith("Nothing was written to")
    assert not project.has("test_asks")


def test_requests_for_tokens_are_never_recorded(project: Project, sign_in: str) -> None:
    """Tokens are asked for while recording, and leave no trace."""
    test = f"""
    import urllib.request

    @pytest.mark.vcr
    def test_asks():
        urllib.request.urlopen({sign_in!r}, data=b"client_secret=x").read()
        ask("Hi")
    """
    project.record(test).assert_outcomes(passed=1)
    assert len(project.cassette("test_asks")["interactions"]) == 1
    assert "token" not in project.text_of("test_asks").replace("_tokens", "").replace("-tokens", "")
    result = project.replay(test)
    result.assert_outcomes(failed=1)
    assert only_sentence(result) == (
        "A request for an access token went to 127.0.0.1: those are never recorded, so give the "
        "client a fixed token where the fixture record_mode is 'none'."
    )


def test_a_recorded_token_is_dropped_when_more_is_recorded(project: Project, sign_in: str) -> None:
    """A cassette of another tool loses its tokens, and keeps where it came from."""
    folder = project.path / "cassettes" / "test_app"
    folder.mkdir(parents=True)
    (folder / "test_asks.yaml").write_text(
        f"""
recorded_against: api.openai.com
interactions:
- request: {{method: POST, uri: {sign_in!r}, body: '', headers: {{}}}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{}}
    body: {{string: '{{"access_token": "a-token-of-entra"}}'}}
""",
        "utf-8",
    )
    project.run(ASKS, "--record-mode=new_episodes").assert_outcomes(passed=1)
    assert "a-token-of-entra" not in project.text_of("test_asks")
    cassette = project.cassette("test_asks")
    assert cassette["recorded_against"] == "api.openai.com, usagestream emulator"
    assert len(cassette["interactions"]) == 1


def test_what_cannot_be_read_is_not_written_anew(project: Project) -> None:
    """A cassette of an old recorder stays as it was, and nothing patched."""
    folder = project.path / "cassettes" / "test_app"
    folder.mkdir(parents=True)
    old = """
interactions:
- request: {method: GET, uri: 'https://example.com/a', body: null, headers: {}}
  response: {status_code: 200, headers: {}, content: 'hello'}
version: 1
"""
    (folder / "test_asks.yaml").write_text(old, "utf-8")
    result = project.run(ASKS, "--record-mode=new_episodes")
    result.assert_outcomes(failed=1)
    assert only_sentence(result).startswith(
        "Nothing was written to cassettes/test_app/test_asks.yaml: KeyError: "
    )
    assert project.text_of("test_asks") == old
    project.record(ASKS).assert_outcomes(passed=1)


def test_a_cassette_of_another_tool_replays(project: Project) -> None:
    """With its own headers, which match nothing, and without a word of where it is from."""
    folder = project.path / "cassettes" / "test_app"
    folder.mkdir(parents=True)
    (folder / "test_asks.yaml").write_text(
        """
interactions:
- request:
    method: GET
    uri: https://example.com/a
    body: null
    headers: {Accept: ['*/*'], User-Agent: [other]}
  response:
    status: {code: 200, message: OK}
    headers: {X-Own: ['kept']}
    body: {string: 'hello'}
version: 1
""",
        "utf-8",
    )
    test = """
    import urllib.request

    @pytest.mark.vcr
    def test_asks():
        with urllib.request.urlopen("https://example.com/a") as response:
            assert (response.read(), response.headers["x-own"]) == (b"hello", "kept")
    """
    project.replay(test).assert_outcomes(passed=1)


def test_a_users_own_hooks_work_and_are_kept_safe(project: Project) -> None:
    """A hook in `vcr_config` sees what is sent, and what it leaves is scrubbed all the same."""
    test = """
    seen = []

    def keep(request):
        seen.append(request.headers["authorization"])
        return request

    def drop_models(response):
        return response

    @pytest.fixture
    def vcr_config():
        return {
            "before_record_request": keep,
            "before_record_response": drop_models,
            "match_on": ["method"],
            "serializer": "json",
        }

    @pytest.mark.vcr
    def test_asks():
        ask("%s")
        assert seen
    """
    project.record(test % "Hi").assert_outcomes(passed=1)
    file = project.path / "cassettes" / "test_app" / "test_asks.json"
    assert KEY not in file.read_text("utf-8")
    assert "usagestream emulator" in file.read_text("utf-8")
    project.replay(test % "Hello").assert_outcomes(passed=1)


def test_a_user_may_drop_exchanges(project: Project) -> None:
    """A hook that returns `None` keeps an exchange out of the cassette, as in vcrpy."""
    test = """
    @pytest.mark.vcr(before_record_response=lambda response: None)
    def test_asks():
        ask("Hi")
    """
    project.record(test).assert_outcomes(passed=1)
    assert not project.has("test_asks")


def test_a_users_own_persister_gets_what_is_safe(project: Project) -> None:
    """A cassette may be kept elsewhere, scrubbed."""
    test = """
    import pathlib

    from vcr.persisters.filesystem import CassetteNotFoundError
    from vcr.serialize import serialize

    class Memory:
        def load_cassette(path, serializer):
            raise CassetteNotFoundError
        def save_cassette(path, cassette, serializer):
            pathlib.Path("kept.txt").write_text(serialize(cassette, serializer), "utf-8")

    @pytest.mark.vcr(persister=Memory)
    def test_asks():
        ask("Hi")
    """
    project.record(test).assert_outcomes(passed=1)
    text = (project.path / "kept.txt").read_text("utf-8")
    assert "recorded_against" in text
    assert KEY not in text


def test_a_hook_of_the_users_conftest_wins(project: Project) -> None:
    """`pytest_recording_configure` in a conftest comes after ours."""
    project.pytester.makeconftest(
        "def pytest_recording_configure(config, vcr):\n    vcr.match_on = ('method',)"
    )
    project.record(ASKS).assert_outcomes(passed=1)
    project.replay(ASKS.replace("Hi", "Hello")).assert_outcomes(passed=1)
