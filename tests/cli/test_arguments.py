"""What is not as it has to be is refused with a line, before anything is done, and without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.stores.fs import FileSystemStore

from .conftest import Run, url_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("models", "expected the module and the name"),
        ("no_such_module:Base", "No module named 'no_such_module'"),
        ("models:Nothing", "models has no Nothing"),
        ("models:User", "expected a declarative base class"),
        ("broken_models:Base", "ZeroDivisionError: division by zero"),
        ("bare_models:Base", "has no image classes"),
    ],
)
def test_models_that_cannot_be_used(
    run: Run,
    old: FileSystemStore,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_models.py").write_text("1 / 0")
    (tmp_path / "bare_models.py").write_text("from sqlalchemy.orm import declarative_base\nBase = declarative_base()")
    answer = run("audit", url_of(old), *options, "--models", value)
    assert answer.status == Status.USAGE
    assert expected in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("name", ["User", "Nothing", ""])
def test_a_class_that_is_no_image_class(run: Run, old: FileSystemStore, options: list[str], name: str) -> None:
    answer = run("audit", url_of(old), *options, "--class", name)
    assert answer.status == Status.USAGE
    assert "there are AlbumPhoto, UserCover, UserPicture" in answer.err


@pytest.mark.parametrize(
    "url",
    [
        "a-secret",
        "postgresql+psycopg://somebody:a-secret@host:port/name",
        "no-such-dialect://somebody:a-secret@host/name",
        "postgresql+asyncpg://somebody:a-secret@host/name",
        "mysql+mysqldb://somebody:a-secret@host/name",
        "sqlite:///no/such/file",
    ],
)
def test_a_database_that_cannot_be_used(run: Run, old: FileSystemStore, options: list[str], url: str) -> None:
    answer = run("audit", url_of(old), *options, "--database", url)
    assert answer.status == Status.USAGE
    assert "--database" in answer.err
    assert "a-secret" not in answer.err


@pytest.mark.parametrize(
    "url",
    [
        "a-secret",
        "s3://key:a-secret@bucket:1/",
        "s3://bucket?secret_key=a-secret&no_such_argument=1",
        "s3://bucket?secret_key=a-secret&max_age=long",
        "ftp://somebody:a-secret@host/",
        "file:///no/such/folder",
    ],
)
def test_a_store_that_cannot_be_used(run: Run, options: list[str], url: str) -> None:
    answer = run("audit", url, *options)
    assert answer.status == Status.USAGE
    assert "STORE" in answer.err
    assert "a-secret" not in answer.err


def test_a_move_to_the_same_store(run: Run, old: FileSystemStore, options: list[str]) -> None:
    assert run("migrate", url_of(old), url_of(old), *options).status == Status.USAGE


def test_a_defect_is_shown_whole_but_for_secrets(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("with a-secret in it")

    monkeypatch.setattr("sqlalchemy_imageattach.audit.verify", fail)
    monkeypatch.setattr("sqlalchemy_imageattach.cli.arguments._secrets", {"a-secret"})
    answer = run("audit", url_of(old), *options)
    assert answer.status == Status.DEFECT
    assert "Traceback" in answer.err
    assert "a-secret" not in answer.err
