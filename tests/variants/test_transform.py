from __future__ import annotations

from typing import Any

import pytest

from sqlalchemy_imageattach.variants import Source, Transform


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({}, TypeError, "at least one of width"),
        ({"fit": "cover", "upscale": True}, TypeError, "at least one of width"),
        ({"width": 0}, ValueError, "from 1 to 65535"),
        ({"width": True}, TypeError, "an integer"),
        ({"width": "320"}, TypeError, "an integer"),
        ({"width": 6000, "height": 6000}, ValueError, "at most 25000000 pixels"),
        ({"width": 10, "fit": "crop"}, ValueError, "'inside', 'cover', 'contain' or 'fill'"),
        ({"ratio": "16:9", "fit": "cover"}, ValueError, "such as '16/9'"),
        ({"ratio": "0/9", "fit": "cover"}, ValueError, "positive integers"),
        ({"ratio": 1.5, "fit": "cover"}, TypeError, "a text such as"),
        ({"ratio": "16/9"}, ValueError, "keeps the shape"),
        ({"ratio": "1/1", "width": 1, "height": 1, "fit": "cover"}, TypeError, "all three"),
        ({"width": 1, "gravity": "top"}, ValueError, "'north'"),
        ({"width": 1, "gravity": (0.5, 1.1)}, ValueError, r"from \(0, 0\) to \(1, 1\)"),
        ({"width": 1, "gravity": (0.5, float("nan"))}, ValueError, "from"),
        ({"width": 1, "gravity": 5}, TypeError, "a name or a point"),
        ({"crop": (0, 0, 0, 10)}, ValueError, "at least 1 pixel"),
        ({"crop": (0, 0, 10)}, TypeError, "left, top, width and height"),
        ({"crop": (0, 0, 1.5, 10)}, TypeError, "four integers"),
        ({"format": "jpg"}, ValueError, "'jpeg', 'png', 'webp' or 'avif'"),
        ({"quality": "best"}, ValueError, "'low', 'medium', 'high'"),
        ({"quality": 101}, ValueError, "from 1 to 100"),
        ({"quality": 80.0}, TypeError, "a name or an integer"),
        ({"background": "white"}, ValueError, "such as '#ffffff'"),
        ({"width": 1, "first_frame": 1}, TypeError, "True or False"),
    ],
)
def test_a_wrong_value_is_refused_when_it_is_made(values: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Transform(**values)


def test_equal_transforms_are_equal() -> None:
    assert Transform(width=1, gravity=(0, 1), background="#FFF") == Transform(
        width=1, gravity=(0.0, 1.0), background="#ffffff"
    )
    assert len({Transform(width=1), Transform(width=1)}) == 1


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"media": ""}, ValueError),
        ({"media": "(max-width: 600px)"}, TypeError),
        ({"media": "print", "ratio": "1:1"}, ValueError),
        ({"media": 600, "ratio": "1/1"}, TypeError),
    ],
)
def test_a_wrong_source_is_refused(values: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Source(**values)
