"""What is to be done to an original, with nothing left open, and how that is written in the name of a file.

::

    640x480-c0.378.3024.2268.<signature>.avif
    │       │                            └ the type, by its suffix
    │       └ only what differs from the defaults, in the order of the alphabet
    └ width x height

``a``: the part within the window that catches the eye · ``b`` and six hexadecimal digits: background · ``c``: the
window, left, top, width and height · ``f``: the first frame only · ``p``: padded · ``q``: quality · ``t``: when the row
was made, where it has no revision · ``v``: the version of all this, from 2 on.

It must always be true that a recipe has one spelling: what :func:`read_recipe` accepts, :func:`written` writes again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..imaging.types import ANIMATED_TYPES, thumbnail_type
from ..naming import VARIANT_SUFFIXES
from .geometry import Fitted, Window
from .transform import FORMATS, QUALITIES, Transform

__all__ = ("Recipe", "read_recipe", "recipe_of", "type_of", "written")

_TYPES = {suffix: mimetype for mimetype, suffix in VARIANT_SUFFIXES.items()}

# To be raised when the same name would have to give another picture.
_VERSION = 1

_NUMBER = r"(?:0|[1-9][0-9]{0,6})"
_RECIPE = re.compile(
    r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})"
    r"(-a)?"
    r"(?:-b([0-9a-f]{6}))?"
    rf"(?:-c({_NUMBER})\.({_NUMBER})\.({_NUMBER})\.({_NUMBER}))?"
    r"(-f)?"
    r"(-p)?"
    r"(?:-q([1-9][0-9]{0,2}))?"
    r"(?:-t([0-9a-z]{1,16}))?"
    r"(?:-v([1-9][0-9]{0,3}))?"
    r"(\.[a-z]{3,4})"
)


class Recipe(NamedTuple):
    """How a variant is made of its original."""

    width: int
    height: int
    mimetype: str
    #: The part that is shown; ``None`` for all of the original.
    window: Window | None = None
    padded: bool = False
    attention: bool = False
    #: Six hexadecimal digits; ``None`` for transparent, or white.
    background: str | None = None
    #: From 1 to 100; 0 for types without.
    quality: int = 0
    first_frame: bool = False
    #: When the original's row was made, for rows without a revision.
    stamp: str | None = None


def type_of(transform: Transform, mimetype: str) -> str:
    """Tell the type of a variant.

    :param transform: the transform
    :param mimetype: the type of the original
    :returns: the type that is asked for, else that of a thumbnail
    :raises ValueError: when a thumbnail would have a type that nothing here makes

    >>> type_of(Transform(width=32), "image/heic")
    'image/jpeg'
    """
    if transform.format is not None:
        return FORMATS[transform.format]
    made = thumbnail_type(mimetype)
    if made not in VARIANT_SUFFIXES:
        raise ValueError(f"expected an original of a type that can be read here, got {mimetype!r}; give a format")
    return made


def quality_of(mimetype: str, quality: str | int | None) -> int:
    """Tell the number that a quality is for a type.

    :param mimetype: the type of the variant
    :param quality: a name, a number, or ``None`` for the default
    :returns: from 1 to 100; 0 for types without

    >>> quality_of("image/webp", "high"), quality_of("image/png", 80)
    (92, 0)
    """
    names = QUALITIES.get(mimetype)
    if names is None:
        return 0
    return quality if isinstance(quality, int) else names[quality or "medium"]


def recipe_of(transform: Transform, fit: Fitted, original_type: str, mimetype: str, stamp: str | None) -> Recipe:
    """Put together what is to be done.

    :param transform: what is asked for
    :param fit: what that comes to
    :param original_type: the type of the original
    :param mimetype: the type of the variant
    :param stamp: when the row was made, where it has no revision
    :returns: the recipe

    >>> recipe = recipe_of(Transform(width=64), Fitted(64, 48, None, False, False), "image/png", "image/webp", None)
    >>> written(recipe)
    ('64x48', '.webp')
    """
    return Recipe(
        fit.width,
        fit.height,
        mimetype,
        fit.window,
        fit.padded,
        fit.attention,
        None if transform.background is None else transform.background[1:],
        quality_of(mimetype, transform.quality),
        # Of one frame the first is all.
        transform.first_frame and original_type in ANIMATED_TYPES and mimetype in ANIMATED_TYPES,
        stamp,
    )


def written(recipe: Recipe) -> tuple[str, str]:
    """Write a recipe as the name of a file.

    :param recipe: the recipe
    :returns: what stands before the signature, and the suffix

    >>> written(Recipe(640, 480, "image/avif", (0, 378, 3024, 2268), quality=65))
    ('640x480-c0.378.3024.2268', '.avif')
    """
    width, height, mimetype, window, padded, attention, background, quality, first_frame, stamp = recipe
    text = f"{width}x{height}"
    if attention:
        text += "-a"
    if background is not None:
        text += f"-b{background}"
    if window is not None:
        text += f"-c{window[0]}.{window[1]}.{window[2]}.{window[3]}"
    if first_frame:
        text += "-f"
    if padded:
        text += "-p"
    if quality != _DEFAULT_QUALITIES.get(mimetype, 0):
        text += f"-q{quality}"
    if stamp is not None:
        text += f"-t{stamp}"
    if _VERSION > 1:
        text += f"-v{_VERSION}"
    return text, VARIANT_SUFFIXES[mimetype]


def read_recipe(text: str, original: tuple[int, int]) -> Recipe | None:
    """Read a recipe from the name of a file.

    :param text: the name without its signature; from anybody
    :param original: width and height of the original, in pixels
    :returns: the recipe; ``None`` for what :func:`written` would not write

    >>> read_recipe("64x48-q50.webp", (640, 480)).quality
    50
    >>> read_recipe("064x48.webp", (640, 480))
    """
    match = _RECIPE.fullmatch(text)
    if match is None or match[14] not in _TYPES:
        return None
    mimetype = _TYPES[match[14]]
    window = None
    if match[5] is not None:
        left, top, width, height = (int(match[index]) for index in (5, 6, 7, 8))
        window = left, top, width, height
        within = width > 0 and height > 0 and left + width <= original[0] and top + height <= original[1]
        if not within or window == (0, 0, *original):
            return None
    recipe = Recipe(
        int(match[1]),
        int(match[2]),
        mimetype,
        window,
        match[10] is not None,
        match[3] is not None,
        match[4],
        int(match[11]) if match[11] else _DEFAULT_QUALITIES.get(mimetype, 0),
        match[9] is not None,
        match[12],
    )
    if recipe.quality > 100 or (match[11] and mimetype not in QUALITIES):
        return None
    # Another version of all this would have to make another picture.
    return recipe if "".join(written(recipe)) == text else None


_DEFAULT_QUALITIES = {mimetype: names["medium"] for mimetype, names in QUALITIES.items()}
