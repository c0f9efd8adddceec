"""Lay the pages out for Sphinx, add the reference, and see that every link leads somewhere.

The pages are written for a code host and stay as they are. What the site has beside them (the menu,
a reference page for each part of the door) is made here.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from inspect import isclass, ismodule, isroutine
from pathlib import Path
from urllib.parse import unquote

import click
from docs.drawing import svg

import usagestream
from usagestream_adapters.cli.command import main

ROOT = Path(__file__).parents[1]
DOOR = ROOT / "adapters" / "usagestream" / "__init__.py"
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
MENU = {
    "Guide": ("start", "concepts", "configuration", "track", "responses", "endings", "totals"),
    "Money": ("costs", "estimates", "ledger", "budgets", "report"),
    "How to": ("recipes", "web", "azure", "dashboard", "testing", "adapters"),
    "Reference": ("reference/index", "wire", "versions"),
    "About": (
        *("alternatives", "speed", "survives", "architecture", "decisions/README"),
        *("CHANGELOG", "CONTRIBUTING", "SECURITY"),
    ),
}
SEAM = """For adapters
============

What an adapter of your own does, and is asked to do: see :doc:`/adapters`.

.. automodule:: usagestream_core.adapter
   :members:
   :undoc-members:
"""
_FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def sources() -> dict[str, Path]:
    """Every file of the site that the repository has, by its place in the site."""
    docs = ROOT / "docs"
    found = {"index.md": ROOT / "README.md"}
    found |= {name: ROOT / name for name in BESIDE}
    kinds = ("*.md", "*.svg", "*.json", "*.txt")
    files = sorted(each for kind in kinds for each in docs.rglob(kind))
    return found | {
        each.relative_to(docs).as_posix(): each
        for each in files
        if not each.relative_to(docs).parts[0].startswith("_")
    }


def lay_out(target: Path) -> None:
    """Write what Sphinx reads into an empty folder: pages, the menu, the reference."""
    files = sources()
    places = {path: place for place, path in files.items()}
    for place, path in files.items():
        there = target / place
        there.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            there.write_text(page(path, place, places), "utf-8")
        else:
            shutil.copy(path, there)
    reference = target / "reference"
    reference.mkdir()
    for name, text in reference_pages().items():
        (reference / f"{name}.rst").write_text(text, "utf-8")
    with (target / "index.md").open("a", encoding="utf-8") as index:
        index.write(menu({place.removesuffix(".md") for place in files if place.endswith(".md")}))


def page(path: Path, place: str, places: dict[Path, str]) -> str:
    """Give a page with its links turned to where things are in the site."""

    def turned(link: re.Match[str]) -> str:
        there = places.get((path.parent / link[1]).resolve())
        if there is None:
            return link[0]
        return posixpath.relpath(there, posixpath.dirname(place) or ".") + (link[2] or "")

    text = path.read_text("utf-8")
    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(turned, text[end : fence.start()]), _shown(fence[0])]
        end = fence.end()
    return "".join([*parts, _LINK.sub(turned, text[end:])])


def _shown(fence: str) -> str:
    """Give a fence as the site has it: a diagram is drawn here, without anybody else's script."""
    return svg(fence) if fence.startswith("```mermaid\n") else fence


def menu(pages: set[str]) -> str:
    """The menu; a page that nobody has put into it comes last of the guide."""
    listed = {name for names in MENU.values() for name in names} | {"index"}
    rest = sorted(name for name in pages - listed if "/" not in name)
    below = sorted(name for name in pages - listed if "/" in name)
    text = ""
    for caption, names in MENU.items():
        entries = [name for name in names if name in pages or name.startswith("reference/")]
        entries += rest if caption == "Guide" else []
        text += "\n".join(
            ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""]
        )
    if below:
        text += "\n".join(["", "```{toctree}", ":hidden:", ":caption: Decisions", "", *below])
        text += "\n```\n"
    return text


def parts_of_the_door() -> dict[str, list[str]]:
    """The public names, under the headings that the door's list of them has."""
    source = DOOR.read_text("utf-8")
    listed = source.partition("__all__ = [")[2].partition("\n]")[0]
    found: dict[str, list[str]] = {}
    for line in listed.splitlines()[1:]:
        line = line.strip()
        if line.startswith("#"):
            found[line.removeprefix("# ")] = []
        else:
            found[list(found)[-1]].append(line.strip('",'))
    return found


def reference_pages() -> dict[str, str]:
    """A page for each part of the door, and one that lists them."""
    pages: dict[str, str] = {}
    for title, names in parts_of_the_door().items():
        entries = [_entry(name) for name in names if not name.startswith("__")]
        if entries:
            heading = title[0].upper() + title[1:]
            lines = [heading, "=" * len(heading), "", ".. py:currentmodule:: usagestream", ""]
            pages[re.sub(r"\W+", "-", title).strip("-")] = "\n".join([*lines, *entries])
    names_of = {
        name: [_link(each) for each in names if not each.startswith("__")]
        for name, names in zip(pages, parts_of_the_door().values(), strict=False)
    }
    lines = ["API reference", "=============", ""]
    lines += ["Every name that a program imports from ``usagestream``, with what it promises.", ""]
    lines += ["The command has :doc:`a page of its own <command>`.", ""]
    for name, links in names_of.items():
        lines += [f":doc:`{name}`", "   " + ", ".join(links), ""]
    pages |= {"adapters": SEAM, "command": command_page()}
    lines += ["Adapters of your own stand on :doc:`the seam <adapters>`.", ""]
    lines += [".. toctree::", "   :hidden:", "", *(f"   {name}" for name in pages), ""]
    return {**pages, "index": "\n".join(lines)}


def command_page() -> str:
    """Every command with its help, as a terminal of 80 columns shows it."""
    lines = ["The command", "===========", ""]
    lines += ["``usagestream`` and ``python -m usagestream`` are the same.", ""]
    for path, command in _commands(("usagestream",), main):
        name = " ".join(path)
        context = click.Context(command, info_name=name, terminal_width=80, **main.context_settings)
        shown = command.get_help(context)
        lines += [name, "-" * len(name), "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in shown.splitlines()] + [""]
    return "\n".join(lines)


def _commands(
    path: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands((*path, name), below)


def _link(name: str) -> str:
    is_module = ismodule(getattr(usagestream, name))
    return f":ref:`{name} <{name}>`" if is_module else f":py:obj:`~usagestream.{name}`"


def _entry(name: str) -> str:
    thing = getattr(usagestream, name)
    full = f"usagestream.{name}"
    if ismodule(thing):
        return f".. _{name}:\n\n.. automodule:: {thing.__name__}\n   :members:\n"
    if isclass(thing) and issubclass(thing, BaseException):  # what it inherits is one link away
        return f".. autoexception:: {full}\n   :members:\n   :show-inheritance:\n"
    if isclass(thing):
        lines = [f".. autoclass:: {full}", "   :members:", "   :undoc-members:"]
        lines += ["   :inherited-members: BaseModel, str, Protocol, Generic"]
        return "\n".join([*lines, "   :exclude-members: model_config, model_post_init", ""])
    return f".. {'autofunction' if isroutine(thing) else 'autodata'}:: {full}\n"


@dataclass
class _Page(HTMLParser):
    """The anchors and the links of a page of HTML."""

    anchors: set[str] = field(default_factory=set[str])
    links: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def lost_links(site: Path) -> Iterator[str]:
    """Name each link within a built site that leads nowhere, with its page. Nothing is sent."""
    pages: dict[Path, _Page] = {}
    for path in site.rglob("*.html"):
        pages[path.resolve()] = parsed = _Page()
        parsed.feed(path.read_text("utf-8"))
    for path, parsed in pages.items():
        for link in parsed.links:
            file, _, anchor = link.partition("#")
            if re.match(r"\w+:|//", file):
                continue
            there = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            if there.is_dir():
                there /= "index.html"
            known = pages.get(there)
            lost = not there.exists() or (anchor and known and anchor not in known.anchors)
            if lost and unquote(anchor) not in (known.anchors if known else ()):
                yield f"{path.relative_to(site)}: {link}"
