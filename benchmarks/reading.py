"""Show a page and an album: this library, against plain rows whose URLs are made by an f-string.

Both sides load the same columns of the same tables by the same two statements.  One has the images as an image set, and
asks it for thumbnails and URLs; the other has them as a list, looks through it, and writes the URL down.  Each side is
timed right after the other, in CPU, the order reversed from round to round, and what is printed is the median of the
ratios: that is a figure even where the machine is busy.
"""

from __future__ import annotations

import datetime
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from _by_hand import Base, Plain, PlainImage, PlainUser, User, UserPicture, main
from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from sqlalchemy_imageattach import Image, MultipleImageSet, image_attachment, store_context
from sqlalchemy_imageattach.stores.fs import FileSystemStore

PAGE, ALBUM = 100, 1_000
BASE_URL = "https://images.example.com/"


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    photos: Mapped[MultipleImageSet[Photo]] = image_attachment("Photo", uselist=True)


class Photo(Base, Image):
    __tablename__ = "photo"
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)

    @property
    def object_id(self) -> int:
        return self.album_id * 100_000 + self.position


class PlainAlbum(Plain):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    photos: Mapped[list[PlainPhoto]] = relationship()


class PlainPhoto(PlainImage, Plain):
    __tablename__ = "photo"
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)


def url_of(name: str, number: int, image: Any) -> str:
    """What a program writes that knows its own layout."""
    return (
        f"{BASE_URL}{name}/{number % 1000}/{number // 1000}/{number}.{image.width}x{image.height}.{image.revision}.jpe"
        f"?_ts={image.created_at:%Y%m%d%H%M%S%f}"
    )


def fill(session: Session) -> None:
    common = {"mimetype": "image/jpeg", "created_at": datetime.datetime.now(datetime.UTC)}
    sizes = [{"width": width, "height": width * 3 // 4, "original": width == 640} for width in (640, 150)]
    rows = [size | common | {"revision": f"r{number:09}"} for number in range(ALBUM) for size in sizes]
    session.execute(insert(User), [{"id": number + 1} for number in range(PAGE)])
    session.execute(
        insert(UserPicture), [row | {"user_id": at // 2 + 1} for at, row in enumerate(rows) if at < 2 * PAGE]
    )
    session.execute(insert(Album), [{"id": 1}, {"id": 2}])
    session.execute(insert(Photo), [row | {"album_id": 1, "position": at // 2} for at, row in enumerate(rows)])
    session.execute(insert(Photo), [row | {"album_id": 2, "position": at} for at, row in enumerate(rows[::2])])
    session.commit()


def page(session: Session) -> list[str]:
    users = session.scalars(select(User).options(selectinload(User.picture)))
    return [user.picture.find_thumbnail(width=150).locate() for user in users]


def page_by_hand(session: Session) -> list[str]:
    users = session.scalars(select(PlainUser).options(selectinload(PlainUser.picture)))
    return [
        url_of("user-picture", user.id, next(image for image in user.picture if image.width == 150)) for user in users
    ]


def album(session: Session) -> list[str]:
    found = session.scalars(select(Album).where(Album.id == 2).options(selectinload(Album.photos))).one()
    return [photo.locate() for photo in found.photos]


def album_by_hand(session: Session) -> list[str]:
    found = session.scalars(select(PlainAlbum).where(PlainAlbum.id == 2).options(selectinload(PlainAlbum.photos))).one()
    return [url_of("photo", photo.album_id * 100_000 + photo.position, photo) for photo in found.photos]


def thumbnails(session: Session) -> list[str]:
    found = session.scalars(select(Album).where(Album.id == 1).options(selectinload(Album.photos))).one()
    return [photo.find_thumbnail(width=150).locate() for photo in found.photos.image_sets]


def thumbnails_by_hand(session: Session) -> list[str]:
    found = session.scalars(select(PlainAlbum).where(PlainAlbum.id == 1).options(selectinload(PlainAlbum.photos))).one()
    images = {(image.position, image.width): image for image in found.photos}
    return [
        url_of("photo", photo.album_id * 100_000 + photo.position, images[photo.position, 150])
        for photo in found.photos
        if photo.original
    ]


def locate(session: Session) -> list[str]:
    photos = session.scalars(select(Photo).where(Photo.album_id == 2)).all()
    return timed(lambda: [photo.locate() for photo in photos])


def locate_by_hand(session: Session) -> list[str]:
    photos = session.scalars(select(PlainPhoto).where(PlainPhoto.album_id == 2)).all()
    return timed(lambda: [url_of("photo", photo.album_id * 100_000 + photo.position, photo) for photo in photos])


def locate_of_set(session: Session) -> list[str]:
    users = session.scalars(select(User).options(selectinload(User.picture))).all()
    return timed(lambda: [user.picture.locate() for user in users])


def locate_of_set_by_hand(session: Session) -> list[str]:
    users = session.scalars(select(PlainUser).options(selectinload(PlainUser.picture))).all()
    return timed(
        lambda: [
            url_of("user-picture", user.id, next(each for each in user.picture if each.original)) for user in users
        ]
    )


class Timed(list[str]):
    """URLs, and the seconds of CPU that they took without the rows."""

    seconds: float


def timed(make: Callable[[], list[str]]) -> Timed:
    start = time.process_time()
    made = make()
    seconds = time.process_time() - start
    result = Timed(made)
    result.seconds = seconds
    return result


Side = Callable[[Session], list[str]]


def seconds(session: Session, side: Side) -> tuple[float, list[str]]:
    """What a side costs in seconds of CPU, and the URLs that it made."""
    session.expunge_all()
    gc.collect()
    start = time.process_time()
    urls = side(session)
    spent = time.process_time() - start
    return (urls.seconds if isinstance(urls, Timed) else spent), urls


def compare(session: Session, ours: Side, theirs: Side, rounds: int) -> tuple[float, float, float]:
    """The medians of both sides, in seconds, and that of the ratios."""
    pairs: list[tuple[float, float]] = []
    for turn in range(-1, rounds):
        found = {side: seconds(session, side) for side in ((ours, theirs) if turn % 2 else (theirs, ours))}
        if found[ours][1] != found[theirs][1]:
            raise SystemExit(f"{ours.__name__} and {theirs.__name__} made different URLs")
        if turn >= 0:
            pairs.append((found[ours][0], found[theirs][0]))
    one, two = (statistics.median(side) for side in zip(*pairs, strict=True))
    return one, two, statistics.median(mine / other for mine, other in pairs)


PAIRS = {
    f"a page of {PAGE}, with the URLs of thumbnails": (page, page_by_hand, 1, 1.3),
    f"an album of {ALBUM:,}, with URLs": (album, album_by_hand, 1, 1.3),
    f"an album of {ALBUM:,} and as many thumbnails": (thumbnails, thumbnails_by_hand, 1, 1.3),
    "locate() of an image": (locate, locate_by_hand, ALBUM, 3.0),
    "locate() of an image set": (locate_of_set, locate_of_set_by_hand, PAGE, 3.0),
}


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each pair."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    rows: list[dict[str, Any]] = []
    with Session(engine) as session, store_context(FileSystemStore("images", BASE_URL)):
        fill(session)
        for title, (ours, theirs, count, most) in PAIRS.items():
            mine, other, ratio = compare(session, ours, theirs, rounds)
            rows.append({"work": title, "ours": mine / count, "by hand": other / count, "ratio": ratio, "most": most})
    engine.dispose()
    return rows


if __name__ == "__main__":
    main(__doc__, measure)
