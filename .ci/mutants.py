"""Change the code in small ways, one at a time, and see that a test fails for each of them.

`python .ci/mutants.py` does so for every module that `mutants.toml` beside it names, with the tests
named there; `--seconds 60` for as many as that allows, others each time the history grows; with
`.meter .state` for the modules whose names end like this. The run fails if one lives that is not
named there: mutants that no test can tell from the code as it is are, each with its reason.

Each module is run once under coverage, so that a mutant meets only tests that pass its line, the
quickest first. Then a process that has loaded what the tests need, but nothing of ours, is forked
for each mutant, and imports the module as changed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import importlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SETTINGS = Path(__file__).with_name("mutants.toml")
ENOUGH = 8.0
"""Seconds of tests, as they took unchanged, that a mutant has to pass; the quickest come first."""

LONGEST = 120
"""Seconds until tests that hang are ended; so they have noticed something."""

LOADED_BEFORE = (
    "_hypothesis_pytestplugin",
    "anyio.pytest_plugin",
    "httpx2",
    "hypothesis",
    "openai",
    "pydantic",
    "pytest",
    "pytest_randomly",
    "pytest_recording.plugin",
    "starlette",
    "uvicorn",
    "xdist.plugin",
)
PLAIN = [
    "-q",
    "-n0",
    "-x",
    "--assert=plain",  # pytest's own way of importing would pass by what is changed here
    "--hypothesis-seed=0",  # what lives does not hang on chance
    "-p",
    "no:randomly",
    "-p",
    "no:cacheprovider",
]

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    lines: range
    """Where the change is: whoever passes the first of them that is passed at all, meets it."""
    name: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """What a piece of code may be changed into."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            changed = copy.deepcopy(node)
            changed.ops = [SWAPPED[type(op)]()]  # type: ignore[list-item]
            yield changed
        case ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPPED:
            changed = copy.deepcopy(node)
            changed.op = SWAPPED[type(op)]()  # type: ignore[assignment]
            yield changed
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if isinstance(
            test, ast.Name | ast.Attribute | ast.Call | ast.BoolOp
        ):
            changed = copy.deepcopy(node)
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield changed
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute()]) | ast.AugAssign():
            yield ast.Pass()
        case _:
            pass


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every change of a module's functions; annotations, defaults and docstrings are left alone."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for scope, function in _functions(tree, ""):
        for parent, field, index, node in _inside(function.body):
            for replacement in replacements(node):
                name = f"{scope}: {_short(node)} -> {_short(replacement)}"
                seen[name] += 1
                if seen[name] > 1:
                    name += f" ({seen[name]})"
                place = parent if index is None else getattr(parent, field)
                _put(place, field, index, replacement)
                ast.fix_missing_locations(ast.copy_location(replacement, node))
                yield Mutant(module, _lines(node), name, ast.unparse(tree))
                _put(place, field, index, node)


def _lines(node: Any) -> range:
    # The first line of a condition over several is a bracket, and nothing that is passed.
    end = node.test if isinstance(node, ast.If | ast.While) else node
    return range(node.lineno, end.end_lineno + 1)


def _put(place: Any, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(place, field, node)
    else:
        place[index] = node


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"if {ast.unparse(node.test)}"
    return ast.unparse(node).partition("\n")[0]


def _functions(
    tree: ast.AST, scope: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.ClassDef(name=name):
                yield from _functions(node, f"{scope}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield f"{scope}{name}", node
            case _:
                pass


def _inside(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every node below, with where it hangs, but for annotations."""
    holder = ast.Module(list(body), [])
    pending: list[ast.AST] = [holder]
    shared = body
    while pending:
        parent = pending.pop()
        for field, value in ast.iter_fields(parent):
            if field in {"annotation", "returns", "decorator_list", "defaults", "kw_defaults"}:
                continue
            where = shared if parent is holder and field == "body" else value
            if isinstance(where, list):
                for index, node in enumerate(where):
                    if isinstance(node, ast.AST):
                        yield (_Held(field, where), field, index, node)
                        pending.append(node)
            elif isinstance(value, ast.AST):
                yield parent, field, None, value
                pending.append(value)


class _Held(ast.AST):
    """A list of statements or expressions, to be changed in place."""

    def __init__(self, field: str, nodes: list[Any]) -> None:
        super().__init__()
        setattr(self, field, nodes)


COVERED = """
import json, sys, time
import coverage, pytest

class Contexts:
    def __init__(self): self.took = {}
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        measured.switch_context(item.nodeid)
        begun = time.perf_counter()
        try: return (yield)
        finally: self.took[item.nodeid] = time.perf_counter() - begun

file, out, *arguments = sys.argv[1:]
measured = coverage.Coverage(data_file=None, include=[file], config_file=False)
measured.start()
contexts = Contexts()
code = pytest.main(arguments, plugins=[contexts])
measured.stop()
lines = measured.get_data().contexts_by_lineno(file)
json.dump({"code": int(code), "took": contexts.took, "lines": lines}, open(out, "w"))
"""


@dataclass(frozen=True)
class Tests:
    """Those that pass one line: a mutant that the first let live meets the rest."""

    first: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


def tests_by_line(file: str, tests: list[str]) -> dict[int, Tests]:
    """Which tests pass each line, the quickest first.

    Raises:
        SystemExit: The tests fail as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "lines.json")
        options = [each for each in PLAIN if each != "-x"]
        command = [sys.executable, "-c", COVERED, file, str(out), *options, *tests]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(out.read_text("utf-8"))
    if found["code"]:
        sys.exit(f"These tests fail before anything is changed: {' '.join(tests)}")
    took: dict[str, float] = found["took"]
    return {
        int(line): _in_parts(
            sorted((each for each in contexts if each in took), key=took.get), took
        )
        for line, contexts in found["lines"].items()
    }


def _in_parts(quickest_first: list[str], took: dict[str, float]) -> Tests:
    parts: tuple[list[str], list[str]] = ([], [])
    spent = 0.0
    for test in quickest_first:
        spent += took[test]
        if spent < ENOUGH:
            parts[0].append(test)
        elif spent < LONGEST / 4:  # so that what takes LONGEST does hang
            parts[1].append(test)
    return Tests(*map(tuple, parts))


def those_that_pass(mutant: Mutant, covered: dict[int, Tests]) -> Tests:
    """Which tests pass where this mutant differs."""
    return next((covered[line] for line in mutant.lines if line in covered), Tests())


def every(covered: dict[int, Tests]) -> Tests:
    """Some tests for each line."""
    some = (test for tests in covered.values() for test in tests.first[:3])
    return Tests(tuple(dict.fromkeys(some)))


def start(mutant: Mutant, tests: tuple[str, ...]) -> int:
    """Run tests against a mutant, in a process of its own. Gives its number."""
    child = os.fork()
    if child:
        return child
    code = compile(mutant.source, str(ROOT / mutant.module), "exec", dont_inherit=True)
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        return code if fullname == mutant.module else original(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.setsid()
    signal.alarm(LONGEST)
    failed = True
    try:
        import pytest

        os.chdir(ROOT)
        failed = pytest.main([*PLAIN, *tests]) != 0
    finally:
        os._exit(int(failed))


def survivors(todo: list[tuple[Mutant, Tests]], until: float) -> tuple[int, list[Mutant]]:
    """Run mutants, as many at once as there are cores: how many were tried, and which lived."""
    running: dict[int, tuple[Mutant, tuple[str, ...]]] = {}
    lived: list[Mutant] = []
    tried = 0
    pending = iter(todo)
    again: list[tuple[Mutant, tuple[str, ...]]] = []
    while True:
        while len(running) < (os.cpu_count() or 1):
            if again:
                mutant, tests = again.pop()
                running[start(mutant, tests)] = mutant, ()
                continue
            following = next(pending, None) if time.monotonic() < until else None
            if following is None:
                break
            mutant, parts = following
            tried += 1
            if parts.first:
                running[start(mutant, parts.first)] = mutant, parts.rest
            else:
                lived.append(mutant)
        if not running:
            return tried, lived
        child, status = os.wait()
        mutant, rest = running.pop(child)
        if status == 0 and rest:
            again.append((mutant, rest))
        elif status == 0:
            lived.append(mutant)


def main() -> None:
    """Try mutants, and fail if one lives that is not named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long to try")
    parser.add_argument("modules", nargs="*", help="those whose names end like this; default: all")
    options = parser.parse_args()
    settings = tomllib.loads(SETTINGS.read_text("utf-8"))
    endings = tuple(options.modules) or ("",)
    modules = [module for module in settings["modules"] if module.endswith(endings)]
    todo: list[tuple[Mutant, Tests]] = []
    unchanged: list[tuple[Mutant, Tests]] = []
    spoilt: list[tuple[Mutant, Tests]] = []
    for module in modules:
        file = file_of(module)
        covered = tests_by_line(str(file), settings["modules"][module])
        source = file.read_text("utf-8")
        each = list(mutants(module, source))
        source = ast.unparse(ast.parse(source))
        tests = every(covered)
        unchanged.append((Mutant(module, range(0), "unchanged", source), tests))
        spoilt.append((Mutant(module, range(0), "spoilt", "raise ImportError"), tests))
        print(f"{module}: {len(each)} mutants", flush=True)
        todo += [(mutant, those_that_pass(mutant, covered)) for mutant in each]
    seed = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False)
    random.Random(seed.stdout).shuffle(todo)
    for name in LOADED_BEFORE:
        importlib.import_module(name)
    gc.freeze()  # so that a mutant's process looks through what is its own only
    for what, expected in ((unchanged, len(unchanged)), (spoilt, 0)):
        if len(survivors(what, float("inf"))[1]) != expected:
            sys.exit(f"The tests say nothing: look at those of what is {what[0][0].name}")
    named = {f"{module}.{name}" for module in modules for name in settings["equivalents"][module]}
    tried, lived = survivors(todo, time.monotonic() + options.seconds)
    unnamed = sorted(str(mutant) for mutant in lived if str(mutant) not in named)
    print(f"{tried} of {len(todo)} mutants tried, {len(lived)} lived, {len(unnamed)} unnamed")
    print("\n".join(f"  lives: {name}" for name in unnamed))
    sys.exit(bool(unnamed))


def file_of(module: str) -> Path:
    """Where a module's source is."""
    root = ROOT / ("core" if module.startswith("usagestream_core") else "adapters")
    return root / (module.replace(".", "/") + ".py")


if __name__ == "__main__":
    main()
