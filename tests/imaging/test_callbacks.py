"""What ``preprocess`` and ``postprocess`` are called with, whichever engine decodes."""

from __future__ import annotations

from typing import IO, Any

import pictures
import pytest
import pyvips

from sqlalchemy_imageattach.imaging import Resized, probe, resize


def made(file: IO[bytes], width: int, height: int, **options: Any) -> Resized:
    return resize(file, probe(file), width, height, **options)


@pytest.mark.parametrize("mimetype", [*pictures.FORMATS, "image/svg+xml", "application/pdf"])
def test_callbacks_take_and_return_a_pyvips_image(mimetype: str) -> None:
    sizes = []

    def cut(image: pyvips.Image) -> pyvips.Image:
        sizes.append((image.width, image.height))
        return image.crop(0, 0, image.width // 2, image.height // 2)

    def turned(image: pyvips.Image) -> pyvips.Image:
        sizes.append((image.width, image.height))
        return image.rot90()

    file = {
        "image/svg+xml": pictures.svg('width="80" height="60"', '<path fill="red" d="M0 0h40v30H0z"/>'),
        "application/pdf": pictures.pdf(80, 60),
    }.get(mimetype) or pictures.picture(mimetype)
    result = made(file, 50, 20, preprocess=cut, postprocess=turned)
    assert sizes == [(80, 60), (50, 20)]
    assert (result.width, result.height) == (20, 50)
    assert pictures.near(pictures.pixel(result.file, (0.5, 0.5)), pictures.RED)


def test_an_animation_comes_to_callbacks_as_a_strip_of_frames() -> None:
    seen = []

    def look(image: pyvips.Image) -> pyvips.Image:
        seen.append((image.width, image.height, image.get_page_height()))
        return image

    for mimetype in ("image/gif", "image/webp", "image/png", "image/avif"):
        file = made(pictures.animation(mimetype, 4), 40, 30, preprocess=look, postprocess=look).file
        assert probe(file).frames == 4
        assert seen == [(80, 240, 60), (40, 120, 30)]
        seen.clear()


def test_what_a_callback_raises_or_returns_is_its_own_error() -> None:
    def fails(image: pyvips.Image) -> pyvips.Image:
        raise LookupError

    with pytest.raises(LookupError):
        made(pictures.picture("image/jpeg"), 40, 30, postprocess=fails)
    with pytest.raises(TypeError, match=r"return a pyvips\.Image"):
        made(pictures.picture("image/jpeg"), 40, 30, preprocess=lambda image: None)  # type: ignore[arg-type,return-value]


def test_alpha_that_a_callback_adds_is_white_in_a_jpeg() -> None:
    def fade(image: pyvips.Image) -> pyvips.Image:
        return image.bandjoin(0)

    file = made(pictures.picture("image/jpeg"), 40, 30, postprocess=fade).file
    assert pictures.near(pictures.pixel(file, (0.2, 0.2)), pictures.WHITE)
