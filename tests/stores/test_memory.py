from __future__ import annotations

import io

from sqlalchemy_imageattach.stores.memory import MemoryStore


def test_what_is_in_memory_is_a_copy() -> None:
    store = MemoryStore()
    store.put_file(io.BytesIO(b"bytes"), "user", 1, 1, 1, "image/png", False)
    with store.get_file("user", 1, 1, 1, "image/png") as file:
        file.write(b"other")
    assert store.get_file("user", 1, 1, 1, "image/png").read() == b"bytes"


def test_url_begins_as_told() -> None:
    assert MemoryStore().get_url("user", 1, 2, 3, "image/png") == "memory:///user/1/0/1.2x3.png"
    assert MemoryStore("/images").get_url("ü r", 1, 2, 3, "image/png") == "/images/%C3%BC%20r/1/0/1.2x3.png"
