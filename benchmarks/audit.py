"""The audit of many rows and files: how long a file takes, and how much memory all of them take."""

# The functions of `os`, since pathlib objects would take most of the time of making the files.
# ruff: noqa: PTH103, PTH120

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import ForeignKey, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.entity import Image
from sqlalchemy_imageattach.naming import FileKey, name_of
from sqlalchemy_imageattach.stores.fs import FileSystemStore

#: An original and four thumbnails.
WIDTHS = (1600, 800, 400, 200, 100)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)


class UserPicture(Base, Image):
    __tablename__ = "user_picture"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


def fill(folder: Path, count: int) -> None:
    """Makes rows, and a file of one byte for each, but for one row and one file."""
    engine = create_engine(f"sqlite:///{folder / 'database.sqlite'}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for start in range(1, count // len(WIDTHS) + 1, 1000):
            users = range(start, min(start + 1000, count // len(WIDTHS) + 1))
            values = [
                {
                    "user_id": user,
                    "width": width,
                    "height": width // 2,
                    "mimetype": "image/jpeg",
                    "original": width == WIDTHS[0],
                    "revision": f"{user:x}r",
                }
                for user in users
                for width in WIDTHS
            ]
            connection.execute(insert(UserPicture), values)
            for each in values:
                key = FileKey(
                    "user-picture", each["user_id"], each["width"], each["height"], "image/jpeg", each["revision"]
                )
                path = f"{folder}/images/{name_of(key)}"
                if each["width"] == WIDTHS[0]:
                    os.makedirs(os.path.dirname(path))
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
                os.truncate(path, 1)
    next((folder / "images/user-picture/1/0").glob("1.100x50.*")).rename(folder / "images/user-picture/1/0/1.99x50.jpe")


def measure(folder: Path) -> None:
    """Prints how long both functions took, in seconds, and the peak of memory, in bytes; in a process of its own."""
    store = FileSystemStore(folder / "images", "http://example.com/")
    with Session(create_engine(f"sqlite:///{folder / 'database.sqlite'}")) as session:
        figures: dict[str, float] = {"before": _peak()}
        began = _clocks()
        findings = sorted(finding.kind for finding in verify(session, Base, store))
        verified = _clocks()
        swept = sweep(session, Base, store)
        ended = _clocks()
    assert findings == ["missing", "orphan"], findings
    assert swept.files == 0  # it is younger than the grace time
    for name, start, end in (("verify", began, verified), ("sweep", verified, ended)):
        figures[name], figures[f"{name} cpu"] = end[0] - start[0], end[1] - start[1]
    print(json.dumps(figures | {"peak": _peak()}))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000], help="up to 1000000 was measured")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    print("rows in SQLite and as many files, both in memory   (wanted: below 200 MB, and linear)")
    for count in arguments.files:
        with tempfile.TemporaryDirectory(dir=memory) as name:
            fill(Path(name), count)
            command = [sys.executable, __file__, "--measure", name]
            figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        peak, before = figures["peak"] / 1e6, figures["before"] / 1e6
        print(f"  {count:,} files: peak {peak:.0f} MB, of which {before:.0f} MB at the start")
        for function in ("verify", "sweep"):
            seconds, cpu = figures[function], figures[f"{function} cpu"]
            each = f"{seconds / count * 1e6:.0f} µs each, of which {cpu / count * 1e6:.0f} µs of CPU"
            print(f"    {function:<8}{seconds:7.1f} s, {each}", flush=True)


if __name__ == "__main__":
    main()
