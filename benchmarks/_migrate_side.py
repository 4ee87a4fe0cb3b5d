"""A child of migrate.py: the same images in a folder, moved by this library or by the original one.

python _migrate_side.py (ours|original) FOLDER FILES [URL OF AN S3 SERVER]
"""

import json
import secrets
import shutil
import struct
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

library, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

if library == "original":
    import _original  # noqa: F401

from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.orm import declarative_base, sessionmaker
from sqlalchemy_imageattach.entity import Image
from sqlalchemy_imageattach.migration import migrate
from sqlalchemy_imageattach.stores.fs import FileSystemStore

Base = declarative_base()
if library == "original":
    Base._decl_class_registry = Base.registry._class_registry  # its name before SQLAlchemy 1.4


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id = Column(Integer, primary_key=True)


def noise(width, height):
    """A PNG of noise, which is as long as it has pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + secrets.token_bytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


folder.mkdir()
source = FileSystemStore(str(folder / "source"), "http://127.0.0.1/")
engine = create_engine(f"sqlite:///{folder / 'database.sqlite'}")
Base.metadata.create_all(engine)
Session = sessionmaker(engine)
small = folder / "small"
small.write_bytes(noise(64, 62))

size = {
    "width": 64,
    "height": 62,
    "mimetype": "image/png",
    "original": True,
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
}
with engine.begin() as connection:
    connection.execute(UserPicture.__table__.insert(), [{"user_id": number, **size} for number in range(count)])
for number in range(count):
    with small.open("rb") as file:
        source.put_file(file, "user-picture", number, 64, 62, "image/png", False)


def move(destination, **options):
    with Session() as session:
        start = time.perf_counter()
        moved = sum(1 for _ in migrate(session, Base, source, destination, **options))
        seconds = time.perf_counter() - start
    assert moved == count, moved
    return seconds


def to_a_folder(**options):
    """Seconds to move everything to an empty folder; the original library does not sync what it writes."""
    shutil.rmtree(folder / "destination", ignore_errors=True)
    arguments = {"sync": options.pop("sync", False)} if library == "ours" else {}
    return move(FileSystemStore(str(folder / "destination"), "http://127.0.0.1/", **arguments), **options)


def plain():
    return to_a_folder()


def verified():
    return to_a_folder(verify=True)


def synced():
    return to_a_folder(sync=True)


def s3():
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import parts
    from sqlalchemy_imageattach.stores.s3 import S3Store

    return S3Store(
        parts.S3_BUCKET,
        access_key=parts.S3_ACCESS_KEY,
        secret_key=parts.S3_SECRET_KEY,
        region=parts.S3_REGION,
        endpoint_url=sys.argv[4],
        prefix=secrets.token_hex(8),
    )


def to_s3(workers):
    """Seconds to move everything to S3."""
    return move(s3(), workers=int(workers))


def audited_by_rows(workers):
    """Seconds to ask S3 for the file of each row, as a part of an audit does."""
    from sqlalchemy_imageattach.audit import verify
    from sqlalchemy_imageattach.bulk.keys import ALL_KEYS

    store = s3()
    move(store, workers=16)
    store.workers = int(workers)
    with Session() as session:
        start = time.perf_counter()
        assert not list(verify(session, UserPicture, store, keys=ALL_KEYS))
        return time.perf_counter() - start


for line in sys.stdin:
    function, *arguments = line.split()
    print(json.dumps(globals()[function](*arguments)), flush=True)
