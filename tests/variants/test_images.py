from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from markupsafe import Markup
from sqlalchemy.orm import Session

import models
from models import User, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import image_attachment
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.variants import Source, Transform, Variants
from variants.conftest import SECRET


class Elements(HTMLParser):
    """The start tags of some HTML."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes)
        self.found.append((tag, dict(attributes)))


def candidates(srcset: str) -> list[str]:
    return [candidate.split(" ")[1] for candidate in srcset.split(", ")]


@pytest.fixture
def presets(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy_imageattach.entity import variants

    monkeypatch.setattr(variants, "_declared", {})
    card = Transform(width=320, height=200, fit="cover")
    monkeypatch.setitem(User.picture.property.info, "image_variants", {"card": card})


def test_a_page_asks_neither_store_nor_database(user: User, session: Session, folder: Any) -> None:
    class Refusing(HttpExposedFileSystemStore):
        def refuse(self, *args: Any, **options: Any) -> Any:
            raise AssertionError("a store was asked")

        put_file = get_file = delete_file = list_files = list_variants = alone = refuse  # type: ignore[assignment]

    assert user.picture.original
    store = Refusing(folder, variants=Variants(SECRET))
    session.close()
    with store_context(store):
        variant = user.picture.variant(width=64, format="webp")
        assert variant.locate() in Markup("{}").format(variant)
        assert user.picture.srcset(format="avif")
        assert user.picture.responsive(sizes="50vw", alt="Ann")
        assert user.picture.preload_link(sizes="50vw")


def test_a_variant_has_what_an_image_has(user: User, store: Any) -> None:
    variant = user.picture.variant(width=64, format="webp")
    assert (variant.width, variant.height, variant.size, variant.mimetype) == (64, 48, (64, 48), "image/webp")
    assert variant.img(alt="<Ann>", class_="round") == (
        f'<img src="{variant.locate()}" width="64" height="48" alt="&lt;Ann&gt;" loading="lazy" decoding="async" '
        'class="round">'
    )
    blob = variant.make_blob()
    assert blob[8:12] == b"WEBP"
    assert asyncio.run(variant.amake_blob()) == blob
    with variant.open_file(store) as file:
        assert file.read() == blob
    assert variant == user.picture.original.variant(width=64, format="webp")


def test_a_format_alone_has_the_size_of_the_original(user: User) -> None:
    assert user.picture.variant(format="webp").size == (640, 480)


def test_nothing_at_all_is_refused(user: User) -> None:
    with pytest.raises(TypeError, match="got none"):
        user.picture.variant()


def test_a_set_without_an_original_has_no_variant_and_no_picture(session: Session) -> None:
    user = User(name="Ann")
    with pytest.raises(ImageNotFoundError):
        user.picture.variant(width=1)
    assert user.picture.responsive(alt="") == user.picture.preload_link() == ""


def test_a_store_that_makes_no_variants_says_so_and_opens_them(user: User, folder: Any) -> None:
    plain = FileSystemStore(folder, "https://example.com/")
    variant = user.picture.variant(width=64)
    with pytest.raises(ValueError, match="variants=Variants"):
        variant.locate(plain)
    assert variant.make_blob(plain)[:2] == b"\xff\xd8"
    assert len(list(plain.list_files())) == 1


@pytest.mark.usefixtures("presets")
def test_a_preset_is_asked_for_by_its_name(user: User, store: Any) -> None:
    assert user.picture.variant("card").size == (320, 200)
    assert user.picture.original.variant("card") == user.picture.variant("card")
    assert user.picture.variant("card", width=160, height=100).size == (160, 100)
    with pytest.raises(ValueError, match="declares 'card'"):
        user.picture.variant("cards")


@pytest.mark.usefixtures("presets")
def test_a_store_may_make_presets_only(user: User, folder: Any) -> None:
    store = HttpExposedFileSystemStore(folder, variants=Variants(SECRET, presets_only=True))
    assert user.picture.variant("card").locate(store)
    for variant in (user.picture.variant(width=320), user.picture.variant("card", quality="low")):
        with pytest.raises(ValueError, match="expected a preset"):
            variant.locate(store)


def test_presets_are_transforms() -> None:
    with pytest.raises(TypeError, match="Transforms by their names"):
        image_attachment("UserPicture", variants={"card": {"width": 320}})  # type: ignore[dict-item]


def test_an_edited_preset_is_a_new_url(user: User) -> None:
    card = Transform(width=320, height=200, fit="cover")
    edited = [
        user.picture.variant(card, **values).locate() for values in ({}, {"crop": (0, 0, 99, 99)}, {"quality": 9})
    ]
    assert len(set(edited)) == 3


def test_a_size_beyond_the_policy_is_refused(user: User) -> None:
    with pytest.raises(ValueError, match="at most 25000000 pixels"):
        user.picture.variant(width=60_000, upscale=True)


def test_a_srcset_ends_with_the_original_and_has_nothing_above(user: User) -> None:
    widths = candidates(user.picture.srcset())
    assert widths == ["32w", "48w", "64w", "96w", "128w", "192w", "256w", "384w", "512w", "640w"]
    assert candidates(user.picture.srcset(widths=[5000, 320, 200, 320])) == ["200w", "320w", "640w"]
    assert candidates(user.picture.srcset(ratio="1/1", fit="cover", widths=[9999])) == ["480w"]


@pytest.mark.parametrize(
    ("widths", "densities", "error"),
    [([0], None, ValueError), ([1.5], None, TypeError), ([], None, ValueError), ([1], [1], TypeError),
     (None, [0], ValueError), (None, [float("inf")], ValueError), (None, ["2x"], TypeError), (None, [1], ValueError)],
)  # fmt: skip
def test_wrong_widths_and_densities_are_refused(user: User, widths: Any, densities: Any, error: Any) -> None:
    with pytest.raises(error):
        user.picture.srcset(widths=widths, densities=densities)


def test_a_density_says_what_a_file_really_has(user: User) -> None:
    assert candidates(user.picture.srcset(width=300, densities=(1, 2, 3))) == ["1x", "2x", "2.133x"]
    assert candidates(user.picture.srcset(width=640, densities=(1, 2))) == ["1x"]
    assert candidates(user.picture.srcset(width=48, height=48, fit="cover", densities=(2, 1))) == ["1x", "2x"]


def test_a_picture_has_a_source_for_each_type(user: User) -> None:
    html = user.picture.responsive(sizes="50vw", widths=(320, 1280), alt="A “cat”", class_="wide")
    (_, *sources), (tag, img) = Elements(html).found[:-1], Elements(html).found[-1]
    assert [source["type"] for _, source in sources] == ["image/avif", "image/webp"]
    for element in (*(source for _, source in sources), img):
        assert candidates(element["srcset"]) == ["320w", "640w"]
        assert element["sizes"] == "50vw"
    assert tag == "img"
    assert (img["width"], img["height"], img["alt"], img["class"]) == ("640", "480", "A “cat”", "wide")
    assert (img["loading"], img["decoding"]) == ("lazy", "async")
    assert img["src"] == img["srcset"].split(", ")[-1].split(" ")[0]


def test_the_picture_that_is_seen_first_is_loaded_first(user: User) -> None:
    ((_, img),) = Elements(user.picture.responsive(alt="", priority=True)).found[-1:]
    assert (img["loading"], img["fetchpriority"]) == ("eager", "high")


def test_a_picture_has_to_say_what_it_is_of(user: User) -> None:
    with pytest.raises(TypeError, match="alt"):
        user.picture.responsive(sizes="50vw")  # type: ignore[call-arg]


def test_some_screens_get_another_shape(user: User) -> None:
    square = Source(media="(max-width: 600px)", ratio="1/1", sizes="100vw")
    found = [attributes for _, attributes in Elements(user.picture.responsive(alt="", sources=[square])).found[1:]]
    assert [(each["media"], each["type"]) for each in found if "media" in each] == [
        ("(max-width: 600px)", mimetype) for mimetype in ("image/avif", "image/webp", "image/jpeg")
    ]
    assert {(each["width"], each["height"]) for each in found if "media" in each} == {("480", "480")}
    assert (found[-1]["width"], found[-1]["height"]) == ("640", "480")


def test_a_fixed_size_is_offered_by_density(user: User) -> None:
    html = user.picture.responsive(width=100, height=100, fit="cover", densities=(1, 2), alt="")
    ((_, img),) = Elements(html).found[-1:]
    assert (img["width"], img["height"]) == ("100", "100")
    assert "sizes" not in img
    assert candidates(img["srcset"]) == ["1x", "2x"]


def test_a_link_preloads_what_the_picture_will_show(user: User) -> None:
    ((_, link),) = Elements(user.picture.preload_link(sizes="50vw")).found
    picture = Elements(user.picture.responsive(sizes="50vw", alt="")).found
    assert link["imagesrcset"] == picture[1][1]["srcset"]
    assert (link["rel"], link["as"], link["type"], link["imagesizes"]) == ("preload", "image", "image/avif", "50vw")


@pytest.mark.parametrize(
    ("format", "formats", "offered"),
    [
        ("JPEG", ("avif", "webp"), ["image/avif", "image/webp"]),
        ("PNG", ("avif", "webp"), ["image/webp"]),
        ("WEBP", ("avif", "webp"), []),
        ("AVIF", ("avif", "webp"), ["image/webp"]),
        ("GIF", ("avif", "webp"), ["image/webp"]),
        ("JPEG", ("jpeg",), []),
    ],
)
def test_no_still_precedes_what_may_move(
    session: Session, store: Any, format: str, formats: Any, offered: list[str]
) -> None:
    user = User(name="Ann")
    session.add(user)
    with store_context(store):
        user.picture.from_blob(picture(64, 48, 5, format))
        session.flush()
        html = user.picture.responsive(alt="", formats=formats)
        assert re.findall('type="([a-z/]+)"', html) == offered
        assert re.findall('type="([a-z/]+)"', user.picture.responsive(alt="", first_frame=True)) != [] or offered == []
    session.rollback()


def test_an_svg_stays_an_img(session: Session, store: Any) -> None:
    user = User(name="Ann")
    session.add(user)
    with store_context(store):
        user.picture.from_blob(b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>')
        session.flush()
        assert user.picture.responsive(alt="x") == (
            f'<img src="{user.picture.locate()}" width="20" height="10" alt="x" loading="lazy" decoding="async">'
        )
        assert user.picture.variant(width=400).size == (400, 200)
    session.rollback()


def test_each_image_of_a_set_of_many_has_variants(session: Session, store: Any) -> None:
    album = models.Album()
    session.add(album)
    with store_context(store):
        album.photos.get_image_set(position=1).from_blob(picture(64, 48, 1))
        session.flush()
        assert album.photos.get_image_set(position=1).variant(width=32).locate().startswith("/images/album-photo/1/1/")
    session.rollback()


def test_a_wrong_format_is_refused(user: User) -> None:
    with pytest.raises(ValueError, match="got 'jxl'"):
        user.picture.responsive(alt="", formats=("jxl",))
    with pytest.raises(TypeError, match="a list of names"):
        user.picture.responsive(alt="", formats="avif")


def test_an_attribute_cannot_break_out(user: User) -> None:
    assert "<script>" not in user.picture.responsive(alt='"><script>', sizes='"><script>')
    with pytest.raises(ValueError, match="HTML attribute"):
        user.picture.responsive(alt="", **{"on<": "1"})


def test_a_store_in_memory_has_no_url_of_variants(user: User) -> None:
    with pytest.raises(ValueError, match="MemoryStore"):
        user.picture.variant(width=1).locate(MemoryStore())
