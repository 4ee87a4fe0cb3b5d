"""Whoever subscribes is told of each file that is put, opened or deleted, and of each image that is decoded."""

from __future__ import annotations

import io
import logging
import os
from contextlib import contextmanager

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from models import Base, User, picture
from sqlalchemy_imageattach import instrumentation
from sqlalchemy_imageattach.context import LocalProxyStore
from sqlalchemy_imageattach.imaging import isolate, probe, resize
from sqlalchemy_imageattach.instrumentation import opentelemetry_spans, subscribe, unsubscribe
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.sandbox import SandboxStore

KEY = FileKey("user-picture", 1, 64, 48, "image/png", "k3v9q2")
RED, GREEN = picture(color=255), picture(color=255 << 8)


@contextmanager
def subscribed(subscriber):
    subscribe(subscriber)
    try:
        yield
    finally:
        unsubscribe(subscriber)


@pytest.fixture
def events():
    events = []
    with subscribed(events.append):
        yield events


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def attach(session, store, blob=RED):
    session.add(user := User())
    user.picture.from_blob(blob, store)
    return user


class OwnStore(Store):
    """A store with just what the guide asks for, whose files nobody can tell the size of."""

    def __init__(self):
        self.files = {}

    def put_file(self, file, object_type, object_id, width, height, mimetype, reproducible):
        self.files[object_type, object_id, width, height, mimetype] = file.read()

    def delete_file(self, object_type, object_id, width, height, mimetype):
        del self.files[object_type, object_id, width, height, mimetype]

    def get_file(self, object_type, object_id, width, height, mimetype):
        return io.BufferedReader(io.BytesIO(self.files[object_type, object_id, width, height, mimetype]))

    def get_url(self, *args):
        return ""


def test_the_life_of_an_image(events, session):
    store = MemoryStore()
    user = attach(session, store)
    session.commit()
    thumbnail = user.picture.generate_thumbnail(width=32, store=store)
    size = len(thumbnail.make_blob(store))
    session.commit()
    thumbnail_key, key = FileKey.of(thumbnail), FileKey.of(user.picture.original)
    session.delete(user)
    session.info["image_store"] = store
    session.commit()
    assert [(event.name, event.key, event.file_size) for event in events[:4]] == [
        ("put", key, len(RED)),
        ("get", key, len(RED)),
        ("decode", None, len(RED)),
        ("put", thumbnail_key, size),
    ]
    assert {(event.name, event.key) for event in events[4:]} == {("delete", key), ("delete", thumbnail_key)}
    assert {event.store for event in events} == {store, None}
    assert {(event.mimetype, event.error) for event in events} == {("image/png", None)}
    assert all(0 < event.seconds < 60 for event in events)


def test_what_is_undone_is_told_of_too(events, session):
    attach(session, MemoryStore())
    session.flush()
    session.rollback()
    assert [event.name for event in events] == ["put", "delete"]


def test_a_store_of_ones_own_need_not_do_anything_for_it(events):
    store = OwnStore()
    store.put_key(io.BytesIO(RED), KEY, True)
    store.get_key(KEY).close()
    store.delete_key(KEY)
    assert [(event.name, event.store, event.file_size) for event in events] == [
        ("put", store, len(RED)),
        ("get", store, None),
        ("delete", store, None),
    ]


def test_the_size_of_a_file_on_disk_is_that_of_what_is_read(events, tmp_path):
    store = FileSystemStore(tmp_path / "images", "https://example.com/")
    (tmp_path / "file").write_bytes(b"skipped" + RED)
    with (tmp_path / "file").open("rb") as file:
        file.seek(len(b"skipped"))
        store.put_key(file, KEY, True)
    store.get_key(KEY).close()
    assert [event.file_size for event in events] == [len(RED)] * 2


@pytest.mark.parametrize(
    "over",
    [
        lambda store: LocalProxyStore(lambda: store),
        lambda store: FallbackStore(store, MemoryStore()),
        lambda store: RoutingStore(MemoryStore(), {"user-picture": store}),
    ],
    ids=["LocalProxyStore", "FallbackStore", "RoutingStore"],
)
def test_a_store_over_another_reports_nothing_itself(events, over):
    store = MemoryStore()
    outer = over(store)
    outer.put_key(io.BytesIO(RED), KEY, True)
    outer.get_key(KEY).close()
    outer.delete_key(KEY)
    assert [event.name for event in events if event.store is store] == ["put", "get", "delete"]
    assert not [event for event in events if event.store is outer]


def test_what_a_store_asks_of_two_others_is_told_of_both(events):
    new, old = MemoryStore(), MemoryStore()
    old.put_key(io.BytesIO(RED), KEY, True)
    FallbackStore(new, old).get_key(KEY).close()
    assert [(event.name, event.store, type(event.error).__name__) for event in events] == [
        ("put", old, "NoneType"),
        ("get", new, "ImageNotFoundError"),
        ("get", old, "NoneType"),
    ]


def test_a_sandbox_reports_its_marks(events):
    overriding = MemoryStore()
    SandboxStore(MemoryStore(), overriding).put_key(io.BytesIO(RED), KEY, True)
    assert [(event.name, event.store) for event in events] == [("put", overriding), ("delete", overriding)]


def test_a_store_that_serves_another_reports_once(events):
    store = HttpExposedStore(MemoryStore())
    store.put_key(io.BytesIO(RED), KEY, True)
    assert [(event.name, event.store) for event in events] == [("put", store.wrapped)]


def test_a_failure_is_told_of(events):
    with pytest.raises(OSError, match="no such file") as raised:
        MemoryStore().get_key(KEY)
    (event,) = events
    assert (event.name, event.error, event.file_size) == ("get", raised.value, None)


def test_a_subscriber_that_fails_breaks_no_transaction(session, caplog, events):
    def fail(event):
        raise RuntimeError("of the subscriber")

    store = MemoryStore()
    with subscribed(fail):
        user = attach(session, store)
        session.commit()
        user.picture.from_blob(GREEN, store)
        session.commit()
    assert user.picture.make_blob(store) == GREEN
    assert len(list(store.list_files())) == 1
    assert "of the subscriber" in caplog.text
    assert [event.name for event in events] == ["put", "put", "delete", "get"]


@pytest.mark.parametrize("enabled", [False, True], ids=["here", "in another process"])
def test_a_decoder_in_another_process_is_told_of_here(events, enabled):
    isolate(enabled)
    try:
        file = io.BytesIO(RED)
        resize(file, probe(file), 8, 6).file.close()
    finally:
        isolate(False)
    (event,) = events
    assert (event.name, event.mimetype, event.file_size) == ("decode", "image/png", len(RED))


def test_the_log_has_the_same(caplog):
    store = MemoryStore()
    with caplog.at_level(logging.DEBUG, "sqlalchemy_imageattach"):
        store.put_key(io.BytesIO(RED), KEY, True)
    (record,) = caplog.records
    assert record.name == "sqlalchemy_imageattach"
    assert (record.image_operation, record.image_store, record.image_key) == ("put", store, KEY)
    assert record.image_file_size == len(RED)
    assert record.image_seconds > 0


def test_nothing_is_measured_for_nobody(monkeypatch, session):
    monkeypatch.setattr(instrumentation, "time", None)
    monkeypatch.setattr(instrumentation, "bytes_left", None)
    attach(session, MemoryStore()).picture.generate_thumbnail(width=8)
    session.commit()


def test_who_has_not_subscribed_cannot_unsubscribe():
    with pytest.raises(ValueError, match="has subscribed"):
        unsubscribe(print)


@pytest.fixture
def spans(monkeypatch):
    """What a tracing backend would get."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    with subscribed(opentelemetry_spans()):
        yield exporter.get_finished_spans


def test_spans_are_children_of_the_request_s(spans, session, tmp_path):
    store = FileSystemStore(tmp_path, "https://example.com/")
    request = trace.NonRecordingSpan(trace.SpanContext(1, 2, False, trace.TraceFlags(trace.TraceFlags.SAMPLED)))
    token = context.attach(trace.set_span_in_context(request))
    try:
        for _ in range(3):  # several at once, in threads
            attach(session, store)
        session.commit()
    finally:
        context.detach(token)
    assert store.workers > 1
    assert [span.name for span in spans()] == ["imageattach.put"] * 3
    assert {span.parent.span_id for span in spans()} == {2}
    for span in spans():
        assert 0 < span.end_time - span.start_time < 60 * 10**9
        assert span.attributes["imageattach.file_size"] == len(RED)
        assert span.attributes["imageattach.object_type"] == "user-picture"
        assert os.fspath(tmp_path) in span.attributes["imageattach.store"]


def test_the_span_of_a_failure_says_so(spans):
    with pytest.raises(OSError, match="no such file"):
        MemoryStore().get_key(KEY)
    (span,) = spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.events[0].name == "exception"
