from __future__ import annotations

import errno
import io
import random
import string
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from models import User, picture
from sqlalchemy_imageattach.exc import InvalidImageError, StoreError
from sqlalchemy_imageattach.instrumentation import Event, subscribe, unsubscribe
from sqlalchemy_imageattach.naming import FileKey, folder_of_variants
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.variants import Variants
from variants.conftest import SECRET, files

Get = Callable[..., Any]
FOREVER = "public, max-age=31536000, immutable"


def url_of(user: User, **transform: Any) -> str:
    return user.picture.variant(**transform).locate()


@pytest.fixture
def decodes() -> Any:
    """The images that were decoded."""
    events: list[Event] = []
    subscriber = subscribe(lambda event: events.append(event) if event.name == "decode" else None)
    yield events
    unsubscribe(subscriber)


@pytest.mark.parametrize(
    ("transform", "mimetype"),
    [
        ({"width": 320}, "image/jpeg"),
        ({"width": 100, "height": 100, "fit": "cover", "format": "webp"}, "image/webp"),
        ({"width": 100, "height": 100, "fit": "contain", "format": "png"}, "image/png"),
        ({"width": 100, "height": 20, "fit": "fill", "format": "avif"}, "image/avif"),
        ({"crop": (10, 10, 50, 40), "background": "#000"}, "image/jpeg"),
        ({"width": 90, "height": 90, "fit": "cover", "gravity": "attention"}, "image/jpeg"),
    ],
)
def test_the_first_request_makes_it_and_answers_with_it(user: User, get: Get, transform: Any, mimetype: str) -> None:
    variant = user.picture.variant(**transform)
    first, second = get(variant.locate()), get(variant.locate())
    assert (first.status, second.status) == (200, 200)
    assert first.headers["Content-Type"] == mimetype == variant.mimetype
    assert first.headers["Cache-Control"] == FOREVER
    assert first.headers["ETag"] == second.headers["ETag"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.content == second.content
    with Image.open(io.BytesIO(first.content)) as image:
        assert image.size == variant.size


def test_a_variant_lies_under_the_very_path_of_its_url(user: User, get: Get, folder: Path) -> None:
    before = files(folder)
    url = url_of(user, width=64)
    get(url)
    assert files(folder) - before == {url.removeprefix("/images/")}


def test_what_was_made_is_not_made_again(user: User, get: Get, decodes: list[Event]) -> None:
    for _ in range(3):
        get(url_of(user, width=64))
    assert len(decodes) == 1


def test_many_first_requests_decode_once(user: User, get: Get, decodes: list[Event]) -> None:
    url = url_of(user, width=64)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(get, [url] * 200))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(decodes) == 1


def test_conditions_ranges_and_queries_are_as_for_files(user: User, get: Get, folder: Path) -> None:
    url = url_of(user, width=64)
    whole = get(f"{url}?timestamp=1")
    assert get(url, If_None_Match=whole.headers["ETag"]).status == 304
    assert get(url, Range="bytes=0-9").content == whole.content[:10]
    assert get(url, method="HEAD").content == b""
    assert get(url, method="POST").status == 405
    assert len(files(folder)) == 2


def test_an_empty_file_is_made_again(user: User, get: Get, folder: Path) -> None:
    url = url_of(user, width=64)
    content = get(url).content
    (folder / url.removeprefix("/images/")).write_bytes(b"")
    assert get(url).content == content


def test_a_file_that_is_gone_is_made_again(user: User, get: Get, folder: Path) -> None:
    url = url_of(user, width=64)
    content = get(url).content
    (folder / url.removeprefix("/images/")).unlink()
    assert get(url).content == content


def test_what_is_not_signed_is_not_looked_for(store: Any, user: User, get: Get, folder: Path) -> None:
    url, before = url_of(user, width=64, format="webp"), files(folder)
    other = HttpExposedFileSystemStore(folder, "images", variants=Variants("another secret of theirs"))
    chance = random.Random(2)
    altered = [
        user.picture.variant(width=64).locate(other),
        url.replace("64x48", "65x48"),
        url.replace(".webp", ".png"),
    ]
    for _ in range(2_000):
        at = chance.randrange(len("/images/"), len(url))
        altered.append(url[:at] + chance.choice(string.ascii_letters + string.digits + "-._~") + url[at + 1 :])
    for each in altered:
        assert each == url or get(each).status == 404
    assert files(folder) == before


def test_an_original_that_is_gone_is_not_found_and_not_cached(user: User, store: Any, get: Get, folder: Path) -> None:
    url = url_of(user, width=64)
    store.delete_key(FileKey.of(user.picture.original))
    answer = get(url)
    assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store")
    assert files(folder) == set()


def test_an_original_that_does_not_decode_is_refused_and_remembered(
    user: User, store: Any, get: Get, decodes: list[Event]
) -> None:
    key = FileKey.of(user.picture.original)
    with store.get_key(key) as file:
        content = file.read()
    store.put_key(io.BytesIO(content[:-200]), key, False)
    url = url_of(user, width=64)
    answers = [get(url), get(url)]
    assert [answer.status for answer in answers] == [422, 422]
    assert answers[0].headers["Cache-Control"] == "public, max-age=600"
    assert len(decodes) <= 1
    with pytest.raises(InvalidImageError):
        user.picture.variant(width=65).make_blob(store)


def test_a_store_that_fails_is_not_remembered(user: User, store: Any, get: Get, folder: Path, monkeypatch: Any) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise StoreError(errno.ENOSPC, "no space")

    url, before = url_of(user, width=64), files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(store, "put_file", full)
        answer = get(url)
    assert (answer.status, answer.headers["Cache-Control"]) == (503, "no-store")
    assert "Retry-After" in answer.headers
    assert files(folder) == before
    assert get(url).status == 200


def test_an_original_that_is_deleted_meanwhile_has_no_variant(
    user: User, store: Any, get: Get, folder: Path, monkeypatch: Any
) -> None:
    put, key = store.put_file, FileKey.of(user.picture.original)

    def slow(*args: Any, **options: Any) -> None:
        put(*args, **options)
        store.delete_key(key)
        store.delete_variants(key)
        put(io.BytesIO(b"late"), *args[1:], **options)

    monkeypatch.setattr(store, "put_file", slow)
    assert get(url_of(user, width=64)).status == 404
    assert files(folder) == set()


def test_a_row_without_a_revision_is_cached_for_a_minute(session: Any, store: Any, get: Get) -> None:
    user = User(name="Ann")
    session.add(user)
    urls = []
    for color in (1, 2):
        user.cover.from_blob(picture(640, 480, color * 100, "JPEG"), store)
        session.commit()
        urls.append(user.cover.variant(width=64).locate())
        assert get(urls[-1]).headers["Cache-Control"] == "public, max-age=60"
    assert urls[0] != urls[1]
    assert get(urls[1]).status == 200


def test_what_an_older_secret_signed_is_adopted(
    user: User, folder: Path, get: Get, store: Any, decodes: list[Event]
) -> None:
    old_url = url_of(user, width=64)
    content = get(old_url).content
    store.variants = Variants(["a newer secret of the application", SECRET])
    new_url = url_of(user, width=64)
    assert new_url != old_url
    assert get(old_url).content == get(new_url).content == content
    assert len(decodes) == 1
    assert len(files(folder)) == 2


def test_more_variants_than_one_original_may_have_are_not_made(user: User, get: Get, store: Any, folder: Path) -> None:
    store.variants = Variants(SECRET, max_variants=2)
    assert [get(url_of(user, width=width)).status for width in (10, 20, 30)] == [200, 200, 404]
    assert len(files(folder)) == 3


def test_a_full_line_is_busy_and_hot_variants_go_on(user: User, get: Get, store: Any, monkeypatch: Any) -> None:
    store.variants = Variants(SECRET, workers=1, max_waiting=1, patience=0.05)
    hot = url_of(user, width=64)
    get(hot)
    go_on, get_file, original = threading.Event(), store.get_file, FileKey.of(user.picture.original)

    def waiting(*args: Any, **options: Any) -> Any:
        if options.get("revision") == original.revision:
            go_on.wait(10)
        return get_file(*args, **options)

    monkeypatch.setattr(store, "get_file", waiting)
    answers = [get(url_of(user, width=width)) for width in (10, 20, 30)]
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert get(hot).status == 200
    go_on.set()


@pytest.fixture
def memory(user: User, store: Any) -> HttpExposedStore:
    memory = HttpExposedStore(MemoryStore(), "images", variants=Variants(SECRET))
    key = FileKey.of(user.picture.original)
    with store.get_key(key) as file:
        memory.put_key(file, key, False)
    return memory


def test_any_store_behind_the_application_makes_variants(user: User, memory: HttpExposedStore) -> None:
    from werkzeug.test import Client

    client = Client(memory.wsgi_middleware(lambda environ, start_response: []))
    url = user.picture.variant(width=64).locate(memory)
    first = client.get(url)
    assert (first.status_code, first.mimetype) == (200, "image/jpeg")
    assert client.get(url, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    key = FileKey.of(user.picture.original)
    assert [file.name for file in memory.list_variants(key)] == [url.removeprefix("/images/")]
    memory.delete_variants(key)
    assert [file.key for file in memory.list_files()] == [key]
    assert folder_of_variants(key) in url


def test_a_store_without_revisions_is_refused() -> None:
    class Documented(Store):
        def put_file(self, file: Any, object_type: Any, object_id: Any, width: Any, height: Any, *_: Any) -> None: ...

    with pytest.raises(ValueError, match="take revision"):
        HttpExposedStore(Documented(), variants=Variants(SECRET))
