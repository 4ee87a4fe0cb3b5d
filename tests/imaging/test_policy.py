from __future__ import annotations

import dataclasses
import io
import pickle

import pictures
import pytest

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import SUFFIXES, ImageInfo, ImagePolicy, probe
from sqlalchemy_imageattach.imaging.types import ALL_TYPES, ANIMATED_TYPES, VECTOR_TYPES, thumbnail_type

INFO = ImageInfo(640, 480, "image/jpeg")


@pytest.mark.parametrize(
    ("policy", "info", "reason"),
    [
        (ImagePolicy(max_pixels=640 * 480 - 1), INFO, "too_many_pixels"),
        (ImagePolicy(max_frame_pixels=640 * 480 * 2), dataclasses.replace(INFO, frames=3), "too_many_frames"),
        (ImagePolicy(types=frozenset({"image/png"})), INFO, "type_not_allowed"),
        (ImagePolicy(min_side=481), INFO, "side_too_short"),
        (ImagePolicy(max_side=639), INFO, "side_too_long"),
        (ImagePolicy(min_aspect_ratio=1.34), INFO, "aspect_ratio"),
        (ImagePolicy(max_aspect_ratio=1.33), INFO, "aspect_ratio"),
    ],
)
def test_each_wish_has_its_reason(policy: ImagePolicy, info: ImageInfo, reason: str) -> None:
    with pytest.raises(InvalidImageError) as error:
        policy.check(info)
    assert error.value.reason == reason


def test_what_just_fits_is_accepted() -> None:
    ImagePolicy(
        max_pixels=640 * 480,
        max_frame_pixels=640 * 480 * 3,
        types=frozenset({"image/jpeg"}),
        min_side=480,
        max_side=640,
        min_aspect_ratio=4 / 3,
        max_aspect_ratio=4 / 3,
    ).check(dataclasses.replace(INFO, frames=3))


def test_bytes_are_limited_before_the_type_and_the_type_before_the_rest() -> None:
    policy = ImagePolicy(max_bytes=9, types=frozenset({"image/png"}), max_pixels=1)
    for data, reason in ((b"GIF89a", "type_not_allowed"), (b"GIF89a and more", "too_many_bytes")):
        with pytest.raises(InvalidImageError) as error:
            probe(io.BytesIO(data), policy)
        assert error.value.reason == reason


def test_too_many_bytes_are_not_even_read() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0, /) -> int:
            return 0

        def tell(self) -> int:
            return 10**12

        def read(self, size: int = -1, /) -> bytes:
            raise AssertionError

    with pytest.raises(InvalidImageError) as error:
        probe(Endless())  # type: ignore[arg-type]
    assert error.value.reason == "too_many_bytes"


def test_sides_and_shape_are_those_of_the_upright_image() -> None:
    sideways = pictures.picture("image/jpeg", 80, 60, exif=b"Exif\0\0" + pictures.exif(6))
    probe(sideways, ImagePolicy(max_aspect_ratio=1))
    with pytest.raises(InvalidImageError):
        probe(sideways, ImagePolicy(min_aspect_ratio=1))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"max_bytes": 0}, ValueError),
        ({"max_pixels": None}, TypeError),
        ({"max_pixels": True}, TypeError),
        ({"max_target_pixels": 1.5}, TypeError),
        ({"min_side": "9"}, TypeError),
        ({"min_side": 9, "max_side": 8}, ValueError),
        ({"min_aspect_ratio": float("nan")}, ValueError),
        ({"max_aspect_ratio": 0}, ValueError),
        ({"min_aspect_ratio": 2, "max_aspect_ratio": 1}, ValueError),
        ({"types": "image/png"}, TypeError),
        ({"types": frozenset({"image/x-other"})}, ValueError),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        ImagePolicy(**wrong)  # type: ignore[arg-type]


def test_types_may_be_any_set() -> None:
    assert ImagePolicy(types={"image/png"}).types == frozenset({"image/png"})  # type: ignore[arg-type]


def test_policies_and_infos_are_values() -> None:
    for value in (ImagePolicy(max_side=9), INFO):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(value) == hash(dataclasses.replace(value))
    with pytest.raises(dataclasses.FrozenInstanceError):
        INFO.width = 9  # type: ignore[misc]


def test_every_type_that_is_read_has_a_suffix_and_a_type_of_thumbnails() -> None:
    assert SUFFIXES.keys() >= ALL_TYPES
    assert {thumbnail_type(mimetype) for mimetype in ALL_TYPES} <= ALL_TYPES - VECTOR_TYPES - {"image/heic"}
    assert ANIMATED_TYPES <= ALL_TYPES


def test_suffixes_are_what_stored_files_are_called() -> None:
    assert SUFFIXES["image/jpeg"] == ".jpe"
    assert all(suffix.startswith(".") and suffix[1:].isalnum() and suffix.islower() for suffix in SUFFIXES.values())
    with pytest.raises(TypeError):
        SUFFIXES["image/jpeg"] = ".jpg"  # type: ignore[index]


def test_a_policy_tells_a_file_chooser_what_it_accepts() -> None:
    assert ImagePolicy(types=frozenset({"image/webp", "image/avif"})).accept == "image/avif,image/webp"
    assert set(ImagePolicy().accept.split(",")) == ALL_TYPES
