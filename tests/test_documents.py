"""Every example of README.md and of the documentation runs as it stands."""

from __future__ import annotations

import contextlib
import contextvars
import doctest
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from sqlalchemy_imageattach import instrumentation

ROOT = Path(__file__).parent.parent
# The chapters of the guide are one program, in the order of the table of contents.
GUIDE = [
    ROOT / f"docs/{name}.md" for name in re.findall(r"^guide/\w+$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
]
DOCUMENTS = [
    GUIDE,
    *(
        [path]
        for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
        if path not in GUIDE and re.search("```(python|console)", path.read_text())
    ),
]


def run_console(example: Example) -> str | None:
    """Runs the commands of a block, each a line that begins with a dollar, and compares what they say; exports stay."""
    exports = example.namespace.setdefault("exports", [])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for said in re.split(r"^\$ ", str(example.parsed), flags=re.MULTILINE)[1:]:
        command, _, expected = said.partition("\n")
        if command.startswith("export "):
            exports.append(command)
            continue
        script = "\n".join([*exports, command])
        ran = subprocess.run(["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True)
        got = ran.stdout + ran.stderr
        if not doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS):
            return f"$ {command}\nexpected:\n{expected}\ngot:\n{got}"
    return None


SYBIL = Sybil(parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console), SkipParser()])


def test_every_chapter_is_in_the_table_of_contents():
    assert set(GUIDE) == set((ROOT / "docs/guide").iterdir())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda paths: str(paths[0].relative_to(ROOT)))
def test_the_blocks_of_a_document_run_one_after_the_other(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(instrumentation, "_subscribers", ())  # what subscribes does so for this document
    namespace = {"__name__": "__main__"}  # as a program that stands in a file of its own
    # What other tests have left current is nothing to a document.
    context = contextvars.Context()
    for path in document:
        parsed = SYBIL.parse(path)
        parsed.namespace.update(namespace)
        for example in parsed.examples():
            with contextlib.suppress(unittest.SkipTest):  # <!-- skip: next -->
                context.run(example.evaluate)
        namespace = parsed.namespace


def test_every_test_that_the_guarantees_name_is_there():
    named = re.findall(r"`(tests/[^`]+)::(\w+)`", (ROOT / "docs/guarantees.md").read_text())
    assert len(named) > 30
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []
