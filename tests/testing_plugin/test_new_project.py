"""A project outside this repository, with nothing of it but the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from usagestream_adapters.emulator import Emulator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once. The build needs no network: its back end is in the environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Path:
    """An environment with the wheel and, besides, what this one has but this repository."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("[Ll]ib/**/site-packages")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(packages)], check=True)
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in Path(pytest.__file__).parents[1].iterdir():
        if "usagestream" not in name.name and name.suffix != ".pth":
            (shared / name.name).symlink_to(name)
    (packages / "shared.pth").write_text(f"{shared}\n")
    return next(folder.glob("[bS]*/python*"))


def documented(title: str) -> str:
    """Give the file of this name that the page shows."""
    match = re.search(rf'```python title="{title}"[^\n]*\n(.*?)```', PAGE, re.DOTALL)
    assert match
    return match[1]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_new_project_records_and_replays(python: Path, tmp_path: Path) -> None:
    """What the page tells, done as it tells it: recorded once, replayed without a network."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_app.py").write_text(documented("test_app.py"))
    (project / "conftest.py").write_text(documented("conftest.py"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "COV_"))}

    def run(options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "pytest", *options.split()],
            cwd=project,
            env={**kept, **variables},
            capture_output=True,
            text=True,
        )

    commands = re.findall(r"^\$ (?:OPENAI_API_KEY=replayed )?pytest (.*)$", PAGE, re.MULTILINE)
    record, replay = commands
    with Emulator() as service:
        key = "sk-of-a-new-project-123"
        result = run(record, OPENAI_API_KEY=key, OPENAI_BASE_URL=service.openai_base_url)
        assert result.returncode == 0, result.stdout
        asked = len(service.requests)
    cassette = project / "cassettes" / "test_app" / "test_an_answer_has_a_usage.yaml"
    assert "https://api.openai.com/v1/chat/completions" in cassette.read_text("utf-8")
    assert key not in cassette.read_text("utf-8")
    result = run(replay, OPENAI_API_KEY="replayed")
    assert result.returncode == 0, result.stdout
    assert asked == 1
