"""The reference names what applications import, at the path that they import it from."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import sqlalchemy_imageattach

ROOT = Path(__file__).parent.parent
PAGES = "\n".join(path.read_text() for path in ROOT.glob("docs/reference/*.md"))
IMPORT = re.compile(r"^\s*from (sqlalchemy_imageattach[\w.]*) import (\([^)]*\)|.+)$", re.MULTILINE)


def described() -> set[tuple[str, str]]:
    """Modules, and the names of each, that the reference has."""
    members = re.findall(r"automodule:: (\S+)\n   :members: (.+)", PAGES)
    found = {(module, name) for module, names in members for name in names.split(", ")}
    package = PAGES.partition("py:module:: sqlalchemy_imageattach\n")[2].partition("```")[0]
    return found | {("sqlalchemy_imageattach", name) for name in re.findall(r"py:\w+:: (\w+)", package)}


def test_every_name_of_the_reference_is_there():
    assert [name for name in described() if not hasattr(importlib.import_module(name[0]), name[1])] == []


def test_every_name_of_the_package_is_in_the_reference():
    there = {name for module, name in described() if module == "sqlalchemy_imageattach"}
    assert there == set(sqlalchemy_imageattach.__all__)


def test_every_name_that_the_documentation_and_the_examples_import_is_in_the_reference():
    texts = [path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.py"))]
    imported = {
        (module, name.strip().split(" ")[0])
        for text in texts
        for module, names in IMPORT.findall(text)
        for name in names.strip("()").replace("\n", " ").split(",")
        if name.strip()
    }
    assert len(imported) > 30
    assert sorted(imported - described()) == []
