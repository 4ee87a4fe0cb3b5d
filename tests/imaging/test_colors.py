"""What the colours of a picture mean, with filters and callbacks as without."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from pixels.comparing import difference, frames_of
from pixels.making import curves_profile, matrix_profile, sample, saved
from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard
from sqlalchemy_imageattach.imaging.headers import colors

# (200, 120, 60) by a linear curve.
LINEAR = (229, 182, 133)


@pytest.fixture(params=["libvips", "pillow"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pillow":
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    return str(request.param)


def made(data: bytes, **options: Any) -> Image.Image:
    info = probe(io.BytesIO(data))
    return frames_of(resize(io.BytesIO(data), info, info.width // 2, info.height // 2, **options).file)[0]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("mode", "profile"),
    [("RGB", matrix_profile("p3")), ("RGB", matrix_profile(gamma=1.0, name="sRGB")), ("L", curves_profile(1.0))],
)
def test_a_filter_makes_no_other_colours(format: str, mode: str, profile: bytes, by: str) -> None:
    data = saved(sample(mode if format != "WEBP" else "RGB"), format, icc_profile=profile)
    assert difference(made(data, filter="triangle"), made(data)) < 3


@pytest.mark.parametrize("callback", ["preprocess", "postprocess"])
@pytest.mark.parametrize("profile", [matrix_profile("p3"), matrix_profile(gamma=1.0)])
def test_a_callback_gets_srgb(callback: str, profile: bytes) -> None:
    seen = []

    def see(image: Any) -> Any:
        seen.append(tuple(round(value) for value in image.getpoint(1, 1)))
        return image

    data = saved(Image.new("RGB", (8, 8), (200, 120, 60)), "PNG", icc_profile=profile)
    result = made(data, **{callback: see})
    assert seen[0] == result.getpixel((1, 1))[:3]  # type: ignore[index]
    assert seen[0] != (200, 120, 60)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name(format: str, by: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format in ("JPEG", "AVIF") else {}
    profile = matrix_profile(gamma=1.0, name="sRGB IEC61966-2.1")
    data = saved(Image.new("RGB", (16, 16), (200, 120, 60)), format, icc_profile=profile, **options)
    assert all(abs(one - other) <= 3 for one, other in zip(made(data).getpixel((4, 4)), LINEAR, strict=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("gamma", [None, 2.2])
def test_what_does_as_srgb_does_is_no_profile(gamma: float | None) -> None:
    profile = matrix_profile(gamma=gamma, name="Display P3")
    assert (colors.of_profile(profile, 3) is None) == (gamma is None)


def test_a_profile_for_other_channels_is_none() -> None:
    assert colors.of_profile(curves_profile(1.0), 3) is None
    assert colors.of_profile(matrix_profile("p3"), 4) is None
    assert colors.of_profile(matrix_profile("p3"), 1) is not None
    assert colors.of_profile(matrix_profile("p3")[:200], 3) is None
    assert colors.of_profile(b"", 3) is None


def test_numbers_for_colours_have_profiles_but_srgb() -> None:
    assert colors.of_cicp(1, 13) is None
    assert colors.of_cicp(2, 2) is None
    for numbers in ((12, 13), (9, 16), (9, 18), (1, 8)):
        profile = colors.of_cicp(*numbers)
        assert profile is not None
        assert colors.is_profile(profile, 3)


def test_gamma_and_chromaticities_without_a_meaning_are_none() -> None:
    assert colors.of_gamma(2.2) is None
    assert colors.of_gamma(1e9) is None
    assert colors.of_gamma(2.2, (0.0,) * 8) is None
    assert colors.of_gamma(1.0) is not None
