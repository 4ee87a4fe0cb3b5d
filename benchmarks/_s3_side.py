"""A child of s3.py: the same files, by this library, by obstore or by boto3.

python _s3_side.py (ours|obstore|boto3) ENDPOINT
"""

from __future__ import annotations

import io
import itertools
import json
import os
import resource
import secrets
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

library, endpoint = sys.argv[1], sys.argv[2]
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from parts import S3_ACCESS_KEY, S3_BUCKET, S3_REGION, S3_SECRET_KEY

CONTENT = os.urandom(50_000)
prefix = secrets.token_hex(8)
numbers = itertools.count()
filled = []


def name_of(number):
    """What the library calls it; a server may need more time for names that are deeper."""
    return f"{prefix}/picture/{number}/640x480.k3v9q2.jpe"


if library == "ours":
    from sqlalchemy_imageattach.naming import FileKey
    from sqlalchemy_imageattach.stores.s3 import S3Store

    store = S3Store(S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY, prefix=prefix, region=S3_REGION, endpoint_url=endpoint)

    def key_of(number):
        return FileKey("picture", number, 640, 480, "image/jpeg", "k3v9q2")

    def put(number):
        store.put_key(io.BytesIO(CONTENT), key_of(number), False)

    def get(number):
        with store.get_key(key_of(number)) as file:
            return file.read()

elif library == "obstore":
    import obstore
    from obstore.store import S3Store

    client = S3Store(
        S3_BUCKET,
        endpoint=endpoint,
        region=S3_REGION,
        access_key_id=S3_ACCESS_KEY,
        secret_access_key=S3_SECRET_KEY,
        client_options={"allow_http": True},
    )
    attributes = {"Content-Type": "image/jpeg", "Cache-Control": "max-age=31536000"}

    def put(number):
        obstore.put(client, name_of(number), CONTENT, attributes=attributes, mode="create")

    def get(number):
        return bytes(obstore.get(client, name_of(number)).bytes())

else:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=S3_REGION,
        aws_access_key_id=S3_ACCESS_KEY,
        aws_secret_access_key=S3_SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=16),
    )

    def put(number):
        client.put_object(
            Bucket=S3_BUCKET,
            Key=name_of(number),
            Body=CONTENT,
            ContentType="image/jpeg",
            CacheControl="max-age=31536000",
            IfNoneMatch="*",
        )

    def get(number):
        return client.get_object(Bucket=S3_BUCKET, Key=name_of(number))["Body"].read()


def seconds_of(function, files, at_once):
    """The seconds that it took, and those of a processor that this process took."""
    start, start_of_processor = time.perf_counter(), time.process_time()
    if at_once == 1:
        for number in files:
            function(number)
    else:
        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(function, files))
    return time.perf_counter() - start, time.process_time() - start_of_processor


def fill(count):
    """Makes sure that there are so many files to get."""
    while len(filled) < int(count):
        filled.append(next(numbers))
        put(filled[-1])


def measure_put(count, at_once):
    return seconds_of(put, [next(numbers) for _ in range(int(count))], int(at_once))


def measure_get(count, at_once):
    assert get(filled[0]) == CONTENT
    return seconds_of(get, filled[: int(count)], int(at_once))


def one():
    """Seconds of one put, of a picture as large as the original of :func:`flush`."""
    number = next(numbers)
    start = time.perf_counter()
    store.put_key(io.BytesIO(photograph()), key_of(number), False)
    return time.perf_counter() - start


def flush():
    """Seconds to flush an original and 7 thumbnails."""
    session = make_session()
    user = User()
    session.add(user)
    session.flush()
    user.picture.from_blob(photograph(), store=store)
    for width in range(100, 800, 100):
        user.picture.generate_thumbnail(width=width, store=store)
    start = time.perf_counter()
    session.flush()
    seconds = time.perf_counter() - start
    session.commit()
    assert user.picture.count() == 8
    return seconds


def large(megabytes):
    """How much memory it takes to attach a picture so large, in bytes; and the seconds."""
    session = make_session()
    user = User()
    session.add(user)
    session.flush()
    user.picture.from_blob(photograph(), store=store)
    session.commit()
    with tempfile.TemporaryFile() as file:
        width = 16384
        height = int(megabytes) * (1 << 20) // (width * 3)
        # A BMP, which is as large as its pixels are many: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage
        size = 54 + width * height * 3
        header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", size, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        file.write(header)
        row = os.urandom(width * 3)
        for _ in range(height):
            file.write(row)
        file.seek(0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        user.picture.from_file(file, store=store)
        session.commit()
        seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert user.picture.original.width == width
    return grown * 1024, seconds


def photograph():
    if not made:
        import pyvips

        noise = pyvips.Image.gaussnoise(1200, 900, sigma=30, mean=128).cast("uchar")
        made.append(noise.bandjoin([noise, noise]).jpegsave_buffer(Q=75))
    return made[0]


def make_session():
    return Session()


made = []
if library == "ours":
    from sqlalchemy import ForeignKey, create_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
    from sqlalchemy.pool import StaticPool

    from sqlalchemy_imageattach import Image, ImagePolicy, ImageSet, image_attachment

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment(
            "UserPicture", policy=ImagePolicy(max_bytes=1 << 33, max_pixels=1 << 32, max_frame_pixels=1 << 32)
        )

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    Session = sessionmaker(engine)

asked = {"put": measure_put, "get": measure_get, "fill": fill, "one": one, "flush": flush, "large": large}
for line in sys.stdin:
    question, *arguments = line.split()
    print(json.dumps(asked[question](*arguments)), flush=True)
