"""The contract of stores, on those that need no server, and on one as the guide tells users to write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from sqlalchemy_imageattach.context import LocalProxyStore
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.testing import StoreContract


class TestFileSystemStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FileSystemStore(tmp_path / "images", "http://images.example.com/")


class TestFileSystemStoreWithoutSync(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FileSystemStore(str(tmp_path / "images"), "http://images.example.com", sync=False)


class TestHttpExposedFileSystemStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return HttpExposedFileSystemStore(tmp_path)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestLocalProxyStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        store = MemoryStore()
        return LocalProxyStore(lambda: store)


class OneFolderStore(Store):
    """Written with nothing but the guide at hand."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_path(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> Path:
        return self.path / quote(f"{object_type} {object_id} {width} {height} {mimetype}", safe="")

    def put_file(
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
    ) -> None:
        self.get_path(object_type, object_id, width, height, mimetype).write_bytes(file.read())

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> IO[bytes]:
        return self.get_path(object_type, object_id, width, height, mimetype).open("rb")

    def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
        return "http://images.example.com/" + quote(self.get_path(object_type, object_id, width, height, mimetype).name)

    def delete_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> None:
        self.get_path(object_type, object_id, width, height, mimetype).unlink(missing_ok=True)


class TestStoreWrittenWithTheGuide(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return OneFolderStore(tmp_path)


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What docs/writing_a_store.md defines."""
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(Path(__file__).parents[2] / "docs" / "writing_a_store.md")
    document.namespace["__name__"] = __name__
    for example in document.examples():
        example.evaluate()
    return document.namespace


class TestDocumentedStore(StoreContract):
    @pytest.fixture(params=["SqliteStore", "RevisionStore"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path, documented: dict[str, Any]) -> Store:
        store: Store = documented[request.param](tmp_path / "files.sqlite")
        return store


def test_class_without_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    module = tmp_path / "test_mine.py"
    module.write_text("from sqlalchemy_imageattach.testing import StoreContract\nclass TestMine(StoreContract): pass")
    command = [sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", "-p", "no:cacheprovider", str(module)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "TestMine has to have a fixture named store" in result.stdout
