"""Whether frameworks that take a client answer the same on a tracked one, with the right records.

    python -m benchmarks.frameworks [package ...]
    python -m benchmarks.frameworks --page PAGE

Makes an environment of their own for the frameworks, once, and runs each there on a bare client and
on a tracked one, against the emulator: chat and Responses, streamed or not, with a call of a tool
where the framework makes it. Compared are what it answers, what it sends, and the tokens that it
says it took with those in the records. Prints a table, and ends with 1 where anything differs.

With a page it runs those of its Python examples that import one of the frameworks instead, each as
a program whose `OPENAI_BASE_URL` is the emulator, and prints what they print.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = {
    "pydantic-ai-slim": "pydantic-ai-slim[openai]",
    "langchain-openai": "langchain-openai",
    "openai-agents": "openai-agents",
    "instructor": "instructor",
}
"""What each is installed as."""
_MODULES = re.compile(
    r"^\s*(?:from|import) (pydantic_ai|langchain_openai|agents|instructor)\b", re.MULTILINE
)
_EXAMPLE = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OFFLINE = {
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OPENAI_API_KEY": "any",
}
"""Nothing of a run is to be sent anywhere."""


def environment(folder: Path) -> str:
    """Make the environment, once; give its interpreter."""
    home = folder.absolute()
    python = home / "bin" / "python"
    if not python.exists():
        print(f"making an environment for {', '.join(PACKAGES)} in {folder}", file=sys.stderr)
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(home)], check=True)
        ours = ["-e", f"{HERE.parent}[estimate]"]
        subprocess.run(
            ["uv", "pip", "install", "-q", "--python", str(python), *PACKAGES.values(), *ours],
            check=True,
        )
    return str(python)


def runs(python: str, packages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Each run as it is done."""
    with subprocess.Popen(
        [python, str(HERE / "framework_runs.py"), *packages],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **_OFFLINE},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"the runs ended with {process.returncode}; see their message above")


def examples(page: str) -> list[str]:
    """The Python examples of a page that import a framework."""
    return [each for each in _EXAMPLE.findall(page) if _MODULES.search(each)]


def run_page(python: str, page: str) -> None:
    """Run the examples of a page. Raises `CalledProcessError` at the first that fails."""
    from usagestream import Emulator

    with Emulator() as server:
        there = {"OPENAI_BASE_URL": server.openai_base_url}
        for example in examples(page):
            env = {**os.environ, **_OFFLINE, **there}
            subprocess.run([python, "-c", example], check=True, env=env)


def row(run: dict[str, Any]) -> str:
    """A line of the table."""
    says = "does not say" if run["says"] is None else run["says"]
    verdict = "; ".join(run["wrong"]) or "same"
    name = f"{run['package']} {run['version']}"
    return f"| {name} | {run['way']} | {run['records']} | {run['tokens']} | {says} | {verdict} |"


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks", description=__doc__)
    parser.add_argument("package", nargs="*", choices=[*PACKAGES, []], help="only these")
    parser.add_argument("--environment", type=Path, default=Path(".benchmarks/frameworks"))
    parser.add_argument("--page", type=Path, help="run the examples of this page instead")
    arguments = parser.parse_args()
    if arguments.page:
        run_page(environment(arguments.environment), arguments.page.read_text("utf-8"))
        return
    print("| framework | way | records | tokens in them | tokens it says | against a bare client |")
    print("|---|---|---|---|---|---|")
    differ = 0
    for run in runs(environment(arguments.environment), arguments.package):
        print(row(run), flush=True)
        differ += bool(run["wrong"])
    if differ:
        raise SystemExit(f"{differ} differ")


if __name__ == "__main__":
    main()
