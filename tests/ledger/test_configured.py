"""One line of configuration keeps every stream; a file that was found may not choose any place."""

# Configuration of every kind is tried, wrong ones too.
# pyright: reportArgumentType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests._support.fakes import FakeAdapter
from tests._support.worlds import ASK

from usagestream import AsyncClient, Client, ConfigError, SqlLedger, UntrustedProfileError, meter
from usagestream_adapters.cli.command import main
from usagestream_core.profiles import ledgers
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.ledgers import configured_ledger_url, find_ledger

from .test_streams import ITEMS


@pytest.fixture(autouse=True)
def _no_ledger_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those that are shared by the clients of a process are closed after each test."""
    made: dict[Any, Any] = {}
    monkeypatch.setattr(ledgers, "_ledgers", made)
    yield
    for ledger in made.values():
        ledger.close()


def written(text: str, path: Path | None = None) -> Path:
    """A profile file in the current folder."""
    path = path or Path("usagestream.toml")
    path.write_text(text, "utf-8")
    return path


def kept() -> SqlLedger:
    """The one ledger that was opened."""
    (ledger,) = ledgers._ledgers.values()
    assert isinstance(ledger, SqlLedger)
    return ledger


def test_a_url_in_the_environment_keeps_every_stream(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all clients and metered streams of the process, in one ledger."""
    monkeypatch.setenv("USAGESTREAM_LEDGER", url)
    with Client(FakeAdapter()) as one, Client(FakeAdapter()) as other:
        one.stream(**ASK).drain()
        other.stream(**ASK).drain()
    list(meter(ITEMS, model="m"))
    assert kept().flush(60)
    with kept()._database.reading() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM usagestream_streams").scalar()
    assert count == 3


def test_none_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment, in the file, in the program."""
    written('ledger = "sqlite:///usage.db"')
    assert find_ledger(None) is None
    monkeypatch.setenv("USAGESTREAM_LEDGER", "none")
    assert find_ledger() is None
    monkeypatch.delenv("USAGESTREAM_LEDGER")
    written('ledger = "none"')
    assert find_ledger() is None
    written("")
    assert find_ledger() is None


def test_a_path_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    """Whichever folder below it the program runs in."""
    written('ledger = "sqlite:///usage.db?timeout=3"')
    below = tmp_path / "below"
    below.mkdir()
    url, place = configured_ledger_url(Configuration({}, below))
    assert url == f"sqlite:///{tmp_path}/usage.db?timeout=3"
    assert place.endswith("usagestream.toml:1: ledger")


def test_a_file_that_was_found_writes_in_its_own_folder_without_trust(tmp_path: Path) -> None:
    """It can have nothing overwritten that did not come with it."""
    written('ledger = "sqlite:///usage.db"')
    assert find_ledger() is not None
    assert (tmp_path / "usage.db").exists()


FOREIGN = [
    'ledger = "sqlite:////tmp/elsewhere.db"',
    'ledger = "sqlite:///../elsewhere.db"',
    'ledger = "sqlite:///link.db"',
    'ledger = "postgresql://me:secret@elsewhere.test/db"',
    'ledger = { env = "DATABASE_URL" }',
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_file_that_was_found_chooses_no_other_place(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the user has trusted it as it stands; a password is not shown."""
    monkeypatch.setenv("DATABASE_URL", "sqlite:///" + str(tmp_path / "theirs.db"))
    (tmp_path / "link.db").symlink_to("/tmp/elsewhere.db")
    path = written(text)
    with pytest.raises(UntrustedProfileError, match=r"`usagestream trust .*`") as no:
        Client(FakeAdapter())
    assert "secret" not in str(no.value)
    assert CliRunner().invoke(main, ["trust", str(path)]).exit_code == 0
    assert configured_ledger_url()[0]
    written(text + "\n[profiles.x]\nprovider = 'openai'\n")
    with pytest.raises(UntrustedProfileError):
        configured_ledger_url()


@pytest.mark.parametrize("text", FOREIGN)
def test_a_file_that_was_named_chooses_any_place(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`USAGESTREAM_CONFIG` is the user's word for it."""
    monkeypatch.setenv("DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("USAGESTREAM_CONFIG", str(written(text, tmp_path / "named.toml")))
    assert configured_ledger_url()[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ledger = 3", r"usagestream\.toml:1: ledger must be a URL, as in"),
        ('ledger = ""', "must be a URL"),
        ('ledger = { file = "x" }', "must be a URL"),
        ('ledger = { env = "NO_SUCH" }', "the environment variable NO_SUCH is not set"),
        ('ledger = "sqlite:///:memory:"', "in memory is gone with the program"),
        ('ledger = "sqlite:///"', "in memory is gone with the program"),
    ],
)
def test_a_mistake_in_a_file_is_named(text: str, says: str, tmp_path: Path) -> None:
    """With its place, before anything is sent."""
    written(text)
    with pytest.raises(ConfigError, match=says):
        Client(FakeAdapter())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:secret@host/db", "no ledger is made for that; a URL begins with one of: post"),
        ("usage.db", "As in sqlite:///usage.db"),
        ("sqlite:///no/such/folder.db", "in a folder that is not there"),
        ("sqlite:///.", "cannot be used"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_mistake_in_a_url_is_named(kind: type[Client], url: str, says: str) -> None:
    """Without its password."""
    with pytest.raises(ConfigError, match=says) as wrong:
        kind(FakeAdapter(), ledger=url)
    assert "secret" not in str(wrong.value)


def test_a_ledger_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what its package says."""
    monkeypatch.setitem(sys.modules, "usagestream_adapters.ledger", None)
    with pytest.raises(ConfigError, match=r"ledger='sqlite:.*': this ledger cannot be used\. "):
        find_ledger("sqlite:///usage.db")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """It stays as it is."""
    (tmp_path / "notes.txt").write_text("dear diary, " * 100)
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        find_ledger("sqlite:///notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("dear diary")


def test_a_database_that_is_not_there_is_named(postgres: Any) -> None:
    """A server that is there does not make it."""
    url = postgres.get_uri().replace("/postgres?", "/no_such?")
    with pytest.raises(ConfigError, match=r"cannot be used: .*no_such.* does not exist"):
        find_ledger(url)


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("sqlalchemy", r'USAGESTREAM_LEDGER: .*pip install "usagestream\[ledger\]"'),
        ("psycopg", r'pip install "usagestream\[postgres\]"'),
    ],
)
@pytest.mark.slow
def test_a_package_that_is_not_installed_is_named(missing: str, says: str) -> None:
    """With the extra that brings it."""
    program = f"""
import sys
sys.modules["{missing}"] = None
from usagestream_core.errors import ConfigError
from usagestream_core.profiles.configuration import Configuration
from usagestream_core.profiles.ledgers import find_ledger
try:
    find_ledger("auto", Configuration({{"USAGESTREAM_LEDGER": "postgresql://127.0.0.1:1/db"}}))
except ConfigError as exc:
    print(exc)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert re.search(says, done.stdout), done.stdout + done.stderr


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for when the ledger is made, and its absence is of the configuration."""

    def make(url: str) -> None:
        raise ImportError("psycopg is not here")

    def maker(url: str, place: str) -> Any:
        return make

    monkeypatch.setattr(ledgers, "_maker", maker)
    with pytest.raises(ConfigError, match=r"this ledger cannot be used\. psycopg is not here"):
        Client(FakeAdapter(), ledger="postgresql://u@127.0.0.1/missing-driver")
