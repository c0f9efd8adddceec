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
CHECKERS = {
    "mypy": ["-m", "mypy", "--config-file=", "--no-incremental"],
    "mypy strict": ["-m", "mypy", "--config-file=", "--no-incremental", "--strict"],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}

IN_SHORT = [
    pytest.param(each, marks=pytest.mark.exhaustive if each == "mypy" else ()) for each in CHECKERS
]
"""What passes the strict one passes the other as well, as good as always."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each example, with what it continues before it."""
    folder = tmp_path_factory.mktemp("examples")
    for page in PAGES:
        before = ""
        for number, match in enumerate(FENCE.finditer(page.read_text("utf-8"))):
            program = before + "\n" + match[2] if "continued" in match[1] else match[2]
            (folder / f"{page.stem.lower()}_{number}.py").write_text(program, "utf-8")
            if "notest" not in match[1]:
                before = program
    return folder


@pytest.mark.parametrize("checker", IN_SHORT)
def test_the_examples_pass(checker: str, examples: Path) -> None:
    """README and docs have no example that a type checker refuses."""
    result = _check(checker, examples)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("checker", IN_SHORT)
def test_what_must_not_pass(checker: str, tmp_path: Path) -> None:
    """A misspelt parameter, a sync loop over an async stream and a wrong option are found."""
    wrong = {
        "parameter": "Client().stream(model='m', messages=[], temprature=0)",
        "option": "Client().stream(model='m', messages=[], on_leave='stay')",
        "messages": "Client().stream(model='m', messages=1)",
        "loop": "for chunk in AsyncClient().stream(model='m', messages=[]): print(chunk)",
        "door": "from usagestream import Clinet",
    }
    for name, line in wrong.items():
        text = f"from usagestream import AsyncClient, Client\n\n{line}\n"
        (tmp_path / f"{name}.py").write_text(text)
    result = _check(checker, tmp_path)
    assert result.returncode != 0
    assert [name for name in wrong if f"{name}.py:3" not in result.stdout] == []


def _check(checker: str, folder: Path) -> subprocess.CompletedProcess[str]:
    files = sorted(str(file) for file in folder.glob("*.py"))
    return subprocess.run(
        [sys.executable, *CHECKERS[checker], *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
