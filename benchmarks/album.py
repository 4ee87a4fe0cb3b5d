"""Show an album: find the thumbnail of each of its photos, in memory, one image set after the other.

Two albums in turn, one ten times as large as the other: what a photo costs must not depend on how many there are.  And
the larger one by hand: its images put into a dictionary by position and width, which is as little as anybody could do.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable

from sqlalchemy import ForeignKey, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_imageattach.entity import Image, MultipleImageSet, image_attachment


class Base(DeclarativeBase):
    pass


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    photos: Mapped[MultipleImageSet[Photo]] = image_attachment("Photo", uselist=True)


class Photo(Base, Image):
    __tablename__ = "photo"
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)


def fill(session: Session, count: int) -> None:
    session.add(album := Album())
    session.flush()
    common = {"album_id": album.id, "mimetype": "image/jpeg", "created_at": datetime.datetime.now(datetime.UTC)}
    rows = [
        {"position": position, "width": width, "height": width * 3 // 4, "original": width == 640, **common}
        for position in range(count)
        for width in (640, 150)
    ]
    session.execute(insert(Photo), rows)
    session.commit()


def by_library(album: Album) -> None:
    for photo in album.photos.image_sets:
        photo.find_thumbnail(width=150)


def by_hand(album: Album) -> None:
    images = {(image.position, image.width): image for image in album.photos}
    for image in album.photos:
        if image.original:
            images[image.position, 150]


def seconds(session: Session, album_id: int, side: Callable[[Album], None]) -> float:
    """What a photo costs, in seconds."""
    session.expire_all()
    album = session.get_one(Album, album_id)
    count = len(album.photos) // 2
    start = time.perf_counter()
    side(album)
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--photos", type=int, default=500)
    options = parser.parse_args()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    by_size, against_hand = [], []
    with Session(engine) as session:
        for count in (options.photos, 10 * options.photos):
            fill(session, count)
        for _ in range(options.rounds):
            small, large = seconds(session, 1, by_library), seconds(session, 2, by_library)
            by_size.append(large / small)
            against_hand.append(large / seconds(session, 2, by_hand))
    engine.dispose()
    print(f"a photo of {10 * options.photos}, to one of {options.photos}: x {statistics.median(by_size):.2f}")
    print(f"a photo of {10 * options.photos}, to the same by hand: x {statistics.median(against_hand):.1f}")


if __name__ == "__main__":
    main()
