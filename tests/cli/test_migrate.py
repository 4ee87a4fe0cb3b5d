from __future__ import annotations

import datetime
import errno
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL

from models import Base, UserCover, UserPicture, stored
from sqlalchemy_imageattach.bulk import batches
from sqlalchemy_imageattach.cli import arguments, report
from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore

from .conftest import Run, fill, url_of

TOTAL = 12


def lose(store: FileSystemStore, number: int) -> FileKey:
    key = FileKey("user-cover", number, 100, 50, "image/png")
    store.delete_key(key)
    return key


def test_all_files_are_copied(run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]) -> None:
    answer = run("migrate", url_of(old), url_of(new), *options, "--workers", 2, "--verify")
    assert (answer.status, answer.out) == (Status.FINE, "12 copied, 0 left out since they are there, 0 failed\n")
    assert stored(new) == stored(old)


def test_one_class_is_copied(run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]) -> None:
    answer = run("migrate", url_of(old), url_of(new), *options, "--class", "UserCover")
    assert answer.status == Status.FINE
    assert {key.object_type for key in stored(new) if key} == {"user-cover"}


def test_what_fails_is_told_by_key_and_the_others_are_copied(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    lost = lose(old, 2)
    (cut_off,) = Path(old.path).glob("user-picture/3/0/*64x48*")
    cut_off.write_bytes(cut_off.read_bytes()[:-20])
    answer = run("migrate", url_of(old), url_of(new), *options, "--verify", "--json")
    *failures, end = answer.events
    assert answer.status == Status.FOUND
    assert end.pop("seconds") >= 0
    assert end == {
        "event": "end", "status": 1, "copied": 10, "skipped": 0, "failed": 2, "passed_over": 0, "dry_run": False
    }  # fmt: skip
    assert [failure["event"] for failure in failures] == ["failed"] * 2
    assert {failure["key"]["object_id"] for failure in failures} == {2, 3}
    assert lost._asdict() in [failure["key"] for failure in failures]
    assert len(stored(new)) == 10


def test_people_are_told_the_same_in_lines(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    lose(old, 2)
    answer = run("migrate", url_of(old), url_of(new), *options)
    first, last = answer.out.splitlines()
    assert first.startswith("failed: user-cover 2, 100x50, image/png: ")
    assert last == "11 copied, 0 left out since they are there, 1 failed"


def test_what_is_there_is_left_out(run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]) -> None:
    run("migrate", url_of(old), url_of(new), *options, "--class", "UserCover")
    answer = run("migrate", url_of(old), url_of(new), *options, "--skip-existing", "--json")
    end = answer.events[-1]
    assert (end["status"], end["copied"], end["skipped"], end["failed"]) == (Status.FINE, 8, 4, 0)


def test_a_dry_run_copies_nothing(run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]) -> None:
    answer = run("migrate", url_of(old), url_of(new), *options, "--dry-run")
    assert answer.out.startswith("12 to copy")
    assert not stored(new)


def test_what_failed_is_told_how_to_copy_and_a_checkpoint_of_a_run_that_ended_begins_anew(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    lost = lose(old, 2)
    again = [url_of(old), url_of(new), *options, "--checkpoint", tmp_path / "checkpoint"]
    answer = run("migrate", *again)
    assert answer.err == "To try again what failed, run the same with --skip-existing.\n"
    old.put_key(io.BytesIO(b"found"), lost, False)
    answer = run("migrate", *again, "--skip-existing")
    assert (answer.status, answer.out) == (Status.FINE, "1 copied, 11 left out since they are there, 0 failed\n")
    assert not answer.err


def test_a_bucket_is_moved_to(
    run: Run, old: FileSystemStore, options: list[str], s3_server: Any, tmp_path: Path
) -> None:
    secrets = f"{s3_server.access_key}:{s3_server.secret_key}"
    query = f"region={s3_server.region}&endpoint_url={s3_server.endpoint_url}"
    bucket = f"s3://{secrets}@{s3_server.bucket}/{tmp_path.name}?{query}"
    assert run("migrate", url_of(old), bucket, *options, "--verify").status == Status.FINE
    assert run("audit", bucket, *options, "--probe").status == Status.FINE
    wrong = bucket.replace(s3_server.secret_key, "a-wrong-secret")
    answer = run("migrate", url_of(old), wrong, *options, "--class", "UserCover")
    assert answer.status == Status.FOUND
    assert "a-wrong-secret" not in answer.out + answer.err


# What ends it


class Gives(MemoryStore):
    """A destination in which something happens at the fifth file."""

    def __init__(self, happens: Any) -> None:
        super().__init__()
        self.happens = happens

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        if len(stored(self)) == 4:
            self.happens()
        super().put_key(file, key, reproducible)


def test_a_destination_that_is_full_ends_it_and_the_next_run_begins_with_that_image(
    run: Run,
    old: FileSystemStore,
    options: list[str],
    tmp_path: Path,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fill_up() -> None:
        raise StoreError(errno.ENOSPC, "no space left on device")

    full = Gives(fill_up)
    monkeypatch.setattr(arguments, "store_from_url", {url_of(old): old, "full": full}.__getitem__)
    again = [url_of(old), "full", *options, "--checkpoint", tmp_path / "checkpoint", "--json", "--workers", 1]
    answer = run("migrate", *again)
    assert (answer.status, answer.events[-1]["copied"]) == (Status.STOPPED, 4)
    assert "no space left on device" in answer.err
    assert f"goes on from {tmp_path / 'checkpoint'}" in answer.err
    full.happens = lambda: None
    with engine.begin() as connection:
        # What is of today would be looked at once more.
        for table in (UserCover.__table__, UserPicture.__table__):
            connection.execute(table.update().values(created_at=datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)))
    answer = run("migrate", *again)
    assert (answer.status, answer.events[-1]["copied"]) == (Status.FINE, TOTAL - 4)
    assert answer.events[-1]["passed_over"] == 4
    assert answer.err == ""
    assert stored(full) == stored(old)


@pytest.fixture
def moving(
    postgresql_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Gives, MemoryStore, list[str]]]:
    """A destination that ends all connections to the database at the fifth file, and the arguments of a move to it."""
    engine = create_engine(postgresql_url)
    Base.metadata.create_all(engine)
    old = MemoryStore()
    fill(engine, old)

    def end_connections() -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with engine.connect() as connection:
            connection.execute(text(f"{query} AND pid <> pg_backend_pid()"))
        engine.dispose()

    leaving = Gives(end_connections)
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    monkeypatch.setattr(arguments, "store_from_url", {"old": old, "leaving": leaving}.__getitem__)
    database = postgresql_url.render_as_string(hide_password=False)
    options = ["--models", "models:Base", "--database", database, "--json", "--workers", "1"]
    yield leaving, old, ["migrate", "old", "leaving", *options, "--checkpoint", str(tmp_path / "checkpoint")]
    engine.dispose()


def test_connections_that_the_database_closes_between_two_batches_are_opened_again(
    run: Run, moving: tuple[Gives, MemoryStore, list[str]]
) -> None:
    leaving, old, command = moving
    assert run(*command).status == Status.FINE
    assert stored(leaving) == stored(old)


def test_a_database_that_goes_away_ends_it_and_the_next_run_goes_on(
    run: Run, moving: tuple[Gives, MemoryStore, list[str]]
) -> None:
    leaving, old, command = moving
    end_connections = leaving.happens

    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("the server is starting up")

    def go_away() -> None:
        end_connections()
        event.listen(Engine, "do_connect", refuse)

    leaving.happens = go_away
    try:
        answer = run(*command)
    finally:
        event.remove(Engine, "do_connect", refuse)
    assert answer.status == Status.STOPPED
    assert answer.err.startswith("Error: the server is starting up")
    assert "Traceback" not in answer.err
    answer = run(*command)
    assert (answer.status, answer.events[-1]["copied"]) == (Status.FINE, TOTAL - 6)
    assert stored(leaving) == stored(old)


def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(
    run: Run, old: FileSystemStore, new: FileSystemStore
) -> None:
    database = "postgresql+psycopg://somebody:a-secret@127.0.0.1:1/nothing"
    answer = run("migrate", url_of(old), url_of(new), "--models", "models:Base", "--database", database)
    assert answer.status == Status.STOPPED
    assert len(answer.err.splitlines()) == 1
    assert "a-secret" not in answer.out + answer.err


def test_a_database_without_the_tables_is_one_line(
    run: Run, old: FileSystemStore, new: FileSystemStore, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    options = ["--models", "models:Base", "--database", f"sqlite:///{tmp_path / 'empty'}"]
    answer = run("migrate", url_of(old), url_of(new), *options)
    assert answer.status == Status.STOPPED
    assert "no such table" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_file_that_is_no_checkpoint_is_wrong_usage(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    path.write_text("[]")
    answer = run("migrate", url_of(old), url_of(new), *options, "--checkpoint", path)
    assert answer.status == Status.USAGE
    assert "remove it to begin anew" in answer.err
    assert not stored(new)


def test_where_there_is_no_terminal_lines_tell_how_far_it_has_come(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "INTERVAL", 0)
    answer = run("migrate", url_of(old), url_of(new), *options)
    assert len(answer.err.splitlines()) == TOTAL
    assert answer.err.startswith("copying: 1 of 12 images, ")
    assert answer.err.splitlines()[-1].endswith(" 0:00:00 left")


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear_screen() -> None:
        raise StoreError("\x1b[2J")

    stores = {url_of(old): old, "hostile": Gives(clear_screen)}
    monkeypatch.setattr(arguments, "store_from_url", stores.__getitem__)
    answer = run("migrate", url_of(old), "hostile", *options)
    assert answer.status == Status.FOUND
    assert "\x1b" not in answer.out
    assert r"\x1b[2J" in answer.out


def test_programs_are_told_nothing_but_json(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    answer = run("migrate", url_of(old), url_of(new), *options, "--json")
    assert not answer.err
    json.loads(answer.out)
