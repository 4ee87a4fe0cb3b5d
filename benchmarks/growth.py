"""A page and an image set in ever larger tables: what is shown costs the same in a table of a million rows.

Each table is in a SQLite file of its own, and all of them are asked in turn, in CPU; printed is each one's median,
against the smallest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reading import BASE_URL, Base, User, UserPicture, seconds
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session, selectinload

from sqlalchemy_imageattach import store_context
from sqlalchemy_imageattach.stores.fs import FileSystemStore

ROWS = (1_000, 10_000, 100_000, 1_000_000)
PAGE = 100
#: How much more than in the smallest table.
MOST = 1.25


def fill(session: Session, rows: int) -> None:
    sizes = [{"width": width, "height": width * 3 // 4, "original": width == 640} for width in (640, 150)]
    for first in range(0, rows // 2, 5_000):
        numbers = range(first + 1, min(first + 5_000, rows // 2) + 1)
        session.execute(insert(User), [{"id": number} for number in numbers])
        common = {"mimetype": "image/jpeg", "revision": "k3v9q2m0x1"}
        session.execute(
            insert(UserPicture), [{"user_id": number, **size, **common} for number in numbers for size in sizes]
        )
    session.commit()


def page_at(start: int) -> Callable[[Session], list[str]]:
    def page(session: Session) -> list[str]:
        users = select(User).where(User.id >= start).order_by(User.id).limit(PAGE).options(selectinload(User.picture))
        return [user.picture.find_thumbnail(width=150).locate() for user in session.scalars(users)]

    return page


def one_at(start: int) -> Callable[[Session], list[str]]:
    def one_by_one(session: Session) -> list[str]:
        return [session.get_one(User, start + number).picture.locate() for number in range(20)]

    return one_by_one


def measure(rounds: int, tables: tuple[int, ...] = ROWS) -> list[dict[str, Any]]:
    """A row for each size of a table."""
    with tempfile.TemporaryDirectory() as name, store_context(FileSystemStore("images", BASE_URL)):
        sessions = {}
        for rows in tables:
            engine = create_engine(f"sqlite:///{Path(name) / str(rows)}")
            Base.metadata.create_all(engine)
            sessions[rows] = Session(engine)
            fill(sessions[rows], rows)
        found: dict[tuple[str, int], list[float]] = {}
        for turn in range(-1, rounds):
            for rows, session in sessions.items():
                sides = {f"a page of {PAGE}": page_at(rows // 4), "20 sets, one by one": one_at(rows // 4)}
                for work, side in sides.items():
                    spent, urls = seconds(session, side)
                    assert len(urls) in {PAGE, 20}
                    if turn >= 0:
                        found.setdefault((work, rows), []).append(spent)
        for session in sessions.values():
            session.close()
            session.get_bind().dispose()  # type: ignore[union-attr]
    return [
        {
            "work": work,
            "rows": rows,
            "ours": statistics.median(spent),
            "ratio": statistics.median(one / two for one, two in zip(spent, found[work, tables[0]], strict=True)),
            "most": MOST,
        }
        for (work, rows), spent in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    for row in measure(parser.parse_args().rounds):
        print(f"{row['work']:<24}{row['rows']:>10,} rows {row['ours'] * 1e3:8.2f} ms  x {row['ratio']:.2f}")


if __name__ == "__main__":
    main()
