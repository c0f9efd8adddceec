"""Every example passes a type checker as a reader would copy it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CACHE = f"--cache-dir={ROOT / '.mypy_cache' / 'examples'}"
CHECKERS = {
    "mypy": ["-m", "mypy", "--config-file=", CACHE],
    "mypy strict": ["-m", "mypy", "--config-file=", CACHE, "--strict"],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}

IN_SHORT = [
    pytest.param(each, marks=pytest.mark.exhaustive if each == "mypy" else ()) for each in CHECKERS
]
"""What passes the strict one passes the other as well, as good as always."""

pytestmark = pytest.mark.slow


WRONG = {
    "parameter": "Client().stream(model='m', messages=[], temprature=0)",
    "option": "Client().stream(model='m', messages=[], on_leave='stay')",
    "messages": "Client().stream(model='m', messages=1)",
    "loop": "for chunk in AsyncClient().stream(model='m', messages=[]): print(chunk)",
    "door": "from usagestream import Clinet",
}
"""A misspelt parameter, a wrong option, no messages, a sync loop over an async stream, and a name
that is not there."""


def write_examples(folder: Path) -> list[str]:
    """Write a module for each example, with what it continues before it; gives their names."""
    names: list[str] = []
    for page in PAGES:
        before = ""
        for number, match in enumerate(FENCE.finditer(page.read_text("utf-8"))):
            if "frameworks" in match[1] or "notebook" in match[1]:
                continue  # not installed here, or not a module: a cell awaits by itself
            program = before + "\n" + match[2] if "continued" in match[1] else match[2]
            names.append(f"{page.stem.lower()}_{number}.py")
            (folder / names[-1]).write_text(program, "utf-8")
            if "notest" not in match[1]:
                before = program
    return names


def write_wrong(folder: Path) -> list[str]:
    """Write a module for each mistake, all in the same line; gives their names."""
    for name, line in WRONG.items():
        text = f"from usagestream import AsyncClient, Client\n\n{line}\n"
        (folder / f"wrong_{name}.py").write_text(text, "utf-8")
    return [f"wrong_{name}.py" for name in WRONG]


@pytest.mark.parametrize("checker", IN_SHORT)
def test_what_passes_a_checker_and_what_does_not(checker: str, tmp_path: Path) -> None:
    """No example of README and docs is refused, and every mistake is found, in one run of both."""
    examples, wrong = write_examples(tmp_path), write_wrong(tmp_path)
    assert len(examples) > 30
    result = subprocess.run(
        [sys.executable, *CHECKERS[checker], *examples, *wrong],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = [line for line in result.stdout.splitlines() if re.search(r":\d+.*\berror:", line)]
    assert result.returncode == 1, result.stdout + result.stderr
    assert [name for name in wrong if not any(f"{name}:3" in line for line in found)] == []
    of_examples = [line for line in found if not any(name in line for name in wrong)]
    assert of_examples == [], result.stdout
    assert not any("error:" in line for line in result.stderr.splitlines()), result.stderr
