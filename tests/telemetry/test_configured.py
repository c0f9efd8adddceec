"""One line of configuration tells it of every stream, whoever made the client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import openai
import pytest
from tests._support.fakes import FakeAdapter
from tests._support.telemetry import make_record

from usagestream import (
    AsyncClient,
    Client,
    ConfigError,
    Emulator,
    LogSink,
    OpenTelemetrySink,
    StdoutSink,
    UsageRecord,
    track,
)
from usagestream_core.profiles import telemetry as configured
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.telemetry import configured_telemetry

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}
OTEL_FILE = 'telemetry = "opentelemetry"\n'


class Heard:
    """Telemetry of a package of somebody else's."""

    made = 0

    def __init__(self, *, loud: bool = False) -> None:
        type(self).made += 1
        self.loud = loud
        self.records: list[UsageRecord] = []

    def __call__(self, record: UsageRecord) -> None:
        self.records.append(record)
        if self.loud:
            raise ZeroDivisionError


class Missing:
    """Telemetry whose package is not installed."""

    def __init__(self) -> None:
        raise ImportError('it is not here: pip install "missing"')


class Declared:
    """An entry point, as far as it is used."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self.load = lambda: kind


class Found(tuple[Any, ...]):
    """Entry points, as far as they are used."""

    __slots__ = ()

    def __getitem__(self, name: Any) -> Any:
        found = [each for each in self if each.name == name]
        if not found:
            raise KeyError(name)
        return found[0]

    @property
    def names(self) -> set[str]:
        """What is declared."""
        return {each.name for each in self}


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages that declare telemetry, and none made yet."""
    real = metadata.entry_points
    added = (Declared("heard", Heard), Declared("missing", Missing))

    def entry_points(**asked: str) -> Any:
        found = real(**asked)
        if asked.get("group") == configured.ENTRY_POINT_GROUP:
            return Found((*found, *added))
        return found

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    monkeypatch.setattr(configured, "_sinks", {})
    monkeypatch.setattr(Heard, "made", 0)


def the_one(name: str = "heard") -> Any:
    """The sink that is in force."""
    (sink,) = configured_telemetry(Configuration({"USAGESTREAM_TELEMETRY": name}))
    return sink


def write(text: str, path: str = "usagestream.toml") -> None:
    """Write a file into the current folder."""
    Path(path).write_text(text, "utf-8")


def test_nothing_is_told_unless_asked() -> None:
    """Without configuration there is no telemetry."""
    assert configured_telemetry() == ()


@pytest.mark.parametrize("value", ["opentelemetry,log", " opentelemetry , log ,"])
def test_the_variable_names_telemetry(value: str) -> None:
    """Names, with commas between them."""
    kinds = [
        type(sink) for sink in configured_telemetry(Configuration({"USAGESTREAM_TELEMETRY": value}))
    ]
    assert kinds == [OpenTelemetrySink, LogSink]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("usagestream.toml", OTEL_FILE),
        ("usagestream.toml", 'telemetry = ["opentelemetry"]\n'),
        ("usagestream.toml", '[telemetry.opentelemetry]\ntags = ["team"]\nspans = false\n'),
        ("pyproject.toml", "[tool.usagestream]\n" + OTEL_FILE),
    ],
)
def test_the_file_names_telemetry(path: str, text: str) -> None:
    """A name, a list of names, or tables with options."""
    write(text, path)
    (sink,) = configured_telemetry()
    assert isinstance(sink, OpenTelemetrySink)


def test_the_variable_beats_the_file() -> None:
    """An operator can turn off, or exchange, what a file turns on."""
    write(OTEL_FILE)
    assert configured_telemetry(Configuration({"USAGESTREAM_TELEMETRY": "none"})) == ()
    (sink,) = configured_telemetry(Configuration({"USAGESTREAM_TELEMETRY": "log"}))
    assert isinstance(sink, LogSink)
    write('telemetry = "none"\n')
    assert configured_telemetry() == ()


def test_options_reach_the_sink() -> None:
    """A table's keys are the sink's options."""
    write("[telemetry.heard]\nloud = true\n")
    (sink,) = configured_telemetry()
    assert isinstance(sink, Heard)
    assert sink.loud


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('telemetry = "opentelemtry"\n', "1: telemetry: there is no telemetry 'opentelemtry' here"),
        ('telemetry = "opentelemtry"\n', "did you mean 'opentelemetry'?"),
        ("telemetry = 1\n", "1: telemetry must be a name"),
        ("telemetry = [1]\n", "1: telemetry must be a name"),
        ("[telemetry]\nopentelemetry = true\n", "telemetry must be a name"),
        ("[telemetry.log]\nlevle = 1\n", "1: telemetry.log: 'log' does not take these options"),
        ('[telemetry.log]\nlevel = "loud"\n', "'loud' is no level"),
        ('telemetry = "missing"\n', '\'missing\' cannot be used. it is not here: pip install'),
        ('telemtry = "log"\n', "did you mean 'telemetry'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, words: str) -> None:
    """A wrong name, shape, option or a missing package is a `ConfigError` when a client is made."""
    write(text)
    with pytest.raises(ConfigError) as caught:
        Client(FakeAdapter())
    assert words in str(caught.value)


@pytest.mark.parametrize("own", [True, False])
def test_a_client_tells_it_beside_its_own_sink(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record goes to the telemetry and to `on_record`; there is one sink for all clients."""
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "heard")
    records: list[UsageRecord] = []
    for _ in range(2):
        with Client(FakeAdapter(), on_record=records.append if own else None) as client:
            client.stream(**ASK).drain()
    assert len(records) == (2 if own else 0)
    assert len(the_one().records) == 2
    assert Heard.made == 1


def test_an_async_client_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does an async client, whose own sink may be async."""
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "heard")
    records: list[UsageRecord] = []

    async def keep(record: UsageRecord) -> None:
        records.append(record)

    async def main() -> None:
        for sink in (keep, records.append, None):
            async with AsyncClient(FakeAdapter(), on_record=sink) as client:
                await client.stream(**ASK).drain()

    asyncio.run(main())
    assert len(records) == 2
    assert len(the_one().records) == 3


def test_a_tracked_client_tells_it(monkeypatch: pytest.MonkeyPatch, server: Emulator) -> None:
    """The calls of an SDK client that was there before, with no edit to them."""
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "heard")
    records: list[UsageRecord] = []
    with openai.OpenAI(api_key="k", base_url=server.openai_base_url) as plain:
        client = track(plain, on_record=records.append)
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert the_one().records == records
    assert len(records) == 1


def test_telemetry_that_raises_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program's own sink has its record all the same, and no failure of its own."""
    write("[telemetry.heard]\nloud = true\n")
    records: list[UsageRecord] = []
    with Client(FakeAdapter(), on_record=records.append) as client:
        client.stream(**ASK).drain()
        assert client.sink_failures == 0
    assert len(records) == 1
    assert "telemetry raised" in caplog.text


def test_a_sink_of_the_program_s_own_stands_for_the_configured_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where both are of one kind, the record is told once, as the program says."""
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "heard")
    own = Heard()
    with Client(FakeAdapter(), on_record=own) as client:
        client.stream(**ASK).drain()
    assert len(own.records) == 1
    assert the_one().records == []


def test_functions_are_not_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured function is called beside a function of the program's."""
    told: list[UsageRecord] = []
    records: list[UsageRecord] = []

    def tell(record: UsageRecord) -> None:
        told.append(record)

    def keep(record: UsageRecord) -> None:
        records.append(record)

    monkeypatch.setattr(configured, "_sinks", {("heard", "[]"): tell})
    monkeypatch.setenv("USAGESTREAM_TELEMETRY", "heard")
    with Client(FakeAdapter(), on_record=keep) as client:
        client.stream(**ASK).drain()
    assert told == records
    assert len(told) == 1


def test_a_mock_is_a_sink_and_nothing_else(server: Emulator) -> None:
    """A mock has every attribute, and is called with the record all the same."""
    sink = Mock()
    with Client(FakeAdapter(), on_record=sink) as client:
        client.stream(**ASK).drain()
    with openai.OpenAI(api_key="k", base_url=server.openai_base_url) as plain:
        tracked = track(plain, on_record=sink)
        message: Any = {"role": "user", "content": "Hi"}
        tracked.chat.completions.create(model="gpt-4o", messages=[message])
    assert sink.call_count == 2


IMPORTS = """
import sys
from usagestream import Client, track
import openai
track(openai.OpenAI(api_key="k"))
found = [name for name in sys.modules if name.startswith("opentelemetry")]
assert not found, found
sys.modules["opentelemetry"] = None
import os
os.environ["USAGESTREAM_TELEMETRY"] = "opentelemetry"
try:
    Client("openai")
except Exception as exc:
    print(type(exc).__name__, exc)
"""


@pytest.mark.slow
def test_opentelemetry_is_imported_on_use_alone(tmp_path: Path) -> None:
    """No process pays for it that does not ask for it; where it is missing, it says what to do."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={"OPENAI_API_KEY": "k", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ConfigError USAGESTREAM_TELEMETRY: 'opentelemetry' cannot be")
    assert 'pip install "usagestream[otel]"' in done.stdout


def test_standard_output_by_configuration_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """One variable, for containers whose output is collected."""
    (sink,) = configured_telemetry(Configuration({"USAGESTREAM_TELEMETRY": "stdout"}))
    assert isinstance(sink, StdoutSink)
    sink(make_record())
    assert UsageRecord.model_validate_json(capfd.readouterr().out).provider == "openai"
