"""Reading the header of an image, and making other sizes of it.

::

    __init__    the face: probe and resize
    policy      what is accepted
    types       the types that are read
    source      the bytes of a file, mapped
    formats     telling the type, and reading the header
    headers/    the readers of headers; no engine among them
    pdf         reading PDF, which takes an engine
    engines/    decoding, and making another size
    privacy     removing metadata from originals

:func:`probe` tells what an image is by its header alone, in microseconds, and whether it is whole and accepted.
:func:`resize` decodes it, and makes another size.  Neither knows of databases or stores.  What must always be true:

- importing this package loads neither libvips nor Pillow; the first :func:`resize` does;
- nothing is decoded before its header was checked against the limits of the policy;
- bad bytes are an :exc:`~sqlalchemy_imageattach.exc.InvalidImageError`, whatever is wrong with them;
- the caller's file is left open, unchanged, and at its position 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from ..exc import InvalidImageError
from ..instrumentation import measured
from ..naming import SUFFIXES
from .engines import choice
from .engines.cost import LARGE_FILE
from .engines.filters import DEFAULT_FILTER, FILTERS, check_filter, filter_name
from .engines.isolation.pool import AVAILABLE, isolate
from .engines.job import Job
from .formats import read_header, sniff
from .headers.header import HELD_BYTES, MORE, Header
from .policy import ImageInfo, ImagePolicy, Resized
from .privacy import strip_metadata
from .source import opened
from .types import ALL_TYPES, VECTOR_TYPES, thumbnail_type

if TYPE_CHECKING:
    import pyvips

__all__ = (
    "FILTERS",
    "SUFFIXES",
    "ImageInfo",
    "ImagePolicy",
    "Resized",
    "attention",
    "check_filter",
    "is_plain",
    "isolate",
    "probe",
    "read_header",
    "resize",
)

_DEFAULT_POLICY = ImagePolicy()

# The longest side that a type can hold, in pixels, where that is not far beyond every limit.
_MAX_SIDES = {"image/avif": 65_536, "image/gif": 65_535, "image/jpeg": 65_500, "image/webp": 16_383}


# How many pixels of a result each pixel of some types counts for: their encoders need more time or memory.
_TARGET_WEIGHTS = {"image/avif": 2.0, "image/gif": 2.0}


def probe(file: IO[bytes], policy: ImagePolicy = _DEFAULT_POLICY) -> ImageInfo:
    """Tell what an image is, by its header alone.

    :param file: the image: readable, seekable and binary; its position is 0 afterwards
    :param policy: what is accepted
    :returns: width and height as a browser shows them, the type, and the number of frames
    :raises TypeError: if the file cannot be read and sought
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it is empty, not an image, damaged, truncated or not
        accepted, or what reads its type is not installed

    >>> import io
    >>> probe(io.BytesIO(b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>'))
    ImageInfo(width=20, height=10, mimetype='image/svg+xml', frames=1)
    """
    with opened(file, policy.check_bytes) as data:
        return _checked_header(data, policy).info


def _checked_header(data: memoryview, policy: ImagePolicy) -> Header:
    mimetype = sniff(data)
    policy.check_type(mimetype)
    header = read_header(data, mimetype)
    # Where there is no other process, it would have to be held here.
    more = MORE if header.isolated and not AVAILABLE else 1
    policy.check(header.info, header.weight * more)
    return header


def is_plain(file: IO[bytes], policy: ImagePolicy = _DEFAULT_POLICY) -> bool:
    """Tell whether an image may be shown to anybody as it is: upright, in sRGB, and without metadata.

    :param file: the image, as for :func:`probe`
    :param policy: what is accepted
    :returns: false also for types whose metadata is not known
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the image is not accepted

    >>> import io
    >>> is_plain(io.BytesIO(b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>'))
    False
    """
    with opened(file, policy.check_bytes) as data:
        header = _checked_header(data, policy)
        if header.orientation != 1 or header.profile is not None or header.mimetype not in ALL_TYPES - VECTOR_TYPES:
            return False
        try:
            with strip_metadata(file, header.info) as stripped:
                return stripped.read() == data
        except InvalidImageError:
            return False


def attention(
    file: IO[bytes],
    info: ImageInfo,
    window: tuple[int, int, int, int],
    size: tuple[int, int],
    policy: ImagePolicy = _DEFAULT_POLICY,
) -> tuple[int, int]:
    """Find where in an image most is to be seen: edges and colours.

    :param file: the image, as for :func:`probe`
    :param info: what :func:`probe` says of it
    :param window: the part to look at, as it is displayed: left, top, width and height in pixels
    :param size: width and height in pixels of the part to find
    :param policy: what is accepted
    :returns: left and top of that part, in pixels
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the image is not accepted or cannot be decoded

    >>> import io
    >>> file = io.BytesIO(b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">'
    ...     b'<circle cx="170" cy="50" r="20" fill="red"/></svg>')
    >>> attention(file, probe(file), (0, 0, 200, 100), (100, 100))
    (92, 0)
    """
    scale = min(1.0, _LOOK / max(window[2:]))
    width, height = (max(1, round(side * scale)) for side in window[2:])
    small = resize(file, info, width, height, window=window, mimetype="image/png", first_frame=True, policy=policy).file
    with small:
        columns, rows = choice.interest(small)
    return (
        window[0] + _best(columns, window[2], size[0]),
        window[1] + _best(rows, window[3], size[1]),
    )


# An image is looked at that small, in pixels: what catches the eye does so from afar.
_LOOK = 96


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


def _check_window(window: tuple[int, int, int, int], header: Header) -> None:
    left, top, width, height = window
    info = header.info
    within = left >= 0 and top >= 0 and left + width <= info.width and top + height <= info.height
    if not (within and width >= 1 and height >= 1):
        raise ValueError(f"expected a window within {info.width}x{info.height} pixels, got {window!r}")


def resize(
    file: IO[bytes],
    info: ImageInfo,
    width: int,
    height: int,
    *,
    filter: str | int = DEFAULT_FILTER,
    first_frame: bool = False,
    preprocess: Callable[[pyvips.Image], pyvips.Image] | None = None,
    postprocess: Callable[[pyvips.Image], pyvips.Image] | None = None,
    policy: ImagePolicy = _DEFAULT_POLICY,
    window: tuple[int, int, int, int] | None = None,
    canvas: tuple[int, int] | None = None,
    background: str | None = None,
    mimetype: str | None = None,
    quality: int | None = None,
) -> Resized:
    """Make another size of an image: upright, in sRGB, and without metadata.

    The type stays, but a vector image becomes PNG, and HEIC JPEG.  An animation stays one.

    :param file: the image, as for :func:`probe`
    :param info: what :func:`probe` says of it
    :param width: of the result, in pixels
    :param height: of the result, in pixels
    :param filter: the resampling filter, one of :data:`FILTERS`, or its index in ``wand.image.FILTER_TYPES``
    :param first_frame: whether to make just the first frame of an animation
    :param preprocess: is called with the decoded image, upright, before it is resized, and returns the one to resize;
        an animation is a strip of its frames, one below the other, each as high as ``image.get_page_height()`` says
    :param postprocess: is called with the resized image before it is encoded, and returns the one to encode
    :param policy: what is accepted
    :param window: the part that is resized, as it is displayed: left, top, width and height in pixels; by default all
    :param canvas: the width and height in pixels that the result is padded to, at least its own
    :param background: the colour of what is transparent and of what is padded, as six hexadecimal digits; by default
        that stays transparent, or is white where the type has no transparency
    :param mimetype: the type of the result; by default as said above
    :param quality: from 1 to 100, for types that have one; by default that of thumbnails
    :returns: the file, to be closed by the caller, and its true size
    :raises TypeError: if width or height is not an integer, or the filter neither a string nor an integer
    :raises ValueError: if width or height is below 1, or there is no such filter
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the image is not accepted, cannot be decoded, or its
        header lies

    >>> import io
    >>> file = io.BytesIO(b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>')
    >>> made = resize(file, probe(file), 40, 20)
    >>> made.width, made.height, made.mimetype
    (40, 20, 'image/png')
    """
    for side in (width, height):
        if isinstance(side, bool) or not isinstance(side, int):
            raise TypeError(f"a width or height is an integer, not {side!r}")
        if side < 1:
            raise ValueError(f"a width or height is at least 1 pixel, not {side!r}")
    name = filter_name(filter)
    with opened(file, policy.check_bytes) as data:
        # What is known of the file may be old, or wrong: it is not believed.
        header = _checked_header(data, policy)
        more = MORE if header.isolated or len(data) >= LARGE_FILE else 1
        memory = min(int(policy.max_pixels * HELD_BYTES) * more, 2**62)
        mimetype = mimetype or thumbnail_type(header.mimetype)
        job = Job(
            data,
            header,
            width,
            height,
            mimetype,
            memory,
            name,
            first_frame,
            preprocess,
            postprocess,
            window,
            canvas,
            background,
            quality,
        )
        if window is not None:
            _check_window(window, header)
        if canvas is not None:
            width, height = max(width, canvas[0]), max(height, canvas[1])
        policy.check_target(width, height, job.frames, _TARGET_WEIGHTS.get(job.mimetype, 1.0))
        if header.mimetype in VECTOR_TYPES:
            # All of it is rendered.
            policy.check_target(*job.rendered[:2])
        if max(width, height) > _MAX_SIDES.get(job.mimetype, 2**31):
            raise InvalidImageError(
                f"a size of {width}x{height} pixels was asked for, "
                f"and {job.mimetype} has at most {_MAX_SIDES[job.mimetype]} a side",
                reason="target_too_large",
            )
        with measured("decode", header.mimetype, file_size=len(data)):
            made, made_width, made_height = choice.resize(job)
    if postprocess is None and (made_width, made_height) != (asked := canvas or (job.width, job.height)):
        made.close()
        raise InvalidImageError(
            f"expected a result of {asked[0]}x{asked[1]} pixels, got {made_width}x{made_height}; "
            f"the {header.mimetype} says other things of its size to different readers",
            reason="damaged",
        )
    return Resized(made, made_width, made_height, job.mimetype)
