"""Fixtures of these tests: the same ledger on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests._support.databases import postgres_server, postgres_url

from usagestream import SqlLedger
from usagestream_adapters.ledger._database import Database
from usagestream_adapters.ledger._schema import streams


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of the machine's user is seen."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_", "USAGESTREAM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def postgres() -> Any:
    """A running PostgreSQL. It ends with the process."""
    return postgres_server()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'usage.db'}"
    return postgres_url(request.getfixturevalue("postgres"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """The same, opened."""
    made = Database(url)
    made.open()
    yield made
    made.close()


class Kept(SqlLedger):
    """A ledger whose rows can be looked at. A busy machine does not make it impatient."""

    def __init__(self, url: str, *, patience: float = 60, **more: Any) -> None:
        super().__init__(url, patience=patience, **more)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Each row by its id."""
        with self._database.reading() as connection:
            found = connection.execute(select(streams)).mappings()
            return {row["id"]: dict(row) for row in found}

    def row(self) -> dict[str, Any]:
        """The only row, once all is written."""
        assert self.flush(60)
        (row,) = self.rows().values()
        return row


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Kept]:
    """An open ledger on either kind of database."""
    with Kept(url, spool=tmp_path / "spool.jsonl") as made:
        yield made
