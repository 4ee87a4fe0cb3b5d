"""The plan of the house holds: the package's docstring names one stair, and this reads the imports of each file.

Every import counts: at the top of a file, inside a function, and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import collections
import doctest
import graphlib
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "sqlalchemy_imageattach"
FOLDER = ROOT / "src" / PACKAGE
#: What SQLAlchemy keeps private, and the library cannot do without, is reached for in this module alone.
INTERNALS = f"{PACKAGE}.entity.sqlalchemy_internals"
#: Named tuples have public methods with underscores, lest they be taken for fields.
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
#: More rooms at the top would be more than a reader keeps in mind; the two are named so that they are not counted.
ROOMS, FILES_IN_A_ROOM, BESIDE = 22, 13, {"variants", "ext"}


def module_of(path: Path) -> str:
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_of(path): path for path in sorted(FOLDER.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text()) for module, path in PATHS.items()}


def imports(module: str, tree: ast.Module) -> Iterator[tuple[str, str | None, str]]:
    """Each import: the module, what of it, and the name it has here."""
    package = module if module in PATHS and PATHS[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package or "tests")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                part = (inner, None) if inner in PATHS else (origin, alias.name)
                yield *part, alias.asname or alias.name


ARROWS = {
    module: {origin for origin, _, _ in imports(module, tree) if origin in PATHS} for module, tree in TREES.items()
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def stair() -> dict[str, int]:
    """The step of each room, counted from the top, as the package's docstring draws it."""
    drawn = re.search(r"::\n\n((?: {7}.+\n)+)", ast.get_docstring(TREES[PACKAGE], clean=False)).group(1)
    return {name: step for step, line in enumerate(drawn.splitlines()) for name in re.findall(r"\w+", line)}


def test_no_files_import_each_other_in_a_circle():
    try:
        graphlib.TopologicalSorter(ARROWS).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_every_room_stands_on_the_stair_and_every_import_runs_down():
    step = stair()
    assert sorted({room(module) for module in PATHS} - {PACKAGE} - step.keys()) == []
    arrows = [(module, origin) for module, origins in ARROWS.items() for origin in origins if module != PACKAGE]
    level = [(a, b) for a, b in arrows if room(a) != room(b) and step[room(a)] >= step.get(room(b), -1)]
    assert not level, "\n".join(f"{a} → {b}" for a, b in level)


@pytest.mark.parametrize(("room_of", "other"), [("stores", f"{PACKAGE}.imaging"), ("imaging", "sqlalchemy")])
def test_a_room_does_not_know_what_the_package_says_it_does_not(room_of, other):
    known = {
        (module, origin)
        for module, tree in TREES.items()
        for origin, _, _ in imports(module, tree)
        if room(module) == room_of and f"{origin}.".startswith(f"{other}.")
    }
    assert known == set()


def test_no_file_reaches_for_an_underscore_of_another_file():
    reached = []
    for module, tree in TREES.items():
        here = set(defined(tree))
        reached += [f"{module}: {name}" for _, name, _ in imports(module, tree) if name and is_private(name)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in here:
                reached.append(f"{module}:{node.lineno}: .{node.attr}")
    reached = [each for each in reached if not each.startswith(f"{INTERNALS}:")]
    assert not reached, "\n".join(reached)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMED_TUPLES


def defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def test_what_a_file_offers_is_exactly_what_other_files_import():
    used = uses()
    wrong = []
    for module, tree in TREES.items():
        offered = {ast.literal_eval(node.value) for node in tree.body if assigns(node, "__all__")}
        names = set(*offered) if offered else set()
        needed = {name for name in used[module] if not name.startswith("_")}
        if module != PACKAGE and names != needed:  # the package's own face is locked by name
            wrong.append(f"{module}: missing {sorted(needed - names)}, too much {sorted(names - needed)}")
    assert not wrong, "\n".join(wrong)


def assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def uses() -> dict[str, set[str]]:
    """What is imported or named of each module of the package by any other file."""
    used = collections.defaultdict(set)
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.rst"), ROOT / "conftest.py"]
    programs = [
        path for folder in ("tests", "docs", "examples", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    for path in {*PATHS.values(), *documents, *programs} - set(ROOT.glob("**/node_modules/**/*")):
        module = module_of(path) if path.is_relative_to(FOLDER) else ""
        for origin, name in uses_of(path, module):
            if origin in PATHS and origin != module:
                used[origin].add(name)
    return used


def uses_of(path: Path, module: str) -> Iterator[tuple[str, str]]:
    text = path.read_text()
    for dotted in re.findall(rf"{PACKAGE}(?:\.\w+)+", text):
        origin, _, name = dotted.rpartition(".")
        if dotted not in PATHS:
            yield origin, name
    trees = [ast.parse(text)] if path.suffix == ".py" else []
    for program in programs_in(text) if PACKAGE in text else ():
        try:
            trees.append(ast.parse(program))
        except SyntaxError:
            continue
    for tree in trees:
        modules = {}
        for origin, name, here in imports(module, tree):
            if name is None:
                modules[here] = origin
            else:
                yield origin, name
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (origin := modules.get(getattr(node.value, "id", ""))):
                yield origin, node.attr


def programs_in(text: str) -> Iterator[str]:
    yield "".join(example.source for example in doctest.DocTestParser().get_examples(text))
    yield from re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    yield from map(textwrap.dedent, re.findall(r'"""(.*?)"""', text, re.DOTALL))


def test_no_room_is_too_large_to_keep_in_mind():
    folders = collections.Counter(path.parent for path in PATHS.values())
    assert {path.name: count for path, count in folders.items() if count > FILES_IN_A_ROOM} == {}
    top = {room(module) for module in PATHS} - BESIDE
    assert len(top) <= ROOMS, sorted(top)
