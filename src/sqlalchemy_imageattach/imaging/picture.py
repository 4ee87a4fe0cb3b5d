"""A picture whose header was read: what it is, and other sizes of it.

What must always be true:

- The header is read once, when the picture is opened, and checked against the limits of the policy before anything is
  decoded.  What a row or a caller says of the file may be old, or wrong, and is not believed.
- Bad bytes are an :exc:`~sqlalchemy_imageattach.exc.InvalidImageError`, whatever is wrong with them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, TypedDict

from ..exc import InvalidImageError
from ..instrumentation import measured
from .engines import choice
from .engines.cost import LARGE_FILE
from .engines.filters import DEFAULT_FILTER, check_filter, filter_name
from .engines.isolation.pool import AVAILABLE
from .engines.job import Job
from .formats import read_header, sniff
from .headers.cut_off import completed
from .headers.header import HELD_BYTES, MORE, Header
from .policy import ImageInfo, ImagePolicy, Resized
from .privacy import strip_metadata
from .source import opened
from .types import ALL_TYPES, VECTOR_TYPES, thumbnail_type

if TYPE_CHECKING:
    import pyvips

__all__ = ("Picture", "ResizeOptions", "check_request", "open_picture")

# The longest side that a type can hold, in pixels, where that is not far beyond every limit.
_MAX_SIDES = {"image/avif": 65_536, "image/gif": 65_535, "image/jpeg": 65_500, "image/webp": 16_383}

# How many pixels of a result each pixel of some types counts for: their encoders need more time or memory.
_TARGET_WEIGHTS = {"image/avif": 2.0, "image/gif": 2.0}

# An image is looked at that small, in pixels: what catches the eye does so from afar.
_LOOK = 96


class ResizeOptions(TypedDict, total=False):
    """What may be said of another size; :func:`~sqlalchemy_imageattach.imaging.resize` tells of each."""

    filter: str | int
    first_frame: bool
    preprocess: Callable[[pyvips.Image], pyvips.Image] | None
    postprocess: Callable[[pyvips.Image], pyvips.Image] | None
    window: tuple[int, int, int, int] | None
    canvas: tuple[int, int] | None
    background: str | None
    mimetype: str | None
    quality: int | None
    thorough: bool


@contextlib.contextmanager
def open_picture(file: IO[bytes], policy: ImagePolicy) -> Iterator[Picture]:
    """Read the header of an image, and lend its bytes.

    :param file: the image: readable, seekable and binary; its position is 0 afterwards
    :param policy: what is accepted
    :raises TypeError: if the file cannot be read and sought
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it is empty, not an image, damaged, truncated or not
        accepted, or what reads its type is not installed

    >>> with open_picture(photograph, ImagePolicy()) as picture:
    ...     sizes = [picture.resize(width, width * 3 // 4) for width in (160, 80)]
    >>> [each.width for each in sizes]
    [160, 80]
    """
    with opened(file, policy.check_bytes) as data:
        mimetype = sniff(data)
        policy.check_type(mimetype)
        end = completed(data, mimetype) if policy.truncated == "accept" else None
        data = data if end is None else end
        header = read_header(data, mimetype)
        if end is not None:
            header = dataclasses.replace(header, partial=True, composed=header.composed or mimetype == "image/gif")
        # Where there is no other process, it would have to be held here.
        more = MORE if header.isolated and not AVAILABLE else 1
        policy.check(header.info, header.weight * more)
        yield Picture(file, data, header, policy)


class Picture:
    """An open picture; it lasts as long as the ``with`` of :func:`open_picture`."""

    def __init__(self, file: IO[bytes], data: memoryview, header: Header, policy: ImagePolicy) -> None:
        self._file = file
        self._data = data
        self._header = header
        self._policy = policy
        #: What its header tells.
        self.info: ImageInfo = header.info

    def resize(
        self,
        width: int,
        height: int,
        *,
        filter: str | int = DEFAULT_FILTER,
        first_frame: bool = False,
        preprocess: Callable[[pyvips.Image], pyvips.Image] | None = None,
        postprocess: Callable[[pyvips.Image], pyvips.Image] | None = None,
        window: tuple[int, int, int, int] | None = None,
        canvas: tuple[int, int] | None = None,
        background: str | None = None,
        mimetype: str | None = None,
        quality: int | None = None,
        thorough: bool = False,
    ) -> Resized:
        """Make another size, as :func:`~sqlalchemy_imageattach.imaging.resize` says."""
        check_request(width, height, filter)
        header, policy = self._header, self._policy
        more = MORE if header.isolated or len(self._data) >= LARGE_FILE else 1
        job = Job(
            self._data,
            header,
            width,
            height,
            mimetype or thumbnail_type(header.mimetype),
            memory=min(int(policy.max_pixels * HELD_BYTES) * more, 2**62),
            filter=filter_name(filter),
            first_frame=first_frame,
            preprocess=preprocess,
            postprocess=postprocess,
            window=window,
            canvas=canvas,
            background=background,
            asked_quality=quality,
            is_thorough=thorough,
        )
        if window is not None:
            self._check_window(window)
        self._check_target(job)
        with measured("decode", header.mimetype, file_size=len(self._data)):
            made, made_width, made_height = choice.resize(job)
        if postprocess is None and (made_width, made_height) != (asked := canvas or (width, height)):
            made.close()
            raise InvalidImageError(
                f"expected a result of {asked[0]}x{asked[1]} pixels, got {made_width}x{made_height}; "
                f"the {header.mimetype} says other things of its size to different readers",
                reason="damaged",
            )
        return Resized(made, made_width, made_height, job.mimetype)

    def attention(self, window: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Find where most is to be seen, as :func:`~sqlalchemy_imageattach.imaging.attention` says."""
        scale = min(1.0, _LOOK / max(window[2:]))
        width, height = (max(1, round(side * scale)) for side in window[2:])
        with self.resize(width, height, window=window, mimetype="image/png", first_frame=True).file as small:
            columns, rows = choice.interest(small)
        return (
            window[0] + _best(columns, window[2], size[0]),
            window[1] + _best(rows, window[3], size[1]),
        )

    def is_plain(self) -> bool:
        """Tell whether it may be shown to anybody as it is: upright, in sRGB, and without metadata.

        :returns: false also for types whose metadata is not known
        """
        header = self._header
        if header.orientation != 1 or header.profile is not None or header.mimetype not in ALL_TYPES - VECTOR_TYPES:
            return False
        try:
            with strip_metadata(self._file, header.info) as stripped:
                return stripped.read() == self._data
        except InvalidImageError:
            return False

    def _check_window(self, window: tuple[int, int, int, int]) -> None:
        left, top, width, height = window
        info = self.info
        within = left >= 0 and top >= 0 and left + width <= info.width and top + height <= info.height
        if not (within and width >= 1 and height >= 1):
            raise ValueError(f"expected a window within {info.width}x{info.height} pixels, got {window!r}")

    def _check_target(self, job: Job) -> None:
        width, height = job.width, job.height
        if job.canvas is not None:
            width, height = max(width, job.canvas[0]), max(height, job.canvas[1])
        self._policy.check_target(width, height, job.frames, _TARGET_WEIGHTS.get(job.mimetype, 1.0))
        if self._header.mimetype in VECTOR_TYPES:
            # All of it is rendered.
            self._policy.check_target(*job.rendered[:2])
        if max(width, height) > _MAX_SIDES.get(job.mimetype, 2**31):
            raise InvalidImageError(
                f"expected at most {_MAX_SIDES[job.mimetype]} pixels a side, which is all that {job.mimetype} can "
                f"have, got {width}x{height}; ask for less",
                reason="target_too_large",
            )


def check_request(width: int, height: int, filter: str | int = DEFAULT_FILTER) -> None:
    """Check what a caller asks for, before a file is read.

    :param width: pixels
    :param height: pixels
    :param filter: the resampling filter
    :raises TypeError: if width or height is not an integer, or the filter neither a string nor an integer
    :raises ValueError: if width or height is below 1, or there is no such filter
    """
    for side in (width, height):
        if isinstance(side, bool) or not isinstance(side, int):
            raise TypeError(f"expected a whole number of pixels as width or height, got {side!r}")
        if side < 1:
            raise ValueError(f"expected a width or height of at least 1 pixel, got {side!r}")
    check_filter(filter)


def _best(values: list[int], length: int, part: int) -> int:
    """Where a part of a length begins that has most of the values; of several such, the one nearest to the middle."""
    if part >= length:
        return 0
    count = max(1, round(len(values) * part / length))
    places = len(values) - count
    sums = [sum(values[at : at + count]) for at in range(places + 1)]
    most = max(sums)
    at = min((at for at, value in enumerate(sums) if value == most), key=lambda at: abs(2 * at - places))
    return min(round(at * length / len(values)), length - part)
