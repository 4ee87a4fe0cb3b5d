from __future__ import annotations

import io

import pytest
from sqlalchemy import Engine

from models import Base, stored
from sqlalchemy_imageattach.cli import report
from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore

from .conftest import Run, url_of

STRAY = FileKey("user-cover", 9, 100, 50, "image/png")
LOST = FileKey("user-cover", 2, 100, 50, "image/png")


@pytest.fixture
def stray(old: FileSystemStore) -> str:
    """The store, with one file that has no row."""
    old.put_key(io.BytesIO(b"bytes"), STRAY, False)
    return url_of(old)


def test_rows_and_files_that_agree_are_fine(run: Run, old: FileSystemStore, options: list[str]) -> None:
    answer = run("audit", url_of(old), *options)
    assert (answer.status, answer.out) == (
        Status.FINE,
        "12 rows, 12 files: 0 missing, 0 unreadable, 0 mismatch, 0 orphan, 0 debris\n",
    )


def test_what_does_not_agree_is_told_both_ways(run: Run, old: FileSystemStore, stray: str, options: list[str]) -> None:
    old.delete_key(LOST)
    answer = run("audit", stray, *options, "--json")
    missing, orphan, end = answer.events
    assert answer.status == Status.FOUND
    assert (missing["event"], missing["key"]) == ("missing", LOST._asdict())
    assert missing["row"] == {"class": "UserCover", "key": [2, 100, 50]}
    assert (orphan["event"], orphan["key"], orphan["row"]) == ("orphan", STRAY._asdict(), None)
    assert (end["event"], end["missing"], end["orphan"]) == ("end", 1, 1)
    assert run("audit", stray, *options).out.splitlines()[0].startswith("missing: user-cover 2, 100x50, image/png: ")


def test_probing_looks_into_files(run: Run, old: FileSystemStore, options: list[str]) -> None:
    old.put_key(io.BytesIO(b"no image"), LOST, False)
    assert run("audit", url_of(old), *options).status == Status.FINE
    assert run("audit", url_of(old), *options, "--probe", "--json").events[0]["event"] == "unreadable"


def test_files_younger_than_asked_for_are_left_out(run: Run, stray: str, options: list[str]) -> None:
    assert run("audit", stray, *options, "--older-than", "1h").status == Status.FINE


def test_a_sweep_is_dry_until_it_is_told_otherwise(
    run: Run, old: FileSystemStore, stray: str, options: list[str]
) -> None:
    answer = run("audit", stray, *options, "--sweep", "--older-than", "0")
    assert answer.status == Status.FOUND
    assert (
        answer.out
        == "removable: user-cover/9/0/9.100x50.png, 5 bytes\n12 rows, 13 files: 1 removable, 5 bytes, 0 failed\n"
    )
    assert "--no-dry-run" in answer.err
    assert STRAY in stored(old)
    answer = run("audit", stray, *options, "--sweep", "--older-than", "0", "--no-dry-run", "--limit", 0.1, "--json")
    removed, end = answer.events
    assert answer.status == Status.FINE
    assert (removed["event"], removed["key"]) == ("removed", STRAY._asdict())
    assert end.items() >= {"event": "end", "status": 0, "files": 1, "bytes": 5, "failed": 0, "dry_run": False}.items()
    assert (end["rows"], end["listed"], end["unknown_types"]) == (12, 13, {})
    assert STRAY not in stored(old)


def test_a_sweep_leaves_out_what_is_younger_than_a_day(run: Run, stray: str, options: list[str]) -> None:
    assert run("audit", stray, *options, "--sweep").out == "12 rows, 13 files: 0 removable, 0 bytes, 0 failed\n"


def test_nothing_is_removed_when_the_database_has_no_image(
    run: Run, old: FileSystemStore, stray: str, options: list[str], engine: Engine
) -> None:
    before = stored(old)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    answer = run("audit", stray, *options, "--sweep", "--older-than", "0", "--no-dry-run")
    assert answer.status == Status.USAGE
    assert "the right database" in answer.err
    assert stored(old) == before


@pytest.mark.parametrize("wrong", [["--no-dry-run"], ["--sweep", "--probe"], ["--older-than", "tomorrow"]])
def test_options_that_do_not_belong_together_are_refused(
    run: Run, old: FileSystemStore, options: list[str], wrong: list[str]
) -> None:
    assert run("audit", url_of(old), *options, *wrong).status == Status.USAGE


def test_a_store_that_cannot_list_its_files_cannot_be_swept(
    run: Run, options: list[str], old: FileSystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("sqlalchemy_imageattach.stores.fs.BaseFileSystemStore.list_files")
    answer = run("audit", url_of(old), *options, "--sweep")
    assert answer.status == Status.STOPPED
    assert "list_files" in answer.err


def test_each_step_tells_how_far_it_has_come(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "INTERVAL", 0)
    answer = run("audit", url_of(old), *options, "--probe")
    steps = [line.partition(":")[0] for line in answer.err.splitlines()]
    assert steps == ["listing files"] * 12 + ["reading rows"] * 12 + ["looking into files"] * 12
