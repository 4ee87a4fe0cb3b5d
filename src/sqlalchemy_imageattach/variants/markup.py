"""One picture in several sizes and types, for a browser to choose from: ``srcset``, ``<picture>``, ``<link>``.

It must always be true that

- a ``w`` descriptor is the real width of its file; candidates ascend, none comes twice, and none is above the original;
- what moves stays moving in each candidate: types that would show a still are left out;
- ``width`` and ``height`` have the shape of every candidate of their element, so that nothing jumps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from markupsafe import Markup

from ..imaging.types import ANIMATED_TYPES
from ..store import Store
from .geometry import LADDER, Fitted, fitted, ladder
from .html import element
from .recipe import Recipe, recipe_of, type_of
from .transform import FORMATS, Source, Transform
from .variant import Original, urls_of

__all__ = ("ANY_SIZE", "Choice", "picture_of", "preload_link_of", "srcset_of")

#: The original's own shape and the type of its thumbnails, of any size.
ANY_SIZE = Transform(quality="medium")

# A browser without srcset gets a picture of up to this width, in pixels.
_SRC_WIDTH = 1280

# An encoder of AVIF takes minutes for what moves.
_MOVING_TYPES = frozenset({"image/gif", "image/png", "image/webp"})


class Choice(NamedTuple):
    """Which sizes a browser may choose from."""

    #: Pixels; ``None`` for those that suit every original.
    widths: tuple[int, ...] | None = None
    #: How many pixels for each CSS pixel, instead of widths: for a picture of a fixed size.
    densities: tuple[float, ...] | None = None
    #: How wide the picture is shown, as the attribute ``sizes`` says it.
    sizes: str | None = None

    @classmethod
    def of(cls, widths: Iterable[int] | None, densities: Iterable[float] | None, sizes: str | None = None) -> Choice:
        """Check what a caller gave.

        :param widths: pixels, in any order
        :param densities: positive numbers, in any order
        :param sizes: a value of the attribute ``sizes``
        :returns: the choice
        :raises TypeError: for both widths and densities, and for what is no number
        :raises ValueError: for none at all, and for what is not positive

        >>> Choice.of([640, 320], None).widths
        (640, 320)
        """
        if widths is not None and densities is not None:
            raise TypeError("expected widths or densities, got both; densities are for a picture of a fixed size")
        for name, values, kind in (("widths", widths, int), ("densities", densities, (int, float))):
            if values is None:
                continue
            checked = tuple(values)
            if not checked:
                raise ValueError(f"expected at least one of {name}, got none")
            for value in checked:
                if isinstance(value, bool) or not isinstance(value, kind):
                    raise TypeError(f"expected {name} to be numbers, got {value!r}")
                if not 0 < value < math.inf:
                    raise ValueError(f"expected {name} to be positive, got {value!r}")
            if name == "widths":
                return cls(tuple(int(value) for value in checked), None, sizes)
            return cls(None, checked, None)
        return cls(None, None, sizes)


def srcset_of(original: Original, transform: Transform, choice: Choice, store: Store, preset: str | None) -> str:
    """Make the value of an attribute ``srcset``.

    :param original: the original
    :param transform: shape and type; with densities, also the size
    :param choice: which sizes
    :param store: what the caller gave as the store of the original
    :param preset: the name of the preset that it is
    :returns: the value, not escaped
    :raises ValueError: when the store makes no variants
    """
    candidates = _candidates(original, transform, type_of(transform, original.key.mimetype), choice)
    return _joined(candidates, urls_of(original, candidates.recipes, store, preset))


def picture_of(
    original: Original,
    transform: Transform,
    choice: Choice,
    store: Store,
    preset: str | None,
    *,
    formats: Sequence[str],
    sources: Sequence[Source],
    attributes: Mapping[str, object],
) -> Markup:
    """Make a ``<picture>`` element.

    :param original: the original
    :param transform: its shape; with densities, also its size
    :param choice: which sizes
    :param store: what the caller gave as the store of the original
    :param preset: the name of the preset that it is
    :param formats: the types to offer before the original's own, best first
    :param sources: other shapes for some screens
    :param attributes: those of its ``<img>``
    :returns: the element, escaped
    :raises ValueError: when the store makes no variants, or a format is none
    """
    offered = _offered(original, transform, formats)
    fallback = type_of(transform, original.key.mimetype)
    elements: list[tuple[Source | None, _Candidates]] = []
    for source in sources:
        shape = Transform(
            ratio=source.ratio,
            fit=source.fit,
            gravity=source.gravity,
            crop=source.crop,
            quality=transform.quality or "medium",
            background=transform.background,
            first_frame=transform.first_frame,
        )
        own = Choice(choice.widths, None, source.sizes or choice.sizes)
        elements += [(source, _candidates(original, shape, mimetype, own)) for mimetype in (*offered, fallback)]
    elements += [(None, _candidates(original, transform, mimetype, choice)) for mimetype in (*offered, fallback)]
    urls = urls_of(original, [recipe for _, candidates in elements for recipe in candidates.recipes], store, preset)
    parts = [Markup("<picture>")]
    at = 0
    for index, (condition, candidates) in enumerate(elements):
        some = urls[at : at + len(candidates.recipes)]
        at += len(some)
        if index < len(elements) - 1:
            parts.append(_source(condition, candidates, some))
        else:
            parts.append(_img(candidates, some, attributes))
    return Markup().join((*parts, Markup("</picture>")))


def preload_link_of(
    original: Original,
    transform: Transform,
    choice: Choice,
    store: Store,
    preset: str | None,
    formats: Sequence[str],
) -> Markup:
    """Make a ``<link>`` that has a browser load what it would choose from a ``<picture>``.

    :param original: the original
    :param transform: as for :func:`picture_of`
    :param choice: as for :func:`picture_of`
    :param store: as for :func:`picture_of`
    :param preset: as for :func:`picture_of`
    :param formats: as for :func:`picture_of`
    :returns: the element, escaped
    :raises ValueError: when the store makes no variants, or a format is none
    """
    mimetype = [*_offered(original, transform, formats), type_of(transform, original.key.mimetype)][0]
    candidates = _candidates(original, transform, mimetype, choice)
    srcset = _joined(candidates, urls_of(original, candidates.recipes, store, preset))
    return element(
        "link",
        {
            "rel": "preload",
            "as": "image",
            "type": mimetype,
            "imagesrcset": srcset,
            "imagesizes": candidates.sizes,
            "fetchpriority": "high",
        },
    )


class _Candidates(NamedTuple):
    """The files of one type that a browser may choose from."""

    recipes: tuple[Recipe, ...]
    #: ``640w`` or ``2x``, for each.
    descriptors: tuple[str, ...]
    sizes: str | None
    #: Pixels: what the element says it is, and whose shape all of them have.
    size: tuple[int, int]

    @property
    def mimetype(self) -> str:
        return self.recipes[0].mimetype


def _candidates(original: Original, transform: Transform, mimetype: str, choice: Choice) -> _Candidates:
    key = original.key
    return _candidates_of(transform, key[2:4], key.mimetype, mimetype, original.focal, original.stamp, choice)


@lru_cache(maxsize=4096)
def _candidates_of(
    transform: Transform,
    size: tuple[int, int],
    original_type: str,
    mimetype: str,
    focal: tuple[float, float] | None,
    stamp: str | None,
    choice: Choice,
) -> _Candidates:
    def recipes(fits: Iterable[Fitted]) -> tuple[Recipe, ...]:
        return tuple(recipe_of(transform, fit, original_type, mimetype, stamp) for fit in fits)

    if choice.densities is None:
        largest = ladder(transform, size, focal, (max(size) + 1,))[0]
        made = recipes(ladder(transform, size, focal, choice.widths or LADDER))
        descriptors = tuple(f"{recipe.width}w" for recipe in made)
        return _Candidates(made, descriptors, choice.sizes or "100vw", (largest.width, largest.height))
    if transform.width is None and transform.height is None:
        raise ValueError("expected a width or a height with densities, got neither; give widths for any size")
    single = fitted(transform, size, focal, False)
    widths = tuple(max(1, int(single.width * density + 0.5)) for density in choice.densities)
    fits = [single if fit.width == single.width else fit for fit in ladder(transform, size, focal, widths)]
    # What is above the original is not made, and a descriptor that says so would have it shown too small.
    descriptors = tuple(f"{round(fit.width / single.width, 3):g}x" for fit in fits)
    return _Candidates(recipes(fits), descriptors, None, (single.width, single.height))


def _offered(original: Original, transform: Transform, formats: Sequence[str]) -> list[str]:
    """The types of a picture's sources, but for its fallback."""
    if isinstance(formats, str):
        raise TypeError(f"expected formats to be a list of names, got the text {formats!r}")
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"expected formats of {', '.join(FORMATS)}, got {name!r}")
    moves = original.key.mimetype in ANIMATED_TYPES and original.frames != 1 and not transform.first_frame
    mimetypes = dict.fromkeys(FORMATS[name] for name in formats)
    offered = [mimetype for mimetype in mimetypes if not moves or mimetype in _MOVING_TYPES]
    if offered and offered[-1] == type_of(transform, original.key.mimetype):
        del offered[-1]
    return offered


def _source(source: Source | None, candidates: _Candidates, urls: Sequence[str]) -> Markup:
    attributes: dict[str, Any] = {
        "media": None if source is None else source.media,
        "type": candidates.mimetype,
        "srcset": _joined(candidates, urls),
        "sizes": candidates.sizes,
    }
    if source is not None:
        attributes |= {"width": candidates.size[0], "height": candidates.size[1]}
    return element("source", attributes)


def _img(candidates: _Candidates, urls: Sequence[str], attributes: Mapping[str, object]) -> Markup:
    chosen = 0
    if candidates.sizes is not None:
        fit = [index for index, recipe in enumerate(candidates.recipes) if recipe.width <= _SRC_WIDTH]
        chosen = fit[-1] if fit else 0
    else:
        chosen = candidates.descriptors.index("1x") if "1x" in candidates.descriptors else 0
    own = {
        "src": urls[chosen],
        "srcset": _joined(candidates, urls),
        "sizes": candidates.sizes,
        "width": candidates.size[0],
        "height": candidates.size[1],
    }
    return element("img", own | dict(attributes))


def _joined(candidates: _Candidates, urls: Sequence[str]) -> str:
    return ", ".join([f"{url} {descriptor}" for url, descriptor in zip(urls, candidates.descriptors, strict=True)])
