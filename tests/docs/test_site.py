"""The site: what is laid out for Sphinx, and how links and versions are looked after."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from docs.__main__ import list_versions
from docs.drawing import svg
from docs.site import lay_out, lost_links, parts_of_the_door, sources

import usagestream
from usagestream_adapters.cli.command import main


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Sphinx is given."""
    folder = tmp_path_factory.mktemp("site") / "source"
    lay_out(folder)
    return folder


def test_every_page_is_in_the_menu(laid_out: Path) -> None:
    """Once each, and nothing is in it that is not there."""
    menu = (laid_out / "index.md").read_text("utf-8")
    trees = re.findall(r"```\{toctree\}\n(?::[^\n]*\n)+\n(.*?)```", menu, re.DOTALL)
    listed = [name for tree in trees for name in tree.split()]
    pages = {place.removesuffix(".md") for place in sources() if place.endswith(".md")}
    assert sorted(listed) == sorted(pages - {"index"} | {"reference/index"})


def test_links_lead_to_where_things_are_in_the_site(laid_out: Path) -> None:
    """From the README, from a page beside it, and from a folder below."""
    lost: list[str] = []
    for page in laid_out.rglob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        lost += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
    assert lost == []
    assert "](start.md)" in (laid_out / "index.md").read_text("utf-8")


def test_the_reference_has_every_name_of_the_door(laid_out: Path) -> None:
    """Each of them once, on the page of its part."""
    assert [name for names in parts_of_the_door().values() for name in names] == list(
        usagestream.__all__
    )
    text = "".join(page.read_text("utf-8") for page in laid_out.glob("reference/*.rst"))
    found = re.findall(r"^\.\. auto\w+:: (.+)$", text, re.MULTILINE)
    found.remove("usagestream_core.adapter")  # for whoever writes an adapter
    names = [name.rpartition(".")[2] for name in found]
    assert sorted(names) == sorted(set(usagestream.__all__) - {"__version__"})


def test_the_reference_has_every_command(laid_out: Path) -> None:
    """With its options, those of commands below a command too."""
    text = (laid_out / "reference" / "command.rst").read_text("utf-8")
    titles = re.findall(r"^(usagestream.*)\n-+$", text, re.MULTILINE)
    assert titles[0] == "usagestream"
    assert {f"usagestream {name}" for name in main.commands} <= set(titles)
    assert any(title.startswith("usagestream cassettes ") for title in titles)
    assert "--max-tokens" in text
    assert text.count("-h, --help") == len(titles)


def test_a_diagram_is_drawn_with_its_boxes_and_arrows(laid_out: Path) -> None:
    """Arrows lead down, and no text of Mermaid is left on the page."""
    assert "mermaid" not in (laid_out / "architecture.md").read_text("utf-8")
    text = '```mermaid\nflowchart TD\n  a_["a"]\n  b_["b & c"]\n  a_ --> b_\n```'
    drawn = ET.fromstring(svg(text))
    words = [each.text for each in drawn.iter() if each.tag.endswith("}text")]
    assert words == ["a", "b & c"]
    (path,) = [each for each in drawn.iter() if each.tag.endswith("}path")]
    rows = [float(each.attrib["y"]) for each in drawn.iter() if each.tag.endswith("}rect")]
    assert rows[0] < rows[1]
    assert path.attrib["d"].endswith(f" {rows[1]:.0f}")


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    """A file or a heading that is not there, with the page; others' addresses are left alone."""
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="below/">1</a><a href="gone.html">2</a><a href="#none">3</a>'
        '<img src="gone.svg"><a href="https://example.com/gone">4</a><a href="#here">5</a>'
    )
    (tmp_path / "below" / "index.html").write_text(
        '<p id="here"></p><a href="../index.html#here">1</a><a href="#here">2</a>'
        '<a href="../index.html?q=1">3</a>'
    )
    assert sorted(lost_links(tmp_path)) == [
        "below/index.html: ../index.html#here",
        "index.html: #here",
        "index.html: #none",
        "index.html: gone.html",
        "index.html: gone.svg",
    ]


def test_the_first_page_leads_to_the_newest_release(tmp_path: Path) -> None:
    """By number, not by letter; what is no release comes last."""
    for version in ("0.9.0", "0.10.0", "main"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "index.html").touch()
    list_versions(tmp_path)
    assert "url=0.10.0/index.html" in (tmp_path / "index.html").read_text("utf-8")
    listed = re.findall(r">([\w.]+)</a>", (tmp_path / "versions.html").read_text("utf-8"))
    assert listed == ["0.10.0", "0.9.0", "main"]


def test_where_to_start_names_what_is_there() -> None:
    """Each path in the table of common changes exists, and each room that it names."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    table = page.partition("## Where to start")[2].partition("\n\nA new room")[0]
    places = [root, root / "adapters/usagestream_adapters", root / "core/usagestream_core"]
    named = set(re.findall(r"`([\w./]+)`", table))
    assert len(named) >= 10
    assert [
        name
        for name in named
        if not any((place / f"{name}{end}").exists() for place in places for end in ("", ".py"))
    ] == []
