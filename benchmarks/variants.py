"""Variants: what a page with them costs, how fast a hot one is served, and how often a new one is made.

- A page with 100 responsive images is rendered, each of another size, so that nothing of one is known for the next.
- A hot variant and a plain file of the same size are asked for in turn, through the same WSGI application, without a
  server: what a server takes is the same for both.
- 200 threads ask for a new variant at once.

Each figure is the median of several turns.  On a machine that is busy, they are noise.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL.Image
from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from sqlalchemy_imageattach import Image, ImageSet, image_attachment, store_context
from sqlalchemy_imageattach.instrumentation import subscribe, unsubscribe
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.variants import Transform, Variants
from sqlalchemy_imageattach.variants.variant import Original, variant_of

SECRET = "a secret of the application"
TURNS = 9


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


def photograph(width: int, height: int) -> bytes:
    rough = PIL.Image.effect_noise((width // 20, height // 20), 90).convert("RGB").resize((width, height))
    file = io.BytesIO()
    PIL.Image.blend(rough, PIL.Image.effect_noise((width, height), 12).convert("RGB"), 0.2).save(file, "JPEG")
    return file.getvalue()


def page(store: HttpExposedFileSystemStore) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    queries: list[str] = []
    with Session(engine) as session, store_context(store):
        for number in range(100):
            user = User()
            session.add(user)
            # Only its header is looked at.
            user.picture.from_raw_file(io.BytesIO(b"bytes"), store, (4000 + number, 3000 + number), "image/jpeg")
        session.commit()
        session.expunge_all()
        event.listen(engine, "before_cursor_execute", lambda *arguments: queries.append(arguments[2]))
        users = session.scalars(select(User).options(selectinload(User.picture))).all()
        html = "".join(user.picture.responsive(sizes="50vw", alt="A photo") for user in users)
        count, seconds = html.count("/images/"), []
        for turn in range(1, TURNS + 1):
            # Widths that were never asked for: nothing is known of them.
            widths = [32 * step + turn for step in range(1, 17)]
            began = time.perf_counter()
            for user in users:
                user.picture.responsive(sizes="50vw", alt="A photo", widths=widths)
            seconds.append(time.perf_counter() - began)
    print(f"a page of 100 responsive images, {count} URLs: {len(queries)} queries")
    print(f"  {1e6 * statistics.median(seconds) / 100 / 51:.1f} µs a URL, 51 of them in each")


def hot(store: HttpExposedFileSystemStore, folder: Path, key: FileKey) -> None:
    plain = HttpExposedFileSystemStore(folder, "images", sync=False)
    variant = variant_of(Original(key), Transform(width=320), 10**8, None)
    variant.make_blob(store)
    url = variant.locate(store)
    with_variants, without = store.wsgi_middleware(nothing), plain.wsgi_middleware(nothing)
    ratios = [rate(with_variants, url) / rate(without, url) for _ in range(TURNS)]
    print(f"a hot variant is served at {statistics.median(ratios):.2f} of a static file's rate")


def nothing(environ: Any, start_response: Any) -> list[bytes]:
    return []


def rate(app: Any, url: str) -> float:
    environ, began = {"PATH_INFO": url, "REQUEST_METHOD": "GET"}, time.perf_counter()
    for _ in range(3000):
        body = app(environ, lambda status, headers: None)
        b"".join(body)
        getattr(body, "close", lambda: None)()
    return 3000 / (time.perf_counter() - began)


def once(store: HttpExposedFileSystemStore, key: FileKey) -> None:
    app, decodes = store.wsgi_middleware(nothing), []
    subscriber = subscribe(lambda event: decodes.append(event) if event.name == "decode" else None)
    url = variant_of(Original(key), Transform(width=999), 10**8, None).locate(store)

    def ask(_: int) -> int:
        body = app({"PATH_INFO": url, "REQUEST_METHOD": "GET"}, lambda status, headers: None)
        size = len(b"".join(body))
        getattr(body, "close", lambda: None)()
        return size

    with ThreadPoolExecutor(200) as pool:
        sizes = set(pool.map(ask, range(200)))
    unsubscribe(subscriber)
    print(f"200 first requests at once: {len(decodes)} decoding, {len(sizes)} answer")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        store = HttpExposedFileSystemStore(folder, "images", sync=False, variants=Variants(SECRET))
        page(store)
        key = FileKey("user-picture", 1000, 4000, 3000, "image/jpeg", "k3v9q2")
        store.put_key(io.BytesIO(photograph(4000, 3000)), key, False)
        hot(store, folder, key)
        once(store, key)


if __name__ == "__main__":
    main()
