"""Build the documentation site: `uv run --group docs python -m docs`.

It is written to `docs/_build/site`, in a folder named after its version, and opened from there, by
`file://` too: nothing of it needs a server or somebody else's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.site import ROOT, lay_out, lost_links

BUILD = ROOT / "docs" / "_build"
_PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>usagestream</title>\n'


def main() -> int:
    """Build, check, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m docs", description=(__doc__ or "").strip())
    parser.add_argument("--version", help="its name; the tag of this commit, or 'main'")
    parser.add_argument("--out", type=Path, default=BUILD / "site", help="where sites are")
    options = parser.parse_args()
    version = options.version or _tag() or "main"
    site: Path = options.out / version
    shutil.rmtree(site, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        lay_out(source)
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
        command += ["-c", str(ROOT / "docs"), "-d", str(Path(folder, "trees"))]
        environment = {**os.environ, "USAGESTREAM_DOCS_VERSION": version}
        built = subprocess.run([*command, str(source), str(site)], env=environment, check=False)
    if built.returncode:
        return built.returncode
    list_versions(options.out)
    if lost := sorted(lost_links(options.out)):
        print("Links that lead nowhere:", *lost, sep="\n  ")
        return 1
    print(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages")
    return 0


def _tag() -> str:
    """Give the version that this commit is tagged as, or nothing."""
    command = ["git", "describe", "--tags", "--exact-match", "--match", "v*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip().removeprefix("v")


def list_versions(folder: Path) -> None:
    """Write a page that leads to the newest release, and one that lists all versions."""
    found = sorted((each.parent.name for each in folder.glob("*/index.html")), key=_age)
    newest = f"{found[0]}/index.html"
    there = f'{_PAGE}<meta http-equiv="refresh" content="0; url={newest}">\n'
    (folder / "index.html").write_text(f'{there}<a href="{newest}">{newest}</a>\n', "utf-8")
    lines = [f'<li><a href="{each}/index.html">{each}</a></li>' for each in found]
    page = ["<h1>Versions of this documentation</h1>", "<ul>", *lines, "</ul>", ""]
    (folder / "versions.html").write_text(_PAGE + "\n".join(page), "utf-8")


def _age(version: str) -> tuple[int, list[int], str]:
    """Newest release first; what is no release comes after them."""
    numbers = version.split(".")
    if not all(number.isdigit() for number in numbers):
        return (1, [], version)
    return (0, [-int(number) for number in numbers], version)


if __name__ == "__main__":
    sys.exit(main())
