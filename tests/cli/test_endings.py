"""How a command ends before its end, and what terminals, pipes and disks do to what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from models import User, UserCover, stored
from sqlalchemy_imageattach.cli import arguments
from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore

from .conftest import Run, fill, url_of

HERE = Path(__file__).parent.parent
MODULE = [sys.executable, "-m", "sqlalchemy_imageattach.cli"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_ends_it_as_ctrl_c_does(
    old: FileSystemStore,
    new: FileSystemStore,
    options: list[str],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    checkpoint = tmp_path / "checkpoint"
    size = sum(map(len, stored(old).values()))
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options, "--checkpoint", str(checkpoint), "--json"]
    slowly = [*command, "--workers", "2", "--max-bytes-per-second", str(size // 6)]
    with subprocess.Popen(slowly, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as mover:
        # It is written after a second.
        while not checkpoint.exists() and mover.poll() is None:
            time.sleep(0.01)
        mover.send_signal(number)
        out, err = mover.communicate()
    assert mover.returncode == Status.TERMINATED
    assert err == f"Terminated. Run the same again, and it goes on from {checkpoint}.\n"
    end = json.loads(out)
    assert (end["event"], end["status"]) == ("end", Status.TERMINATED)
    assert 0 < end["copied"] < 12
    assert None not in stored(new)
    answer = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["passed_over"] == 0  # all are of today, and looked at once more
    assert stored(new) == stored(old)


class Breaking(MemoryStore):
    """A destination for which a defect shows at the fifth file."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        if len(stored(self)) == 4:
            raise SystemError("a defect")
        super().put_key(file, key, reproducible)


def test_a_defect_in_the_middle_says_what_was_done(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    def break_down(*arguments: Any) -> None:
        if "OFFSET" in arguments[2] and stored(new):
            raise ValueError("a defect of the models")

    new = MemoryStore()
    monkeypatch.setattr(arguments, "store_from_url", {url_of(old): old, "new": new}.__getitem__)
    event.listen(Engine, "before_cursor_execute", break_down)
    try:
        answer = run("migrate", url_of(old), "new", *options, "--json")
    finally:
        event.remove(Engine, "before_cursor_execute", break_down)
    assert answer.status == Status.DEFECT
    (end,) = answer.events
    assert (end["status"], end["copied"]) == (Status.DEFECT, 4)
    assert "ValueError: a defect of the models" in answer.err
    assert "Usage" not in answer.err


def test_an_audit_that_is_stopped_says_what_it_has_looked_at(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        answer = run("audit", url_of(old), *options, "--json")
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    (end,) = answer.events
    assert (answer.status, end["status"]) == (Status.INTERRUPTED, Status.INTERRUPTED)
    assert (end["files"], end["rows"]) == (12, 0)
    assert answer.err == "Interrupted. Run the same again.\n"


def test_the_fault_of_one_image_is_a_line_whatever_it_is(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "store_from_url", {url_of(old): old, "new": Breaking()}.__getitem__)
    answer = run("migrate", url_of(old), "new", *options, "--workers", 1, "--json")
    *failed, end = answer.events
    assert (answer.status, end["copied"], end["failed"]) == (Status.FOUND, 4, 8)
    assert {each["error"] for each in failed} == {"a defect"}


def test_an_object_id_that_raises_is_a_line(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cover: UserCover) -> int:
        if cover.user_id == 2:
            raise LookupError("no such user")
        return cover.user_id

    monkeypatch.setattr(UserCover, "object_id", property(refuse), raising=False)
    answer = run("migrate", url_of(old), url_of(new), *options, "--json")
    failed, end = answer.events
    assert (answer.status, end["copied"]) == (Status.FOUND, 11)
    assert (failed["key"], failed["row"]) == (None, {"class": "UserCover", "key": [2, 100, 50]})
    answer = run("audit", url_of(old), *options)
    line, end = answer.out.splitlines()
    assert line.startswith("unreadable: UserCover 2, 100, 50: ")
    assert end.startswith("12 rows, 12 files: 0 missing, 1 unreadable")


def test_advice_is_given_where_it_helps(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    wrong = ["--models", "models:Base", "--database", f"sqlite:///{tmp_path / 'empty'}"]
    for command in (["migrate", url_of(old), url_of(new)], ["audit", url_of(old)]):
        answer = run(*command, *wrong)
        assert answer.err.startswith("Error: no such table")
        assert "again" not in answer.err


def test_the_checkpoint_of_another_job_is_wrong_usage(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    checkpoint = ["--checkpoint", tmp_path / "checkpoint"]
    run("migrate", url_of(old), url_of(new), *options, *checkpoint)
    answer = run("migrate", url_of(old), f"file://{tmp_path}/other", *options, *checkpoint)
    assert answer.status == Status.USAGE
    assert "its destination is" in answer.err
    answer = run("migrate", url_of(old), url_of(new), *options, "--checkpoint", tmp_path / "nowhere" / "checkpoint")
    assert answer.status == Status.USAGE


def test_a_sweep_that_is_not_safe_removes_nothing(
    run: Run, old: FileSystemStore, options: list[str], engine: Engine
) -> None:
    with Session(engine) as session:
        session.execute(UserCover.__table__.delete().where(UserCover.__table__.c.user_id == 1))
        session.commit()
    sweep = ["audit", url_of(old), *options, "--sweep", "--older-than", "0"]
    answer = run(*sweep)
    assert "with --limit 0.083 or more" in answer.err
    answer = run(*sweep, "--no-dry-run")
    assert answer.status == Status.USAGE
    assert "no more than 5% of 12 files" in answer.err
    assert len(stored(old)) == 12
    assert run(*sweep, "--no-dry-run", "--limit", 0.083334).status == Status.FINE
    assert len(stored(old)) == 11


def test_files_of_unknown_types_are_counted_or_refused(run: Run, old: FileSystemStore, options: list[str]) -> None:
    answer = run("audit", url_of(old), *options, "--sweep", "--class", "UserPicture", "--json")
    assert answer.events[-1]["unknown_types"] == {"user-cover": 4}
    answer = run("audit", url_of(old), *options, "--sweep", "--class", "UserPicture", "--require-known-types")
    assert answer.status == Status.USAGE
    assert "4 of 'user-cover'" in answer.err


def test_several_databases_that_share_a_store_are_read_together(
    run: Run, old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    other = create_engine(f"sqlite:///{tmp_path / 'other'}")
    User.metadata.create_all(other)
    fill(other, FileSystemStore(old.path, "/", sync=False))
    other.dispose()
    assert run("audit", url_of(old), *options).status == Status.FOUND
    both = [*options, "--database", f"sqlite:///{tmp_path / 'other'}"]
    answer = run("audit", url_of(old), *both, "--json")
    assert (answer.status, answer.events[-1]["rows"]) == (Status.FINE, 24)
    assert run("migrate", url_of(old), url_of(new), *both).status == Status.FINE
    assert stored(new) == stored(old)


def test_a_size_is_dropped(run: Run, old: FileSystemStore, options: list[str]) -> None:
    drop = ["thumbnails", url_of(old), *options, "--drop-width", 32, "--json"]
    (end,) = run(*drop).events
    assert (end["dropped"], end["failed"]) == (4, 0)
    assert len(stored(old)) == 8
    assert run(*drop).events[0]["dropped"] == 0
    assert run(*drop, "--width", 16).status == Status.USAGE


def test_a_file_of_a_dropped_size_that_stays_is_told(run: Run, old: FileSystemStore, options: list[str]) -> None:
    stays = next(Path(old.path).glob("user-picture/2/0/2.32x24.*"))
    stays.unlink()
    stays.mkdir()
    answer = run("thumbnails", url_of(old), *options, "--drop-width", 32, "--json")
    failed, end = answer.events
    assert (answer.status, end["dropped"], end["failed"]) == (Status.FOUND, 4, 1)
    assert (failed["event"], failed["key"]["object_id"]) == ("failed", 2)
    assert "audit --sweep" in answer.err


# Terminals, pipes and disks


def migrate_in_a_process(old: FileSystemStore, new: FileSystemStore, options: list[str], **how: Any) -> Any:
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options]
    return subprocess.run(command, cwd=HERE, text=True, **{"stderr": subprocess.PIPE, **how})


def test_a_disk_that_is_full_for_the_output_ends_it_in_a_line(
    old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        answer = migrate_in_a_process(old, new, options, stdout=full)
        assert answer.returncode == Status.STOPPED
        assert answer.stderr == "Error: the output takes no more: No space left on device.\n"
        answer = migrate_in_a_process(old, new, options, stdout=subprocess.PIPE, stderr=full)
        assert answer.returncode == Status.FINE


@pytest.mark.parametrize("descriptor", [1, 2])
def test_an_output_that_is_closed_keeps_nothing_from_being_done(
    old: FileSystemStore, new: FileSystemStore, options: list[str], descriptor: int
) -> None:
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options]
    shell = ["sh", "-c", f'exec "$@" {descriptor}>&-', "sh", *command]
    answer = subprocess.run(shell, cwd=HERE, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (Status.FINE, "")
    assert stored(new) == stored(old)


@pytest.mark.parametrize(("encoding", "spelled"), [("ascii", r"gr\xfc\u0142e"), ("latin-1", r"grü\u0142e")])
def test_what_the_encoding_lacks_is_spelled_out(
    old: FileSystemStore, new: FileSystemStore, options: list[str], tmp_path: Path, encoding: str, spelled: str
) -> None:
    odd = tmp_path / "grü\u0142e"
    Path(old.path).rename(odd)
    lost = FileKey("user-cover", 2, 100, 50, "image/png")
    FileSystemStore(odd, "/").delete_key(lost)
    command = [*MODULE, "migrate", f"file://{tmp_path}/gr%C3%BC%C5%82e", url_of(new), *options]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    answer = subprocess.run(command, cwd=HERE, capture_output=True, env=environment)
    assert answer.returncode == Status.FOUND
    assert spelled in answer.stdout.decode(encoding)
    assert b"Traceback" not in answer.stderr
