"""Every example of README.md and of the documentation runs as it stands."""

from __future__ import annotations

import contextlib
import re
import unittest
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from sqlalchemy_imageattach import instrumentation

ROOT = Path(__file__).parent.parent
SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
DOCUMENTS = [
    path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if "```python" in path.read_text()
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_blocks_of_a_document_run_one_after_the_other(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(instrumentation, "_subscribers", ())  # what subscribes does so for this document
    parsed = SYBIL.parse(document)
    parsed.namespace["__name__"] = "__main__"  # as a program that stands in a file of its own
    for example in parsed.examples():
        with contextlib.suppress(unittest.SkipTest):  # <!-- skip: next -->
            example.evaluate()


def test_every_test_that_the_guarantees_name_is_there():
    named = re.findall(r"`(tests/[^`]+)::(\w+)`", (ROOT / "docs/guarantees.md").read_text())
    assert len(named) > 30
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []
