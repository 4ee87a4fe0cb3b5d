"""A store of somebody's own, and the contexts of stores: checked, never run."""

from __future__ import annotations

import io
from typing import IO, assert_type

from sqlalchemy_imageattach.context import current_store, get_current_store, store_context
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.instrumentation import Event, Subscriber, opentelemetry_spans, subscribe
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore


class OwnStore(Store):
    """Just the four documented methods, with just the documented arguments."""

    def put_file(
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
    ) -> None:
        file.read()

    def delete_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> None:
        pass

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> IO[bytes]:
        raise ImageNotFoundError(object_type)

    def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
        return f"/{object_type}/{object_id}"


def a_store_of_ones_own_is_a_store() -> None:
    own: Store = OwnStore()
    with store_context(own):
        assert_type(get_current_store(), Store)
        assert_type(current_store.get_url("user", 1, 2, 3, "image/png"), str)


def the_built_in_stores_take_a_revision() -> None:
    store = FileSystemStore(path="images", base_url="http://example.com/")
    store.put_file(io.BytesIO(), "user", 1, 2, 3, "image/png", False, "a1b2c3")
    HttpExposedFileSystemStore(path="images", prefix="images/", host_url_getter=lambda: "http://example.com/")


def a_subscriber_keeps_its_type() -> None:
    @subscribe
    def measure(event: Event) -> int | None:
        assert_type(event.store, object | None)
        assert_type(event.key, FileKey | None)
        return event.file_size

    assert_type(measure(Event("decode", "image/png", 0.5)), int | None)
    assert_type(subscribe(opentelemetry_spans()), Subscriber)
