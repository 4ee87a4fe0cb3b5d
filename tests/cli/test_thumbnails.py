from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models import User, rows, stored
from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.variants import Variants

from .conftest import USERS, Run, url_of


def test_all_sizes_of_all_originals_are_made(
    run: Run, old: FileSystemStore, options: list[str], engine: Engine
) -> None:
    sizes = ["--width", 16, "--width", 8, "--height", 20, "--ratio", 0.25]
    answer = run("thumbnails", url_of(old), *options, *sizes)
    # A quarter of a picture is as wide as 16 pixels.
    assert (answer.status, answer.out) == (
        Status.FINE,
        f"{2 * USERS} originals: {3 * USERS + 4 * USERS} made, 0 failed\n",
    )
    with Session(engine) as session:
        assert rows(session) == set(stored(old))
        assert sorted(image.size for image in session.get_one(User, 1).picture) == [
            (8, 6),
            (16, 12),
            (27, 20),
            (32, 24),
            (64, 48),
        ]


@pytest.mark.parametrize(("only_missing", "made"), [(["--only-missing"], 0), ([], USERS)])
def test_sizes_that_are_there_are_left_or_made_anew(
    run: Run, old: FileSystemStore, options: list[str], only_missing: list[str], made: int
) -> None:
    before = stored(old)
    of_pictures = ["--class", "UserPicture", "--width", 32]
    answer = run("thumbnails", url_of(old), *options, *of_pictures, *only_missing, "--json")
    (end,) = answer.events
    assert (end["status"], end["originals"], end["made"], end["failed"]) == (Status.FINE, USERS, made, 0)
    assert len(before.keys() - stored(old).keys()) == made


def test_what_fails_is_told_by_key_and_the_others_are_made(
    run: Run, old: FileSystemStore, options: list[str], tmp_path: Path
) -> None:
    key = FileKey("user-cover", 2, 100, 50, "image/png")
    old.put_key(io.BytesIO(b"no image"), key, False)
    checkpoint = ["--checkpoint", tmp_path / "checkpoint"]
    answer = run("thumbnails", url_of(old), *options, "--class", "UserCover", "--width", 50, *checkpoint, "--json")
    failed, end = answer.events
    assert answer.status == Status.FOUND
    assert (failed["event"], failed["key"]) == ("failed", key._asdict())
    assert (end["made"], end["failed"]) == (USERS - 1, 1)
    assert "run the same with --only-missing" in answer.err
    answer = run(
        "thumbnails", url_of(old), *options, "--class", "UserCover", "--width", 50, "--only-missing", *checkpoint
    )
    assert (answer.status, answer.out.splitlines()[-1]) == (Status.FOUND, f"{USERS} originals: 0 made, 1 failed")


@pytest.mark.parametrize("sizes", [[], ["--width", "0"], ["--ratio", "-1"], ["--height", "large"]])
def test_sizes_that_are_none_are_refused(run: Run, old: FileSystemStore, options: list[str], sizes: list[str]) -> None:
    assert run("thumbnails", url_of(old), *options, *sizes).status == Status.USAGE


SECRET = "a secret of the application"


def test_presets_of_all_originals_are_made(
    run: Run, old: FileSystemStore, options: list[str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_pictures = ["--class", "UserPicture", "--preset", "square"]
    assert run("thumbnails", url_of(old), *options, *of_pictures).status == Status.USAGE
    monkeypatch.setenv("IMAGEATTACH_SECRET", SECRET)
    for made in (USERS, 0):
        answer = run("thumbnails", url_of(old), *options, *of_pictures)
        assert (answer.status, answer.out) == (Status.FINE, f"{USERS} originals: {made} made, 0 failed\n")
    old.variants = Variants(SECRET)
    with Session(engine) as session:
        assert not session.get_one(User, 1).picture.variant("square").prepare(old)
    answer = run("thumbnails", url_of(old), *options, "--preset", "round")
    assert answer.status == Status.USAGE
    assert "'square'" in answer.err


def test_variants_that_are_old_are_swept(
    run: Run, old: FileSystemStore, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEATTACH_SECRET", SECRET)
    run("thumbnails", url_of(old), *options, "--class", "UserPicture", "--preset", "square")
    files = stored(old)
    assert run("audit", url_of(old), *options, "--variants-older-than", "90d").status == Status.USAGE
    sweep = ["audit", url_of(old), *options, "--sweep", "--no-dry-run"]
    for age, removed in (("90d", 0), ("0s", USERS)):
        answer = run(*sweep, "--variants-older-than", age)
        assert f"{removed} removed" in answer.out
    assert len(stored(old)) == len(files) - USERS
