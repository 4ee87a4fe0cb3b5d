from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

from models import Base, stored
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
    assert end == {"event": "end", "status": 1, "copied": 10, "skipped": 0, "failed": 2, "dry_run": False}
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
    assert answer.events[-1] == {"event": "end", "status": 0, "copied": 8, "skipped": 4, "failed": 0, "dry_run": False}


def test_a_dry_run_copies_nothing(run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str]) -> None:
    answer = run("migrate", url_of(old), url_of(new), *options, "--dry-run")
    assert answer.out.startswith("12 to copy")
    assert not stored(new)


def test_a_checkpoint_is_gone_on_from_and_what_failed_before_it_is_told_how_to_copy(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    lose(old, 2)
    checkpoint = ["--checkpoint", tmp_path / "checkpoint"]
    answer = run("migrate", url_of(old), url_of(new), *options, *checkpoint)
    assert "run this without --checkpoint and with --skip-existing" in answer.err
    answer = run("migrate", url_of(old), url_of(new), *options, *checkpoint)
    assert (answer.status, answer.out) == (Status.FINE, "0 copied, 0 left out since they are there, 0 failed\n")
    assert answer.err == f"Going on from {tmp_path / 'checkpoint'}: what is before it counts as done.\n"


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
    new: FileSystemStore,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fill_up() -> None:
        raise StoreError(errno.ENOSPC, "no space left on device")

    full, checkpoint = Gives(fill_up), ["--checkpoint", tmp_path / "checkpoint", "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(arguments, "store_from_url", {url_of(old): old, "full": full}.__getitem__)
        answer = run("migrate", url_of(old), "full", *options, *checkpoint, "--workers", 1)
    assert (answer.status, answer.events[-1]["copied"]) == (Status.STOPPED, 4)
    assert "no space left on device" in answer.err
    assert f"goes on from {tmp_path / 'checkpoint'}" in answer.err
    answer = run("migrate", url_of(old), url_of(new), *options, *checkpoint)
    assert (answer.status, answer.events[-1]["copied"]) == (Status.FINE, TOTAL - 4)
    assert stored(full) | stored(new) == stored(old)


def test_a_database_that_goes_away_ends_it_and_the_next_run_goes_on(
    run: Run, postgresql_url: URL, tmp_path: Path, new: FileSystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(postgresql_url)
    Base.metadata.create_all(engine)
    old = FileSystemStore(tmp_path / "old", "/", sync=False)
    fill(engine, old)

    def go_away() -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with engine.connect() as connection:
            connection.execute(text(f"{query} AND pid <> pg_backend_pid()"))

    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    options = ["--models", "models:Base", "--database", postgresql_url.render_as_string(hide_password=False)]
    options += ["--checkpoint", str(tmp_path / "checkpoint"), "--json", "--workers", "1"]
    leaving = Gives(go_away)
    with monkeypatch.context() as patch:
        patch.setattr(arguments, "store_from_url", {url_of(old): old, "leaving": leaving}.__getitem__)
        answer = run("migrate", url_of(old), "leaving", *options)
    assert answer.status == Status.STOPPED
    assert answer.err.startswith("Error: ")
    assert "Traceback" not in answer.err
    answer = run("migrate", url_of(old), url_of(new), *options)
    assert answer.status == Status.FINE
    assert stored(leaving) | stored(new) == stored(old)
    engine.dispose()


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
