"""What somebody sees and does in the gallery, in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from outside import Gallery, jpeg

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, FilePayload, Page

HTML = b"<!doctype html><title>Not a picture</title>"


def picture(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def drag(page: Page, kinds: list[str], *files: Path) -> None:
    """Drags files from outside of the browser to the middle of the page's form, as a hand does."""
    place = page.locator(".drop").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    session: CDPSession = page.context.new_cdp_session(page)
    for kind in kinds:
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **middle})


def loaded(page: Page) -> list[str]:
    """The images of a page, which have to be loaded in full: their alternative texts."""
    page.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")
    page.wait_for_function("Array.from(document.images).every((image) => image.complete)")
    script = "Array.from(document.images, (image) => [image.alt, image.naturalWidth])"
    images: list[tuple[str, int]] = page.evaluate(script)
    assert all(width for _, width in images)
    return [text for text, _ in images]


@pytest.fixture
def scriptless(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def test_everybody_is_shown_with_their_picture_or_their_initial(gallery: Gallery, page: Page) -> None:
    gallery.add_person("Ann", jpeg())
    gallery.add_person("Bob")
    page.goto(gallery.url)
    assert page.locator(".people li").all_inner_texts() == ["Ann", "B\nBob"]
    assert loaded(page) == ["Picture of Ann"]


def test_a_page_shows_no_original_but_a_size_for_each_place(gallery: Gallery, page: Page) -> None:
    person = gallery.add_person("Ann", jpeg(size=(1200, 900)))
    album = gallery.add_album("Holiday", jpeg(1, size=(1200, 900)))
    for path in ("/", f"/people/{person}", "/albums", f"/albums/{album}"):
        page.goto(gallery.url + path)
        loaded(page)
        shown = page.eval_on_selector_all(
            "img, [type=image]", "(all) => all.map((each) => each.currentSrc ?? each.src)"
        )
        assert shown, path
        assert all(re.search(r"-jpe/\d+x\d+[^/]*\.(avif|webp)$", url) for url in shown), shown


def test_a_dropped_file_is_attached(gallery: Gallery, page: Page, tmp_path: Path) -> None:
    key = gallery.add_person("Ann")
    (tmp_path / "ann.jpg").write_bytes(jpeg())
    page.goto(f"{gallery.url}/people/{key}")
    drag(page, ["dragEnter", "dragOver"], tmp_path / "ann.jpg")
    page.wait_for_selector(".drop.over")
    drag(page, ["drop"], tmp_path / "ann.jpg")
    page.wait_for_selector(".stage img")
    assert gallery.picture_of(key)


def test_files_dropped_on_an_album_become_its_photos(gallery: Gallery, page: Page, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.jpg" for name in ("one", "two", "three")]
    for seed, path in enumerate(paths):
        path.write_bytes(jpeg(seed))
    page.goto(f"{gallery.url}/albums/{gallery.add_album('Holiday')}")
    drag(page, ["dragEnter", "dragOver", "drop"], *paths)
    page.wait_for_selector(".photos img")
    assert loaded(page) == ["one", "two", "three"]


def test_an_upload_shows_its_progress(gallery: Gallery, page: Page) -> None:
    page.goto(f"{gallery.url}/people/{gallery.add_person('Ann')}")
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#picture", picture("ann.jpg", jpeg(size=(1000, 800), quality=95)))
    page.wait_for_function("(bar => !bar.hidden && bar.value > 0 && bar.value < 1)(document.querySelector('progress'))")
    assert "%" in page.locator(".status").inner_text()
    page.wait_for_selector(".stage img")


def test_an_interrupted_upload_says_so_and_may_be_tried_again(gallery: Gallery, page: Page) -> None:
    page.goto(f"{gallery.url}/people/{gallery.add_person('Ann')}")
    page.route("**/people/*", lambda route: route.abort())
    page.set_input_files("#picture", picture("ann.jpg", jpeg()))
    page.get_by_text("interrupted").wait_for()
    page.unroute("**/people/*")
    page.set_input_files("#picture", picture("again.jpg", jpeg()))
    page.wait_for_selector(".stage img")


def test_a_replaced_picture_has_another_url_and_the_former_leads_nowhere(gallery: Gallery, page: Page) -> None:
    key = gallery.add_person("Ann", jpeg(1))
    former = gallery.picture_of(key)
    page.goto(f"{gallery.url}/people/{key}")
    assert former is not None
    assert gallery.ask(former).body == jpeg(1)
    shown = page.locator(".stage img").get_attribute("src")
    page.set_input_files("#picture", picture("ann.jpg", jpeg(2)))
    page.wait_for_function("(shown) => document.querySelector('.stage img')?.src !== shown", arg=shown)
    latter = gallery.picture_of(key)
    assert latter is not None
    assert gallery.ask(latter).body == jpeg(2)
    assert gallery.ask(former).status == 404


def test_a_deleted_picture_is_gone_with_all_of_its_files(gallery: Gallery, page: Page) -> None:
    key = gallery.add_person("Ann", jpeg())
    page.goto(f"{gallery.url}/people/{key}")
    page.get_by_text("Delete this picture …").click()
    page.get_by_role("button", name="Yes, delete").click()
    page.get_by_text("No picture yet").wait_for()
    assert gallery.files() == {}


def test_a_deleted_photo_is_gone_and_the_others_stay(gallery: Gallery, page: Page) -> None:
    page.goto(f"{gallery.url}/albums/{gallery.add_album('Holiday', jpeg(1), jpeg(2))}")
    page.locator(".photos a").first.click()
    page.get_by_text("Delete this photo …").click()
    page.get_by_role("button", name="Yes, delete").click()
    page.wait_for_selector(".photos")
    assert loaded(page) == ["Photo 1"]
    assert len(gallery.files()) == 1


@pytest.mark.parametrize(
    ("button", "files"), [("Replace it, then roll back", "2 files"), ("Delete it, then roll back", "1 file")]
)
def test_undo_shows_what_was_there_inside_and_that_all_is_as_before(
    gallery: Gallery, page: Page, button: str, files: str
) -> None:
    key = gallery.add_person("Ann", jpeg(1))
    gallery.add_person("Bob", jpeg(2))
    url, stored = gallery.picture_of(key), gallery.files()
    page.goto(f"{gallery.url}/people/{key}")
    page.get_by_role("button", name=button).click()
    before, inside, after = (page.locator(".moments > li").nth(number) for number in range(3))
    assert "as they were before" in page.locator(".verdict").inner_text()
    assert inside.get_by_text(files, exact=True).is_visible()
    tables = [each.locator("table").all_inner_texts() for each in (before, inside, after)]
    assert tables[0] == tables[2] != tables[1]
    urls = [each.locator(".url").inner_text() for each in (before, inside, after)]
    assert urls[0] == urls[2] == f"{gallery.url}{url}" != urls[1]
    assert (gallery.picture_of(key), gallery.files()) == (url, stored)
    if urls[1] != "none":
        assert gallery.ask(urls[1]).status == 404


def test_a_refused_file_is_named_with_the_reason_and_changes_nothing(gallery: Gallery, page: Page) -> None:
    key = gallery.add_person("Ann", jpeg())
    before = gallery.picture_of(key), gallery.files()
    page.goto(f"{gallery.url}/people/{key}")
    page.set_input_files("#picture", picture("holiday.png", HTML))
    alert = page.locator(".alert")
    alert.wait_for()
    for told in ("holiday.png", "That is not an image.", "unknown_type", "expected an image", "Nothing was changed."):
        assert told in alert.inner_text()
    assert alert.evaluate("(element) => element === document.activeElement")
    assert page.locator("#picture").get_attribute("aria-describedby") == alert.get_attribute("id")
    assert "Picture of Ann" in loaded(page)
    assert (gallery.picture_of(key), gallery.files()) == before


def test_a_click_chooses_what_crops_keep(gallery: Gallery, page: Page) -> None:
    key = gallery.add_person("Ann", jpeg(size=(1200, 900)))
    page.goto(f"{gallery.url}/people/{key}")
    before = page.locator(".square img").get_attribute("src")
    with page.expect_navigation():
        page.locator("[type=image]").click(position={"x": 14, "y": 105})
    assert gallery.focal_point_of(key) == (0.05, 0.5)
    assert page.locator(".square img").get_attribute("src") != before
    assert "-c0.0.900.900." in str(page.locator(".square img").get_attribute("src"))
    page.get_by_text("By the keyboard").click()
    page.get_by_label("From the left").fill("280")
    page.get_by_label("From the left").press("Enter")
    page.wait_for_selector(".square img[src*='-c300.0.900.900.']")
    assert gallery.focal_point_of(key) == (1.0, 0.5)


def test_of_several_files_all_that_are_refused_are_named_and_none_is_added(gallery: Gallery, page: Page) -> None:
    page.goto(f"{gallery.url}/albums/{gallery.add_album('Holiday')}")
    files = [picture("good.jpg", jpeg()), picture("bad.jpg", HTML), picture("cut.jpg", jpeg()[:2000])]
    page.set_input_files("#photos", files)
    page.locator(".alert").wait_for()
    assert page.locator(".alert dt").all_inner_texts() == ["bad.jpg", "cut.jpg"]
    assert page.locator(".alert .tag").all_inner_texts() == ["unknown_type", "truncated"]
    assert gallery.files() == {}


def test_all_of_it_works_without_javascript(gallery: Gallery, scriptless: Page) -> None:
    page = scriptless
    page.goto(gallery.url)
    page.fill("#name", "Ann & Bob")
    page.set_input_files("#picture", picture("ann.jpg", HTML))
    page.get_by_role("button", name="Add").click()
    assert page.locator("form .alert dt").inner_text() == "ann.jpg"
    assert page.input_value("#name") == "Ann & Bob"
    page.fill("#name", "Ann")
    page.set_input_files("#picture", picture("ann.jpg", jpeg(1)))
    page.get_by_role("button", name="Add").click()
    page.get_by_role("link", name="Ann").click()
    page.set_input_files("#picture", picture("holiday.png", HTML))
    page.get_by_role("button", name="Replace", exact=True).click()
    assert "holiday.png" in page.locator(".alert").inner_text()
    page.set_input_files("#picture", picture("ann.png", jpeg(2)))
    with page.expect_navigation():
        page.get_by_role("button", name="Replace", exact=True).click()
    url = gallery.picture_of(1)
    assert url is not None
    assert gallery.ask(url).body == jpeg(2)
    page.locator("[type=image]").click(position={"x": 70, "y": 20})
    assert gallery.focal_point_of(1) == (70 / 280, 20 / 187)
    page.get_by_role("button", name="Delete it, then roll back").click()
    assert "as they were before" in page.locator(".verdict").inner_text()
    page.get_by_role("link", name="Ann").click()
    page.get_by_text("Delete this picture …").click()
    page.get_by_role("button", name="Yes, delete").click()
    page.get_by_text("No picture yet").wait_for()
    page.get_by_role("link", name="Albums").click()
    page.fill("#title", "Holiday")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("link", name="Holiday").click()
    page.set_input_files("#photos", [picture("one.jpg", jpeg(1)), picture("two.jpg", jpeg(2))])
    page.get_by_role("button", name="Upload").click()
    assert page.locator(".photos img").count() == 2


@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_is_whole_on_its_own_and_fits(gallery: Gallery, page: Page, width: int) -> None:
    """Nothing comes from elsewhere, nothing is missing, nothing is wider than the window, and all that is shown or
    asked for has a text."""
    gallery.add_person("Ann", jpeg(1))
    gallery.add_person("Somebody with a name that is not short, and without a picture" + "!" * 20)
    album = gallery.add_album("Holiday", jpeg(1), jpeg(2, (100, 900)), jpeg(3, (900, 100)))
    responses, complaints = [], []
    page.on("response", lambda response: responses.append((response.status, urlsplit(response.url).netloc)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/people/1", "/people/2", "/albums", f"/albums/{album}", "a photo", "undo"):
        if path == "a photo":
            page.locator(".photos a").nth(1).click()
        elif path == "undo":
            page.goto(f"{gallery.url}/people/1")
            page.get_by_role("button", name="Delete it, then roll back").click()
        else:
            page.goto(gallery.url + path)
        loaded(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.locator("h1").count() == 1, path
        assert page.locator("img:not([alt]), html:not([lang])").count() == 0, path
        labels = page.eval_on_selector_all(
            "input:not([type=hidden])", "(all) => all.map((each) => each.alt || each.labels[0]?.textContent.trim())"
        )
        assert all(labels), path
        assert all(page.locator("button, a:not(:has(img))").all_text_contents()), path
    assert {netloc for _, netloc in responses} <= {urlsplit(gallery.url).netloc, ""}
    assert {status for status, _ in responses} <= {200, 304}
    assert complaints == []


def test_the_pages_are_dark_where_that_is_preferred(gallery: Gallery, page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    page.goto(gallery.url)
    light = background()
    page.emulate_media(color_scheme="dark")
    assert background() != light


def test_the_keyboard_shows_where_it_is(gallery: Gallery, page: Page) -> None:
    page.goto(f"{gallery.url}/people/{gallery.add_person('Ann')}")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "file":
            break
    assert page.locator(".drop").evaluate("(drop) => getComputedStyle(drop).outlineStyle") == "solid"
