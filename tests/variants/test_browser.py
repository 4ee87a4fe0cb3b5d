"""A page of photographs in Chromium."""

from __future__ import annotations

import io
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import PIL.Image
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import User
from sqlalchemy_imageattach.context import store_context

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

# The two lines that the guide gives, and a margin that is known.
GUIDE = (Path(__file__).parents[2] / "docs/variants.md").read_text()
STYLE = f"<style>{re.findall('```css(.+?)```', GUIDE, re.DOTALL)[0]} body {{ margin: 8px }}</style>"


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def photograph(seed: int, width: int, height: int) -> bytes:
    """What weighs as much as what a camera makes."""
    rough = PIL.Image.frombytes("RGB", (64, 48), random.Random(seed).randbytes(64 * 48 * 3))
    image = rough.resize((width, height), PIL.Image.Resampling.BICUBIC)
    noise = PIL.Image.effect_noise((width, height), 12).convert("RGB")
    file = io.BytesIO()
    PIL.Image.blend(image, noise, 0.2).save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True) as context:
        yield context.new_page()


@pytest.fixture
def site(session: Session, store: Any) -> Iterator[tuple[str, int]]:
    """The address of a page, and how many bytes its originals have."""
    originals = [photograph(seed, *size) for seed, size in enumerate(((1600, 1200), (1200, 1600), (1800, 900)))]
    for original in originals:
        user = User()
        session.add(user)
        user.picture.from_blob(original, store)
    session.commit()
    with store_context(store):
        users = session.scalars(select(User).order_by(User.id))
        pictures = "".join(user.picture.responsive(sizes="calc(100vw - 16px)", alt="A photo") for user in users)
    page = f'<!doctype html><meta name="viewport" content="width=device-width">{STYLE}{pictures}'.encode()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [page if environ["PATH_INFO"] == "/" else b""]

    with make_server("127.0.0.1", 0, store.wsgi_middleware(application), handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", sum(map(len, originals))
        server.shutdown()


def test_a_phone_loads_what_it_needs_and_nothing_jumps(site: tuple[str, int], phone: Page) -> None:
    url, weight = site
    answers: list[Response] = []
    phone.on("response", lambda response: answers.append(response) if "/images/" in response.url else None)
    phone.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((each) => shift += each.value))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    phone.goto(url)
    phone.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")
    phone.wait_for_function("Array.from(document.images).every((image) => image.complete && image.naturalWidth)")
    assert {answer.headers["content-type"] for answer in answers} == {"image/avif"}
    assert sum(len(answer.body()) for answer in answers) * 10 < weight
    assert phone.evaluate("shift") == 0
    shapes = phone.evaluate(
        "Array.from(document.images, (i) => [i.width, i.height, i.naturalWidth, i.naturalHeight, i.currentSrc])"
    )
    assert len(shapes) == 3
    for width, height, natural_width, natural_height, source in shapes:
        assert width == 374
        assert abs(width / height - natural_width / natural_height) < 0.01
        assert "/384x" in source


def test_a_grid_has_a_place_for_each_picture_and_none_for_its_sources(page: Page) -> None:
    pictures = '<picture><source type="image/avif"><img alt="" width="40" height="40"></picture>' * 3
    page.set_content(f"{STYLE}<div style='display: grid; grid-template-columns: 1fr 1fr'>{pictures}</div>")
    places = page.evaluate("Array.from(document.images, ({offsetLeft, offsetTop}) => [offsetLeft, offsetTop])")
    (left, top), (right, beside), (below_left, below) = places
    assert (top, left) == (beside, below_left)
    assert left < right
    assert top < below
