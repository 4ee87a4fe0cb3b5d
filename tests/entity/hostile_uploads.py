"""Uploads that are no pictures, or want more than they are worth; and what a process needs of memory for them.

Run as a program, in a folder of its own, with a file of uploads and what to do with them: see ``test_bad_input.py``.
"""

from __future__ import annotations

import io
import json
import pickle
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import PIL.Image

__all__ = ("large_tiff", "uploads")


def uploads() -> dict[str, tuple[bytes, str]]:
    """Bytes that have to be refused, and the reasons that are given."""
    photograph = _photograph("JPEG")
    bad = {
        "nothing": (b"", "empty"),
        "garbage": (bytes(range(256)) * 100, "unknown_type"),
        "text": (b"not a picture", "unknown_type"),
        "html that is called a picture": (b"<!DOCTYPE html><html><script>alert(1)</script></html>", "unknown_type"),
        "a picture's first bytes": (b"\x89PNG\r\n\x1a\n", "truncated"),
        "900 million pixels": (_huge_png(), "too_many_pixels"),
        "a thousand frames": (_long_animation(), "too_many_frames"),
        "a drawing that names a local file": (_drawing('<image href="file:///etc/hostname"/>'), "unsafe"),
        "a drawing without end": (_drawing("<rect")[:-6], "truncated"),
        "a drawing of a thousand million pixels": (_drawing("", 'width="100000" height="100000"'), "too_many_pixels"),
    }
    for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"):
        whole = _photograph(format)
        bad[f"half a {format}"] = whole[: len(whole) // 2], "truncated"
    bad["all but the end"] = photograph[: photograph.rindex(b"\xff\xd9")], "truncated"
    return bad


def _photograph(format: str) -> bytes:
    """Something that does not compress to nothing."""
    image = PIL.Image.effect_noise((320, 240), 64).convert("RGB")
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def _huge_png() -> bytes:
    """30,000 x 30,000 pixels in about 100 KB."""
    packed = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    pixels = b"".join(packed.compress(row * 100) for _ in range(300)) + packed.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def _long_animation() -> bytes:
    """1,000 frames of 3,000 x 3,000 pixels in about 30 KB: each draws one pixel anew."""
    screen = struct.pack("<HHBBB", 3000, 3000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    delay = b"\x21\xf9\x04\x04\x0a\0\0\0"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return b"GIF89a" + screen + (delay + frame) * 1000 + b"\x3b"


def _drawing(content: str, size: str = 'width="10" height="10"') -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{content}</svg>'.encode()


def large_tiff(path: Path) -> int:
    """Writes a TIFF of 100 MB, without ever holding it."""
    width, height = 7000, 5000
    size, offset = width * height * 3, 200
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, offset),
        (277, 3, 3),
        (278, 4, height),
        (279, 4, size),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + directory + b"\0\0\0\0"
    with path.open("wb") as file:
        file.write(header.ljust(offset, b"\0"))
        for row in range(height):
            file.write(bytes([row % 256]) * (width * 3))
    return offset + size


def _peak() -> int:
    """The most memory that this process has used, in bytes."""
    try:
        # The resource usage of a new process begins with what its parent used.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _new_peak() -> int:
    """Begins anew with what is used now, where the system can; else with the most that was used."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    return _peak()


def _reason_to_refuse(attach: Callable[[], object]) -> str | None:
    from sqlalchemy_imageattach.exc import InvalidImageError

    try:
        attach()
    except InvalidImageError as error:
        return error.reason
    return None


def _main(what: str, source: Path) -> None:
    from sqlalchemy.orm import Session

    import databases
    from models import Base, User, picture
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    engine = databases.make_engine("sqlite:///database.sqlite")
    Base.metadata.create_all(engine)
    good = picture(640, 480, format="JPEG")
    with Session(engine, info={"image_store": FileSystemStore("images", "https://example.com/")}) as session:
        session.add(user := User(name="somebody"))
        user.picture.from_blob(good)
        user.picture.generate_thumbnail(width=150)
        session.commit()
        bad = pickle.loads(source.read_bytes()) if what == "refuse" else {}
        before = _new_peak()
        if what == "attach":
            with source.open("rb") as file:
                user.picture.from_file(file)
            session.commit()
            assert user.picture.original.mimetype == "image/tiff"
        for name, (blob, reason) in bad.items():
            for attach in (
                lambda blob=blob: user.picture.from_blob(blob),
                lambda blob=blob: user.picture.from_file(io.BytesIO(blob)),
                lambda blob=blob: user.picture.from_raw_file(io.BytesIO(blob)),
            ):
                given = _reason_to_refuse(attach)
                assert given == reason, (name, given)
                assert user.picture.make_blob() == good
                assert user.picture.count() == 2
            session.commit()
        print(json.dumps({"grown": _peak() - before}))
    engine.dispose()


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
