"""The recipes: workers that are forked, cells of a notebook, and what frameworks are given."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.frameworks import examples

from usagestream import Emulator, JsonLinesSink, Scenario

TEXT = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
BLOCKS = {
    re.findall(r"^#+ (.+)$", TEXT[: match.start()], re.MULTILINE)[-1]: match[1]
    for match in re.finditer(r"^```python[^\n]*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The provider; what is recorded goes into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with Emulator() as running:
        monkeypatch.setenv("OPENAI_API_KEY", "example-key")
        monkeypatch.setenv("OPENAI_BASE_URL", running.openai_base_url)
        yield running


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The worker as a file of its own."""
    path = tmp_path / "worker.py"
    path.write_text(BLOCKS["A worker that forks"], "utf-8")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_worker(program: Path) -> None:
    """Four tasks in two forked children leave four records in one file."""
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "['Two', 'Two', 'Two', 'Two']\n4 records, 80 tokens\n"
    assert {record.tags["queue"] for record in JsonLinesSink.read("usage.jsonl")} == {"questions"}


@pytest.mark.slow
def test_a_pool_that_ends_its_workers_in_the_middle(program: Path, server: Emulator) -> None:
    """The stream of a worker that got `SIGTERM` has a record, with what was known by then."""
    server.script(Scenario(text=["One", " two"], cut_after_frames=2, cut="stall"))
    source = program.read_text("utf-8")
    for shown, tried in {
        "    fork = ": "    global begun\n    fork = ",
        "    with fork.Pool": "    begun = fork.Event()\n    with fork.Pool",
        "return stream.text()": "return [begun.set() for _ in stream]",
        "print(pool.map(work, [": "begun.wait(pool.apply_async(work, [",
        "] * 4)": "]) and 20",
    }.items():
        assert shown in source
        source = source.replace(shown, tried)
    program.write_text(source, "utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.startswith("1 records, ")
    (record,) = JsonLinesSink.read("usage.jsonl")
    assert (record.outcome, record.usage.source) == ("cancelled", "estimated")


@pytest.mark.usefixtures("server")
def test_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """It runs as a notebook runs it: in a loop that is running, with `await` at its top."""
    names: dict[str, Any] = {"__name__": "__main__"}
    *body, last = ast.parse(BLOCKS["A notebook"]).body

    def compiled(tree: Any, mode: str) -> Any:
        return compile(tree, "cell", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def kernel() -> Any:
        await eval(compiled(ast.Module(body, []), "exec"), names)
        assert isinstance(last, ast.Expr)
        return eval(compiled(ast.Expression(last.value), "eval"), names)

    assert asyncio.run(kernel()).total_tokens == 20
    assert capsys.readouterr().out == "Two"


@pytest.mark.usefixtures("server")
def test_a_sync_cell_in_a_running_loop(capsys: pytest.CaptureFixture[str]) -> None:
    """`Client` does not mind the loop around it."""
    cell = """from usagestream import Client
with Client("openai") as client:
    question = [{"role": "user", "content": "What's 1+1? Answer in one word."}]
    print(client.stream(model="gpt-4o-mini", messages=question).text())
"""

    async def kernel() -> None:
        exec(compile(cell, "cell", "exec"), {})

    asyncio.run(kernel())
    assert capsys.readouterr().out == "Two\n"


@pytest.mark.parametrize("title", ["LangChain", "Pydantic AI", "OpenAI Agents", "Instructor"])
def test_a_framework_is_given_a_tracked_client(title: str) -> None:
    """Its program is run by the command that the page names, where the framework is."""
    assert f"```python frameworks\n{BLOCKS[title]}" in TEXT
    assert BLOCKS[title] in examples(TEXT)
    assert len(examples(TEXT)) == 4
    names = {node.id for node in ast.walk(ast.parse(BLOCKS[title])) if isinstance(node, ast.Name)}
    assert {"track", "records"} <= names
