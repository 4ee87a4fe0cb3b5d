from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlalchemy_imageattach.entity.thumbnails import WantedSize
from sqlalchemy_imageattach.variants import Transform
from sqlalchemy_imageattach.variants.geometry import Fitted, fitted, ladder

sides = st.integers(1, 20_000)
sizes = st.tuples(sides, sides)
gravities = st.none() | st.sampled_from(["center", "north", "southwest"]) | st.tuples(*2 * [st.floats(0, 1)])


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    fit = draw(st.sampled_from(["inside", "cover", "contain", "fill"]))
    width, height = draw(st.none() | st.integers(1, 5000)), draw(st.none() | st.integers(1, 5000))
    ratio = None
    if fit != "inside" and (width is None or height is None):
        ratio = draw(st.sampled_from([None, "16/9", "1/1", "2/3"]))
    return Transform(
        width=width,
        height=height,
        ratio=ratio,
        fit=fit,
        gravity=draw(gravities),
        upscale=draw(st.booleans()),
        quality=80,
    )


def fit(original: tuple[int, int], focal: Any = None, **values: Any) -> Fitted:
    return fitted(Transform(**values), original, focal, False)


@pytest.mark.parametrize(
    ("original", "values", "size", "window"),
    [
        ((640, 480), {"width": 320}, (320, 240), None),
        ((640, 480), {"width": 320, "height": 320}, (320, 240), None),
        ((640, 480), {"height": 100}, (133, 100), None),
        ((640, 480), {"width": 1000}, (640, 480), None),
        ((640, 480), {"width": 1280, "upscale": True}, (1280, 960), None),
        ((640, 480), {"format": "webp"}, (640, 480), None),
        ((640, 480), {"width": 200, "height": 200, "fit": "cover"}, (200, 200), (80, 0, 480, 480)),
        ((1000, 800), {"width": 2000, "height": 2000, "fit": "cover"}, (800, 800), (100, 0, 800, 800)),
        (
            (1000, 800),
            {"width": 2000, "height": 2000, "fit": "cover", "upscale": True},
            (2000, 2000),
            (100, 0, 800, 800),
        ),
        ((1000, 800), {"ratio": "1/1", "fit": "cover"}, (800, 800), (100, 0, 800, 800)),
        ((1000, 800), {"ratio": "1/1", "width": 50, "fit": "cover"}, (50, 50), (100, 0, 800, 800)),
        ((1000, 800), {"width": 200, "height": 200, "fit": "contain"}, (200, 200), None),
        ((1000, 800), {"width": 2000, "height": 2000, "fit": "contain"}, (1000, 1000), None),
        ((1000, 800), {"width": 300, "height": 900, "fit": "fill"}, (300, 800), None),
        ((1000, 800), {"crop": (10, 20, 100, 50)}, (100, 50), (10, 20, 100, 50)),
        ((1000, 800), {"crop": (0, 0, 1000, 800)}, (1000, 800), None),
        (
            (1000, 800),
            {"crop": (10, 20, 100, 50), "width": 50, "height": 50, "fit": "cover"},
            (50, 50),
            (35, 20, 50, 50),
        ),
        ((10000, 1), {"width": 5}, (5, 1), None),
    ],
)
def test_what_a_transform_comes_to(original: Any, values: Any, size: Any, window: Any) -> None:
    made = fit(original, **values)
    assert ((made.width, made.height), made.window) == (size, window)


@pytest.mark.parametrize(
    ("gravity", "left"),
    [
        ("center", 250), ("west", 0), ("northeast", 500), ((0.0, 0.5), 0), ((0.5, 0.5), 250), ((0.3, 0.0), 50),
        ((1.0, 1.0), 500),
    ],
)  # fmt: skip
def test_gravity_is_what_a_crop_keeps(gravity: Any, left: int) -> None:
    assert fit((1000, 500), ratio="1/1", fit="cover", gravity=gravity).window == (left, 0, 500, 500)


def test_the_point_of_the_row_is_kept_but_for_another_gravity() -> None:
    square = {"ratio": "1/1", "fit": "cover"}
    assert fit((1000, 500), (0.3, 0.0), **square).window == (50, 0, 500, 500)
    assert fit((1000, 500), (0.3, 0.0), gravity="center", **square).window == (250, 0, 500, 500)


def test_attention_is_left_to_the_maker() -> None:
    made = fit((1000, 500), width=100, height=100, fit="cover", gravity="attention")
    assert (made.attention, made.window) == (True, None)
    assert not fit((1000, 500), width=100, height=50, fit="cover", gravity="attention").attention


def test_a_crop_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="within the original, of 100x100"):
        fit((100, 100), crop=(50, 50, 60, 10))


@given(transforms(), sizes, st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_window_lies_within_and_nothing_is_enlarged(transform: Transform, original: Any, focal: Any) -> None:
    made = fitted(transform, original, focal, False)
    left, top, width, height = made.window or (0, 0, *original)
    assert 0 <= left < left + width <= original[0]
    assert 0 <= top < top + height <= original[1]
    assert made.width >= 1
    assert made.height >= 1
    if not transform.upscale:
        if made.padded:
            assert made.width <= width or made.height <= height
        else:
            assert made.width <= width
            assert made.height <= height
    if transform.fit == "cover":
        # The same shape, to the pixel.
        assert abs(made.width * height - made.height * width) <= max(made.width, made.height, width, height)


@given(st.integers(1, 5000), sizes)
def test_a_width_alone_makes_the_size_of_a_thumbnail(width: int, original: Any) -> None:
    made = fitted(Transform(width=width, upscale=True), original, None, False)
    assert (made.width, made.height) == WantedSize(width=width).of(original)


@given(transforms(), sizes, st.lists(st.integers(1, 20_000), min_size=1))
def test_a_ladder_ascends_without_a_step_twice_up_to_the_original(transform: Any, original: Any, widths: Any) -> None:
    steps = ladder(transform, original, None, tuple(widths))
    made = [step.width for step in steps]
    assert made == sorted(set(made))
    assert set(made) <= {*widths, made[-1]}
    window = steps[0].window
    assert {step.window for step in steps} == {window}
    if transform.fit != "contain":
        assert made[-1] <= (window[2] if window else original[0])
