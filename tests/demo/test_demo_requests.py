"""What the gallery answers to plain requests."""

from __future__ import annotations

import io
import re

import PIL.Image
import pytest
from outside import Answer, Gallery, jpeg


def queries(answer: Answer) -> int:
    """How many queries a page says that it took."""
    match = re.search(r'data-cost="queries">(\d+)<.*data-cost="milliseconds">(\d+\.\d)<', answer.text)
    assert match, answer.text
    assert float(match[2]) > 0
    assert len(re.findall("<li><code>SELECT ", answer.text)) == int(match[1])
    return int(match[1])


def test_a_page_of_people_takes_two_queries_however_many_there_are(gallery: Gallery) -> None:
    for number in range(3):
        gallery.add_person(f"Person {number}", jpeg(number))
    assert queries(gallery.ask("/")) == 2
    for number in range(27):
        gallery.add_person(f"Another {number}", jpeg(number))
    assert queries(gallery.ask("/")) == 2


def test_a_page_of_albums_or_of_photos_takes_two_queries_however_many_there_are(gallery: Gallery) -> None:
    one = gallery.add_album("One", jpeg(1))
    assert queries(gallery.ask("/albums")) == queries(gallery.ask(f"/albums/{one}")) == 2
    two = gallery.add_album("Two", *(jpeg(number) for number in range(12)))
    page = gallery.ask(f"/albums/{two}")
    assert queries(gallery.ask("/albums")) == queries(page) == 2
    photo = re.search(rf"/albums/{two}/[0-9a-f-]+", page.text)
    assert photo
    assert queries(gallery.ask(photo[0])) == 2


def test_a_page_of_one_person_takes_two_queries(gallery: Gallery) -> None:
    assert queries(gallery.ask(f"/people/{gallery.add_person('Ann', jpeg())}")) == 2


def test_a_form_is_answered_by_a_redirect_to_a_page(gallery: Gallery) -> None:
    for path, form in [
        ("/", {"name": "Ann"}),
        ("/people/1", {"do": "delete"}),
        ("/albums", {"title": "Holiday"}),
    ]:
        answer = gallery.ask(path, form)
        assert (answer.status, answer.headers["Location"]) == (303, path)
    assert gallery.ask("/people/1").status == 200


@pytest.mark.parametrize("token", ["", "another", None])
def test_a_form_of_another_site_is_refused(gallery: Gallery, token: str | None) -> None:
    key = gallery.add_person("Ann", jpeg())
    form = {"do": "delete", "csrf_token": token or ""}
    if token is None:
        # What somebody else was given goes with that one's cookie.
        form |= Gallery(gallery.url, gallery.app, gallery.engine, gallery.store).token()
    answer = gallery.ask(f"/people/{key}", form)
    assert answer.status == 400
    assert "CSRF" in answer.text
    assert gallery.picture_of(key)


def test_a_form_of_our_own_is_not_refused(gallery: Gallery) -> None:
    assert gallery.ask("/", {"name": "Ann"}, {"Origin": gallery.url}).status == 303


def test_nobody_is_served_under_a_name_that_is_not_ours(gallery: Gallery) -> None:
    assert gallery.ask("/", headers={"Host": "example.com"}).status == 400


def test_what_people_write_is_text(gallery: Gallery) -> None:
    gallery.ask("/", {"name": "<script>alert(1)</script>"})
    gallery.ask("/albums", {"title": '"><script>alert(1)</script>'})
    for path in ("/", "/people/1", "/albums", "/albums/1"):
        assert "<script>alert" not in gallery.ask(path).text
        assert "&lt;script&gt;alert" in gallery.ask(path).text


def test_a_name_that_is_only_spaces_is_refused(gallery: Gallery) -> None:
    answer = gallery.ask("/", {"name": "   "})
    assert answer.status == 422
    assert re.search(
        r'aria-describedby="(.+?)"[^>]*>\s*<span class="error" id="\1">Please write a name\.<', answer.text
    )


@pytest.mark.parametrize(
    "path", ["/people/1", "/albums/1", "/albums/1/6d6a4d9f-7f1e-4b1a-8d0e-2f3a4b5c6d7e", "/nowhere", "/__images__/../x"]
)
def test_what_is_not_there_is_not_found(gallery: Gallery, path: str) -> None:
    answer = gallery.ask(path)
    assert answer.status == 404


def test_a_photo_is_not_found_in_another_album(gallery: Gallery) -> None:
    one, two = gallery.add_album("One", jpeg()), gallery.add_album("Two")
    photo = re.search(rf"/albums/{one}/([0-9a-f-]+)", gallery.ask(f"/albums/{one}").text)
    assert photo
    assert gallery.ask(f"/albums/{two}/{photo[1]}").status == 404
    assert gallery.ask(photo[0]).status == 200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"/>', "type_not_allowed"),
        (jpeg(size=(60, 60)), "side_too_short"),
        (jpeg()[:1000], "truncated"),
        (b"", "empty"),
    ],
)
def test_a_refused_file_says_why(gallery: Gallery, content: bytes, reason: str) -> None:
    answer = gallery.upload("/", {"name": "Ann"}, {"ann.jpg": content})
    assert answer.status == 422
    assert f">{reason}<" in answer.text
    assert "ann.jpg" in answer.text
    assert gallery.ask("/people/1").status == 404
    assert gallery.ask(f"/people/{10**20}").status == 404
    assert gallery.files() == {}


def test_an_upload_beyond_all_limits_is_refused(gallery: Gallery) -> None:
    gallery.app.config["MAX_CONTENT_LENGTH"] = 100_000
    assert gallery.upload("/", {"name": "Ann"}, {"ann.jpg": bytes(200_000)}).status == 413


def test_what_was_written_beside_a_refused_file_is_kept(gallery: Gallery) -> None:
    refused = gallery.upload("/", {"name": "Ann & Bob"}, {"ann.jpg": b""})
    assert 'value="Ann &amp; Bob"' in refused.text


@pytest.mark.parametrize(("x", "y", "point"), [("-5", "x", (0.0, 0.0)), ("99999999999999999999", "1e9", (1.0, 0.0))])
def test_a_point_that_no_click_makes_is_within_the_picture(
    gallery: Gallery, x: str, y: str, point: tuple[float, float]
) -> None:
    key = gallery.add_person("Ann", jpeg())
    assert gallery.ask(f"/people/{key}", {"focal.x": x, "focal.y": y}).status == 303
    assert gallery.focal_point_of(key) == point


def test_what_a_camera_notes_beside_a_picture_is_removed(gallery: Gallery) -> None:
    exif = PIL.Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    file = io.BytesIO()
    PIL.Image.new("RGB", (300, 200)).save(file, "JPEG", exif=exif)
    assert gallery.upload("/", {"name": "Ann"}, {"ann.jpg": file.getvalue()}).status == 303
    original = gallery.ask(gallery.picture_of(1) or "").body
    with PIL.Image.open(io.BytesIO(original)) as picture:
        assert not picture.getexif()
