"""Which size a thumbnail has, which one is found, and what is refused."""

from __future__ import annotations

import datetime
import fractions
import io
import math
import numbers

import PIL.Image
import pytest
import pyvips
from sqlalchemy.orm.exc import NoResultFound

from models import User, UserPicture, picture
from sqlalchemy_imageattach.exc import ImageNotFoundError, InvalidImageError

RED, GREEN = picture(color=255), picture(color=255 << 8)


@pytest.fixture
def user(session, user, context):
    """A user with a picture of 64 x 48 pixels."""
    user.picture.from_blob(RED)
    session.commit()
    return user


def decoded(image) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(image.make_blob()))


# Sizes


SIZES = [
    ((640, 480), {"width": 150}, (150, 113)),  # 112.5: halves up
    ((640, 480), {"height": 113}, (151, 113)),  # 150.67
    ((640, 480), {"ratio": 0.5}, (320, 240)),
    ((301, 301), {"ratio": 0.5}, (151, 151)),
    ((640, 480), {"ratio": 2}, (1280, 960)),
    ((64, 48), {"width": 100}, (100, 75)),
    ((4, 1000), {"height": 3}, (1, 3)),
    ((1000, 4), {"width": 10}, (10, 1)),
    ((64, 48), {"ratio": 1e-300}, (1, 1)),
    ((64, 48), {"ratio": fractions.Fraction(1, 3)}, (21, 16)),
    ((3, 3), {"ratio": 0.3}, (1, 1)),
    ((300, 100), {"width": 87}, (87, 29)),
]


@pytest.mark.parametrize(("original", "wanted", "size"), SIZES)
def test_a_side_that_is_not_asked_for_follows_from_the_shape_to_the_nearest_pixel(
    session, user, original, wanted, size
):
    user.picture.from_blob(picture(*original))
    thumbnail = user.picture.generate_thumbnail(**wanted)
    session.commit()
    assert thumbnail.size == decoded(thumbnail).size == size
    assert not thumbnail.original
    assert user.picture.generate_thumbnail(**wanted) is thumbnail
    assert user.picture.count() == 2


def test_neighbouring_sizes_are_made_each(user):
    user.picture.from_blob(picture(4000, 1000))
    made = [user.picture.generate_thumbnail(width=width).size for width in (150, 151, 149)]
    assert made == [(150, 38), (151, 38), (149, 37)]


@numbers.Integral.register
class Int64:
    """An integer of another library, which is no ``int``."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __int__(self) -> int:
        return self.value

    def __lt__(self, other: int) -> bool:
        return self.value < other


@numbers.Real.register
class Float32:
    """A number of another library, which is no ``float``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


def test_numbers_of_other_libraries_are_numbers(session, user):
    thumbnail = user.picture.generate_thumbnail(width=Int64(8))
    session.commit()
    assert type(thumbnail.width) is int
    assert user.picture.find_thumbnail(width=Int64(8)) is thumbnail
    assert user.picture.generate_thumbnail(ratio=Float32(0.125)) is thumbnail


REFUSED = [
    ({}, TypeError, "one of ratio, width and height, not none"),
    ({"width": 8, "height": 6}, TypeError, "one of ratio, width and height, not width and height"),
    ({"ratio": 0.5, "width": 32}, TypeError, "not ratio and width"),
    ({"ratio": 0.5, "width": 32, "height": 24}, TypeError, "one of"),
    ({"width": True}, TypeError, "integer as width, not True"),
    ({"height": False}, TypeError, "integer as height"),
    ({"ratio": True}, TypeError, "real number as ratio"),
    ({"width": 8.0}, TypeError, "integer as width, not 8.0"),
    ({"width": "8"}, TypeError, "integer as width, not '8'"),
    ({"ratio": "0.5"}, TypeError, "real number as ratio"),
    ({"ratio": 1j}, TypeError, "real number as ratio"),
    ({"width": 0}, ValueError, "width of at least 1 pixel, not 0"),
    ({"height": -1}, ValueError, "height of at least 1 pixel, not -1"),
    ({"ratio": 0}, ValueError, "positive, finite ratio, not 0"),
    ({"ratio": -0.5}, ValueError, "positive, finite ratio"),
    ({"ratio": math.nan}, ValueError, "positive, finite ratio, not nan"),
    ({"ratio": math.inf}, ValueError, "positive, finite ratio, not inf"),
    ({"ratio": 10**400}, ValueError, "positive, finite ratio"),
    ({"width": 8, "filter": "sharpest"}, ValueError, "sharpest"),
    ({"width": 8, "filter": 1000}, ValueError, "1000"),
    ({"width": 8, "filter": None}, TypeError, "filter"),
    ({"ratio": 1e6}, InvalidImageError, "asked for"),
    ({"ratio": 1e150}, InvalidImageError, "asked for"),
    ({"width": 10**30}, InvalidImageError, "asked for"),
]


@pytest.mark.parametrize(("wanted", "error", "message"), REFUSED)
def test_a_size_or_a_filter_that_cannot_be_is_refused(session, user, wanted, error, message):
    with pytest.raises(error, match=message):
        user.picture.generate_thumbnail(**wanted)
    session.commit()
    assert user.picture.count() == 1


def test_a_size_is_refused_even_where_there_is_no_picture():
    for wanted, error, _ in REFUSED[:17]:
        with pytest.raises(error):
            User().picture.generate_thumbnail(**wanted)


@pytest.mark.parametrize("name", ["undefined", "lanczos", "mitchell", "point", 0, 22])
def test_a_filter_is_known_by_its_name_or_its_index(user, name):
    assert user.picture.generate_thumbnail(width=8, filter=name).size == (8, 6)


def test_a_thumbnail_needs_an_original(session, context):
    session.add(newcomer := User())
    with pytest.raises(OSError, match="no original image yet"):
        newcomer.picture.generate_thumbnail(width=8)


# What is found


def test_a_thumbnail_is_found_by_its_width_its_height_or_both(session, user):
    thumbnail = user.picture.generate_thumbnail(width=8)
    session.commit()
    assert user.picture.find_thumbnail(width=8) is thumbnail
    assert user.picture.find_thumbnail(height=6) is thumbnail
    assert user.picture.find_thumbnail(8, 6) is thumbnail
    for missing in ({"width": 9}, {"height": 8}, {"width": 8, "height": 7}):
        with pytest.raises(NoResultFound, match=r"make one with generate_thumbnail\(\)"):
            user.picture.find_thumbnail(**missing)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [({}, TypeError), ({"width": "8"}, TypeError), ({"width": True}, TypeError), ({"height": 0}, ValueError)],
)
def test_a_size_that_cannot_be_is_not_looked_for(user, wanted, error):
    with pytest.raises(error):
        user.picture.find_thumbnail(**wanted)


def test_the_original_is_found_by_its_size_and_never_made_again(user):
    original = user.picture.original
    assert user.picture.find_thumbnail(width=64) is original
    assert user.picture.find_thumbnail(height=48) is original
    for wanted in ({"width": 64}, {"height": 48}, {"ratio": 1}, {"ratio": 1.001}):
        assert user.picture.generate_thumbnail(**wanted) is original
    assert user.picture.count() == 1


def test_of_several_thumbnails_the_nearest_in_shape_is_found(session, user):
    user.picture.from_blob(picture(50, 5050))
    for height in (500, 520, 505):
        user.picture.from_raw_file(io.BytesIO(RED), size=(5, height), mimetype="image/png", original=False)
    session.commit()
    assert user.picture.find_thumbnail(width=5).size == (5, 505)
    user.picture.remove(user.picture.find_thumbnail(5, 505))
    assert user.picture.find_thumbnail(width=5).size == (5, 500)
    assert user.picture.find_thumbnail(5, 520).size == (5, 520)


def test_find_or_create_as_in_the_guide(session, user):
    def find_or_create(imageset, width=None, height=None):
        assert width is not None or height is not None
        try:
            image = imageset.find_thumbnail(width=width, height=height)
        except NoResultFound:
            image = imageset.generate_thumbnail(width=width, height=height)
        return image

    thumbnail = find_or_create(user.picture, width=8)
    assert find_or_create(user.picture, width=8) is thumbnail
    session.commit()
    assert find_or_create(user.picture, height=6) is thumbnail


# What is made


def test_a_thumbnail_keeps_the_type_of_a_bitmap_and_makes_a_png_of_a_drawing(user):
    for format in ("JPEG", "PNG", "GIF", "WEBP"):
        user.picture.from_blob(picture(format=format))
        thumbnail = user.picture.generate_thumbnail(width=8)
        assert thumbnail.mimetype == user.picture.original.mimetype == f"image/{format.lower()}"
        assert decoded(thumbnail).format == format
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="5" height="5"/></svg>'
    user.picture.from_blob(drawing)
    assert user.picture.original.mimetype == "image/svg+xml"
    assert user.picture.generate_thumbnail(width=40).mimetype == "image/png"
    assert user.picture.generate_thumbnail(ratio=1) is user.picture.original


@pytest.fixture
def animation() -> bytes:
    """Three frames of 64 x 48."""
    frames = [PIL.Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return file.getvalue()


@pytest.mark.parametrize(("first_frame", "frames"), [(False, 3), (True, 1)])
def test_an_animation_stays_one_unless_a_still_is_wanted(user, animation, first_frame, frames):
    user.picture.from_blob(animation)
    assert user.picture.original.size == (64, 48)
    thumbnail = user.picture.generate_thumbnail(width=8, first_frame=first_frame)
    assert thumbnail.size == (8, 6)
    assert getattr(decoded(thumbnail), "n_frames", 1) == frames


def test_the_callers_functions_see_the_image_before_and_after_it_is_resized(session, user):
    seen = []

    def before(image: pyvips.Image) -> pyvips.Image:
        seen.append((image.width, image.height))
        return image.crop(0, 0, 48, 48)

    def after(image: pyvips.Image) -> pyvips.Image:
        seen.append((image.width, image.height))
        return image.crop(0, 0, 10, 5)

    thumbnail = user.picture.generate_thumbnail(width=12, _preprocess_image=before, _postprocess_image=after)
    session.commit()
    assert thumbnail.size == decoded(thumbnail).size == (10, 5)
    assert seen == [(64, 48), (12, 9)]


def test_what_the_callers_function_made_before_is_found_and_not_stored_again(session, user):
    def square(image: pyvips.Image) -> pyvips.Image:
        return image.crop(0, 0, 6, 6)

    thumbnail = user.picture.generate_thumbnail(width=8, _postprocess_image=square)
    session.commit()
    assert user.picture.generate_thumbnail(width=8, _postprocess_image=square) is thumbnail
    assert user.picture.count() == 2


def test_an_error_of_the_callers_function_is_theirs_and_nothing_is_attached(session, user):
    with pytest.raises(ZeroDivisionError):
        user.picture.generate_thumbnail(width=8, _postprocess_image=lambda image: 1 // 0)
    session.commit()
    assert user.picture.count() == 1


# Originals that the original library stored


def stored_formerly(session, store, user, images: list[tuple[bytes, tuple[int, int]]]) -> None:
    """Gives a user images as the original library left them: rows without a revision, the first one the original."""
    for image in user.picture:
        user.picture.remove(image)
    session.commit()
    created_at = datetime.datetime(2013, 8, 26, tzinfo=datetime.UTC)
    for index, (blob, (width, height)) in enumerate(images):
        values = {"user_id": user.id, "width": width, "height": height, "mimetype": "image/png", "caption": ""}
        values |= {"original": index == 0, "created_at": created_at, "revision": None}
        session.execute(UserPicture.__table__.insert().values(values))
        store.put_file(io.BytesIO(blob), "user-picture", user.id, width, height, "image/png", index > 0)
    session.commit()


@pytest.mark.parametrize(
    ("original", "wanted", "former"),
    [
        ((640, 480), {"width": 150}, (150, 112)),
        ((640, 480), {"height": 113}, (150, 113)),
        ((641, 481), {"ratio": 0.5}, (320, 240)),
        ((301, 300), {"ratio": 0.5}, (150, 150)),
        ((300, 100), {"width": 87}, (87, 28)),  # 100 * (87 / 300) is 28.999999999999996
    ],
)
def test_a_thumbnail_that_was_rounded_down_formerly_is_found(session, user, store, original, wanted, former):
    stored_formerly(session, store, user, [(picture(*original), original), (picture(*former), former)])
    found = user.picture.generate_thumbnail(**wanted)
    assert (found.size, found.revision) == (former, None)
    assert found.make_blob() == picture(*former)
    assert user.picture.count() == 2


@pytest.mark.parametrize("former", [(149, 113), (151, 113), (150, 111), (150, 115)])
def test_a_thumbnail_of_a_neighbouring_size_is_not_taken_for_the_one_that_was_asked_for(session, user, store, former):
    stored_formerly(session, store, user, [(picture(640, 480), (640, 480)), (picture(*former), former)])
    made = user.picture.generate_thumbnail(width=150)
    assert made.size == (150, 113)
    assert made.revision is not None


def turned() -> bytes:
    """A picture that a camera held upright: 640 x 480 in the file, 480 x 640 on the screen."""
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.new("RGB", (640, 480)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_a_picture_of_a_camera_has_the_size_that_a_browser_shows(session, user):
    user.picture.from_blob(turned())
    session.commit()
    assert user.picture.original.size == (480, 640)
    assert user.picture.make_blob() == turned()
    thumbnail = user.picture.generate_thumbnail(width=150)
    assert thumbnail.size == decoded(thumbnail).size == (150, 200)
    assert not decoded(thumbnail).getexif()


def test_what_was_stored_as_the_camera_held_it_is_turned_upright_and_made_once(session, user, store, monkeypatch):
    stored_formerly(session, store, user, [(turned(), (640, 480))])
    thumbnail = user.picture.generate_thumbnail(width=150)
    session.commit()
    assert thumbnail.size == decoded(thumbnail).size == (150, 200)
    store.delete(user.picture.original)  # so that it cannot be made again
    assert user.picture.generate_thumbnail(width=150) is thumbnail
    with pytest.raises(ImageNotFoundError):
        user.picture.generate_thumbnail(width=160)


def test_a_former_original_is_read_and_located_by_its_plain_name_and_replaced(session, user, store):
    stored_formerly(session, store, user, [(GREEN, (64, 48)), (picture(8, 6), (8, 6))])
    assert user.picture.make_blob() == GREEN
    url = f"https://example.com/user-picture/{user.id}/0/{user.id}.64x48.png?_ts=20130826000000000000"
    assert user.picture.locate() == url
    made = user.picture.generate_thumbnail(width=16)
    session.commit()
    assert made.revision is not None
    assert user.picture.count() == 3
    user.picture.from_blob(RED)
    session.flush()
    assert len(list(store.list_files())) == 4
    session.rollback()
    assert user.picture.make_blob() == GREEN
    assert len(list(store.list_files())) == 3
    user.picture.from_blob(RED)
    session.commit()
    assert user.picture.make_blob() == RED
    assert [file.key.revision for file in store.list_files()] == [user.picture.original.revision]
    session.delete(user)
    session.commit()
    assert list(store.list_files()) == []
