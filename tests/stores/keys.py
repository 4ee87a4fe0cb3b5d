"""The file that the tests of stores put and get."""

from __future__ import annotations

import io
import os
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store

PICTURE = ("user-picture", 17042, 640, 480, "image/jpeg")
PLAIN = FileKey(*PICTURE)
KEY = FileKey(*PICTURE, "k3v9q2")

SMALL = b"bytes"
#: Large enough to go up in parts.
BIG = os.urandom(1 << 20) * 20


def put(store: Store, content: bytes = SMALL, key: FileKey = KEY, reproducible: bool = False) -> None:
    store.put_key(io.BytesIO(content), key, reproducible)


def get(store: Store, key: FileKey = KEY) -> bytes:
    with store.get_key(key) as file:
        return file.read()


def image(key: FileKey, created_at: datetime | None = None) -> Any:
    """As much of an image as a store needs to locate it."""
    return SimpleNamespace(**key._asdict(), original=True, created_at=created_at)
