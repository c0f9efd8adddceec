"""List what is promised, from the code: `uv run poe api` writes it to a file.

`python -m docs.api --against REF` says what of it breaks whoever wrote their program for an older
commit: it is `griffe check`, which by itself does not look behind the names of the door.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("api.txt")
_STARS = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
_COLOUR = re.compile(r"\x1b\[\d+m")
PACKAGES = ("usagestream_core", "usagestream_adapters", "usagestream")


def exports(root: Path) -> dict[str, griffe.Object]:
    """What stands behind every name of the door, in the sources below a folder."""
    loader = griffe.GriffeLoader(search_paths=[root / "core", root / "adapters"])
    for package in PACKAGES:
        loader.load(package)  # the door last: its names are those of the others
    loader.resolve_aliases(implicit=True, external=False)
    door = loader.modules_collection["usagestream"]
    names = sorted(str(name) for name in door.exports or ())
    return {name: _behind(door[name]) for name in names}


def _behind(thing: griffe.Object | griffe.Alias) -> griffe.Object:
    return thing.final_target if isinstance(thing, griffe.Alias) else thing


def listed() -> str:
    """Every name of the door, with its parameters and members, as the source has them."""
    found = exports(ROOT)
    return "\n".join(line for name in found for line in _lines(name, found[name], "")) + "\n"


def breaks(old: Path, new: Path) -> list[str]:
    """What breaks programs written for the sources below `old`, a sentence each."""
    before, after = exports(old), exports(new)
    found = {f"{name}: Public object was removed" for name in before if name not in after}
    for name in before.keys() & after.keys():
        for each in griffe.find_breaking_changes(before[name], after[name]):
            said = _COLOUR.sub("", each.explain(griffe.ExplanationStyle.ONE_LINE))
            found.add(said.partition(": ")[2])
    return sorted(found)


def sources_at(reference: str, folder: Path) -> Path:
    """Take the sources of a commit into a folder.

    Raises:
        subprocess.CalledProcessError: There is no such commit here.

    """
    command = ["git", "archive", reference, "core", "adapters"]
    packed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _lines(name: str, thing: griffe.Object | griffe.Alias, indent: str) -> Iterator[str]:
    match _behind(thing):
        case griffe.Class() as thing:
            bases = ", ".join(str(base) for base in thing.bases if not str(base).startswith("_"))
            yield f"{indent}class {name}" + (f"({bases})" if bases else "")
            for member in sorted(_members(thing).items()):
                yield from _lines(*member, indent + "  ")
        case griffe.Function() as thing:
            parameters = ", ".join(_parameters(thing))
            kind = "async " if "async" in thing.labels else ""
            yield f"{indent}{kind}{name}({parameters}) -> {thing.returns}"
        case griffe.Attribute() as thing:
            value = f" = {thing.value}" if "class-attribute" in thing.labels and thing.value else ""
            yield f"{indent}{name}" + (f": {thing.annotation}" if thing.annotation else "") + value
        case thing:
            yield f"{indent}{thing.kind.value} {name}"


def _members(thing: griffe.Class) -> dict[str, griffe.Object | griffe.Alias]:
    every = thing.inherited_members | thing.members
    shown = {"__init__", "__iter__", "__aiter__", "__enter__", "__aenter__", "__call__"}
    return {
        name: member
        for name, member in every.items()
        if name in shown or not name.startswith(("_", "model_config"))
    }


def _parameters(function: griffe.Function) -> Iterator[str]:
    named: bool = False
    for each in function.parameters:
        if each.name in {"self", "cls"} and each.annotation is None:
            continue
        star = _STARS.get(each.kind, "") if each.kind else ""
        if each.kind is griffe.ParameterKind.keyword_only and not named:
            yield "*"
        named = named or each.kind is griffe.ParameterKind.keyword_only or star == "*"
        annotation = f": {each.annotation}" if each.annotation else ""
        default = f" = {each.default}" if each.default and not star else ""
        yield f"{star}{each.name}{annotation}{default}"


def main() -> None:
    """Write the list, or say what breaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REF", help="an older commit or tag")
    reference = parser.parse_args().against
    if reference is None:
        LIST.write_text(listed(), "utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = breaks(sources_at(reference, Path(folder)), ROOT)
    print("\n".join(found) or f"Nothing breaks since {reference}.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
