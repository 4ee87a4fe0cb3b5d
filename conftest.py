"""What holds for every test, whether it stands in tests/, in a docstring or in the documentation."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

collect_ignore = ["docs/conf.py"]

# No deadlines: on a machine that does other things as well, they are wrong now and then.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True, derandomize=False)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=100_000, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example may write files into the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _doctests_have_their_own_folder(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("own_folder")


# Every Python block of README.md and of the documentation runs, a document's blocks one after the other.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    fixtures=["own_folder"],
).pytest()
