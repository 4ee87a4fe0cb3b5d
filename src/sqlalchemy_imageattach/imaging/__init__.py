"""Reading the header of an image, and making other sizes of it.

::

    __init__    the face: probe and resize
    policy      what is accepted
    types       the types that are read
    source      the bytes of a file, mapped
    picture     an open picture: its header, read once, and what is made of it
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

from typing import IO, Unpack

from ..naming import SUFFIXES
from .engines.filters import DEFAULT_FILTER, FILTERS, check_filter
from .engines.isolation.pool import isolate
from .picture import ResizeOptions, check_request, open_picture
from .policy import ImageInfo, ImagePolicy, Resized

__all__ = (
    "FILTERS",
    "SUFFIXES",
    "ImageInfo",
    "ImagePolicy",
    "Resized",
    "attention",
    "check_filter",
    "isolate",
    "open_picture",
    "probe",
    "resize",
)

_DEFAULT_POLICY = ImagePolicy()


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
    with open_picture(file, policy) as picture:
        return picture.info


def attention(
    file: IO[bytes],
    info: ImageInfo,
    window: tuple[int, int, int, int],
    size: tuple[int, int],
    policy: ImagePolicy = _DEFAULT_POLICY,
) -> tuple[int, int]:
    """Find where in an image most is to be seen: edges and colours.

    :param file: the image, as for :func:`probe`
    :param info: what :func:`probe` says of it; it is read again, as it may be old
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
    with open_picture(file, policy) as picture:
        return picture.attention(window, size)


def resize(
    file: IO[bytes],
    info: ImageInfo,
    width: int,
    height: int,
    *,
    policy: ImagePolicy = _DEFAULT_POLICY,
    **options: Unpack[ResizeOptions],
) -> Resized:
    """Make another size of an image: upright, in sRGB, and without metadata.

    The type stays, but a vector image becomes PNG, and HEIC JPEG.  An animation stays one.

    :param file: the image, as for :func:`probe`
    :param info: what :func:`probe` says of it; it is read again, as it may be old
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
    :param thorough: whether an AVIF may take several times as long, and be smaller, where nobody waits for it
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
    check_request(width, height, options.get("filter", DEFAULT_FILTER))
    with open_picture(file, policy) as picture:
        return picture.resize(width, height, **options)
