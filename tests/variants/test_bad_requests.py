"""Requests that no page has made, and stores that give out."""

from __future__ import annotations

import errno
import random
import string
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from models import User
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.variants import Variants
from variants.conftest import SECRET, files


def mutated(url: str, chance: random.Random) -> str:
    """A URL of which something was changed, left out, doubled or put in."""
    at, letters = chance.randrange(1, len(url)), string.ascii_letters + string.digits + "./-%_\\\0é"
    return chance.choice(
        [
            url[:at] + chance.choice(letters) + url[at + 1 :],
            url[:at] + url[at + 1 :],
            url[:at] + chance.choice(letters) + url[at:],
            url[:at] + url[at:] * 2,
            "/images/" + "".join(chance.choices(letters, k=chance.randrange(200))),
        ]
    )


def test_ten_thousand_mutated_urls_make_nothing(user: User, store: Any, folder: Path) -> None:
    chance = random.Random(5)
    url = user.picture.variant(width=64, format="webp").locate(store)
    before, app = files(folder), store.wsgi_middleware(lambda environ, start: start("418 I'm a teapot", []) or [])
    statuses = set()
    for _ in range(10_000):
        path = mutated(url, chance)
        if path == url:
            continue
        environ = {"PATH_INFO": path.encode().decode("latin-1"), "wsgi.url_scheme": "http"}
        setup_testing_defaults(environ)
        body = app(environ, lambda status, headers: statuses.add(status[:3]))
        getattr(body, "close", lambda: None)()
    assert {"404", "418"} <= statuses <= {"400", "404", "418"}
    assert files(folder) == before


def test_a_full_store_is_unavailable_and_has_nothing_half_written(
    user: User, store: Any, folder: Path, get: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, before = user.picture.variant(width=64).locate(store), files(folder)

    def full(*arguments: Any, **options: Any) -> None:
        raise StoreError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", full)
        answer = get(url)
    assert (answer.status, answer.headers["Cache-Control"]) == (503, "no-store")
    assert "Retry-After" in answer.headers
    assert files(folder) == before
    # It is not remembered.
    assert get(url).status == 200


def test_a_store_of_presets_only_serves_no_variant_that_was_signed_before(user: User, store: Any, get: Any) -> None:
    before = user.picture.variant(width=64)
    url = before.locate(store)
    store.variants = Variants(SECRET, presets_only=True)
    assert get(url).status == 404
    assert get(user.picture.variant("square").locate(store)).status == 200
    # It may be opened, and is not kept.
    assert before.make_blob(store)
    assert len(list(store.list_variants(FileKey.of(user.picture.require_original())))) == 1
    with pytest.raises(ValueError, match="expected a preset"):
        before.prepare(store)
