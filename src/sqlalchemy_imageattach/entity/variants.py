"""What an image, or an image set, says of its variants: one of them, a ``srcset``, a ``<picture>``.

All of it is computed from the row of the original.  It must always be true that neither a store nor the database is
asked, and nothing is decoded.
"""

from __future__ import annotations

import dataclasses
import datetime
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup
from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from ..context import current_store
from ..exc import ImageNotFoundError
from ..naming import FileKey
from ..store import Store
from ..transactions.info_keys import POLICY_KEY, VARIANTS_KEY
from ..transactions.which_store import find_store

if TYPE_CHECKING:
    from ..variants.transform import Source, Transform
    from ..variants.variant import Original, Variant

__all__ = ("WithVariants", "check_presets", "prepare_presets", "presets_of")

# What a page needs of an image further down.
_IMG_ATTRIBUTES: Mapping[str, object] = {"loading": "lazy", "decoding": "async"}
# What it needs of the one that is seen first.
_PRIORITY_ATTRIBUTES: Mapping[str, object] = {"loading": "eager", "decoding": "async", "fetchpriority": "high"}


@cache
def _transform_names() -> frozenset[str]:
    from ..variants.transform import Transform

    return frozenset(field.name for field in dataclasses.fields(Transform)) - {"format", "preprocessed"}


class WithVariants:
    """The methods that make variants, of an image and of an image set."""

    def image_of_variants(self) -> Any:
        """The image that variants are made of.

        :returns: the image
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        raise NotImplementedError

    def variant(self, preset: str | Transform | None = None, /, **transform: Any) -> Variant:
        """Another size, shape or type of the image: made when its URL is first asked for, and without a row.

        :param preset: the name of one of ``image_attachment(variants=…)``, or a
            :class:`~sqlalchemy_imageattach.variants.Transform`
        :param transform: the values of a :class:`~sqlalchemy_imageattach.variants.Transform`, or those in which it
            differs from the preset
        :returns: the variant
        :raises TypeError: when nothing is asked for
        :raises ValueError: when there is no such preset, or it cannot be made of this image
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> user.picture.variant(width=320, height=320, fit="cover", format="webp").size
        (320, 320)
        """
        # Loaded with the first variant: an application may have none.
        from ..variants.variant import variant_of

        image = self.image_of_variants()
        mapper = inspect(image).mapper
        resolved, name = _resolved(mapper, preset, transform)
        return variant_of(_original_of(image), resolved, _max_pixels_of(mapper), name)

    def srcset(
        self,
        preset: str | Transform | None = None,
        /,
        *,
        widths: Iterable[int] | None = None,
        densities: Iterable[float] | None = None,
        store: Store = current_store,
        **transform: Any,
    ) -> str:
        """The value of an attribute ``srcset``: the image at several widths, for a browser to choose from.

        :param preset: as for :meth:`variant`; of its size only the shape counts, but with ``densities``
        :param widths: pixels; by default those that suit every original
        :param densities: such as ``(1, 2)``, for a picture of a fixed size: pixels for each CSS pixel
        :param store: the store that has the image; by default the current one, else the one that it was attached with
        :param transform: as for :meth:`variant`
        :returns: the value, not escaped
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants, or there is no such preset
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        from ..variants.markup import ANY_SIZE, Choice, srcset_of

        image = self.image_of_variants()
        resolved, name = _resolved(inspect(image).mapper, preset, transform, ANY_SIZE)
        return srcset_of(_original_of(image), resolved, Choice.of(widths, densities), store, name)

    def responsive(
        self,
        preset: str | Transform | None = None,
        /,
        *,
        alt: str,
        sizes: str | None = None,
        widths: Iterable[int] | None = None,
        densities: Iterable[float] | None = None,
        formats: Sequence[str] = ("avif", "webp"),
        sources: Sequence[Source] = (),
        priority: bool = False,
        placeholder: bool = False,
        store: Store = current_store,
        **attributes: Any,
    ) -> Markup:
        """A ``<picture>`` element: the image in several sizes and types, for a browser to choose from.

        :param preset: as for :meth:`variant`; of its size only the shape counts, but with ``densities``
        :param alt: what the picture says to those who do not see it; ``""`` for decoration
        :param sizes: how wide it is shown, such as ``"50vw"``
        :param widths: pixels; by default those that suit every original
        :param densities: such as ``(1, 2)``, for a picture of a fixed size: pixels for each CSS pixel
        :param formats: the types to offer before the original's own, best first; of what moves, those that move
        :param sources: other shapes for some screens
        :param priority: whether it is the picture that is seen first, and not loaded lazily
        :param placeholder: whether its placeholder is shown until it is loaded, by an attribute ``style``: see
            :class:`~.entity.Placeholder`
        :param store: the store that has the image; by default the current one, else the one that it was attached with
        :param attributes: what makes a :class:`~sqlalchemy_imageattach.variants.Transform`, as for :meth:`variant`, and
            HTML attributes of the ``<img>``, such as ``class_``
        :returns: the element, escaped; nothing when there is no original.  Of an SVG, an ``<img>``
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants, or there is no such preset or format
        """
        image = self._image_or_none()
        if image is None:
            return Markup()
        from ..variants.html import by_html_names
        from ..variants.markup import ANY_SIZE, Choice, picture_of

        transform = {key: attributes.pop(key) for key in _transform_names() & attributes.keys()}
        own: dict[str, object] = {"alt": alt} | dict(_PRIORITY_ATTRIBUTES if priority else _IMG_ATTRIBUTES)
        if placeholder:
            own["style"] = getattr(image, "placeholder_style", None)
        if image.mimetype == "image/svg+xml":
            return cast("Markup", image.img(store=store, **own | attributes))
        resolved, name = _resolved(inspect(image).mapper, preset, transform, ANY_SIZE)
        return picture_of(
            _original_of(image),
            resolved,
            Choice.of(widths, densities, sizes),
            store,
            name,
            formats=formats,
            sources=sources,
            attributes=by_html_names(own | attributes),
        )

    def preload_link(
        self,
        preset: str | Transform | None = None,
        /,
        *,
        sizes: str | None = None,
        widths: Iterable[int] | None = None,
        densities: Iterable[float] | None = None,
        formats: Sequence[str] = ("avif", "webp"),
        store: Store = current_store,
        **transform: Any,
    ) -> Markup:
        """A ``<link>`` for the head of a page, so that a browser loads early what :meth:`responsive` will show.

        :param preset: as for :meth:`responsive`
        :param sizes: as for :meth:`responsive`
        :param widths: as for :meth:`responsive`
        :param densities: as for :meth:`responsive`
        :param formats: as for :meth:`responsive`
        :param store: as for :meth:`responsive`
        :param transform: as for :meth:`variant`
        :returns: the element, escaped; nothing when there is no original, and of an SVG
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants, or there is no such preset or format
        """
        image = self._image_or_none()
        if image is None or image.mimetype == "image/svg+xml":
            return Markup()
        from ..variants.markup import ANY_SIZE, Choice, preload_link_of

        resolved, name = _resolved(inspect(image).mapper, preset, transform, ANY_SIZE)
        choice = Choice.of(widths, densities, sizes)
        return preload_link_of(_original_of(image), resolved, choice, store, name, formats)

    def _image_or_none(self) -> Any:
        try:
            return self.image_of_variants()
        except ImageNotFoundError:
            return None


def _original_of(image: Any) -> Original:
    key = FileKey.of(image)
    stamp = None
    if key.revision is None and isinstance(image.created_at, datetime.datetime):
        stamp = _base36(image.created_at)
    x, y = getattr(image, "focal_x", None), getattr(image, "focal_y", None)
    focal = None if x is None or y is None else (x, y)
    from ..variants.variant import Original

    return Original(key, getattr(image, "frames", None), focal, stamp, lambda store: find_store(store, image))


def _base36(time: datetime.datetime) -> str:
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.UTC)
    number = (time - _EPOCH) // datetime.timedelta(microseconds=1)
    text = ""
    while number > 0:
        number, digit = divmod(number, 36)
        text = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + text
    return text or "0"


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _resolved(
    mapper: Mapper[Any], preset: str | Transform | None, values: Mapping[str, Any], default: Transform | None = None
) -> tuple[Transform, str | None]:
    """The transform that is asked for, and the name of the preset that it is."""
    from ..variants.transform import Transform

    if isinstance(preset, str):
        presets = presets_of(mapper)
        if preset not in presets:
            raise _no_preset(preset, presets)
        if not values:
            return presets[preset], preset
        return dataclasses.replace(presets[preset], **values), None
    if preset is not None and not isinstance(preset, Transform):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"expected a Transform or the name of a preset, got {preset!r}")
    if preset is not None:
        return (dataclasses.replace(preset, **values) if values else preset), None
    if not values and default is not None:
        return default, None
    return Transform(**{"quality": "medium", **values} if default is not None else values), None


def check_presets(mappers: Sequence[Mapper[Any]], store: Store, presets: Collection[str]) -> None:
    """Refuse presets that cannot be made.

    :param mappers: image classes
    :param store: the store that has their originals
    :param presets: names
    :raises TypeError: when a text is given in place of names
    :raises ValueError: when no class has one of that name, or the store makes no variants
    """
    if isinstance(presets, str):
        raise TypeError(f"expected presets to be a list of names, got the text {presets!r}")
    from ..variants.variant import makes_none

    if presets and not hasattr(store.variants, "prepare"):
        raise makes_none(store)
    known = dict.fromkeys(name for mapper in mappers for name in presets_of(mapper))
    for name in presets:
        if name not in known:
            raise _no_preset(name, known)


def _no_preset(name: str, known: Iterable[str]) -> ValueError:
    names = ", ".join(map(repr, known)) or "none"
    return ValueError(f"expected the name of a preset, got {name!r}; image_attachment(variants=...) declares {names}")


def prepare_presets(image: Any, store: Store, presets: Collection[str]) -> list[Variant]:
    """Make presets of an image before they are asked for.

    :param image: an original
    :param store: the store that has it
    :param presets: names; those that its class does not have are passed over
    :returns: those that were made, and were not there
    :raises InvalidImageError: when the image cannot be decoded
    :raises OSError: when the store fails
    """
    known = presets_of(inspect(image).mapper)
    variants = [image.variant(name) for name in presets if name in known]
    return [variant for variant in variants if variant.prepare(store)]


_declared: weakref.WeakKeyDictionary[Mapper[Any], tuple[dict[str, Transform], int]] = weakref.WeakKeyDictionary()


def _declarations_of(mapper: Mapper[Any]) -> tuple[dict[str, Transform], int]:
    found = _declared.get(mapper)
    if found is None:
        from ..imaging import ImagePolicy

        presets: dict[str, Transform] = {}
        limits = []
        targets = set(mapper.iterate_to_root())
        for other in mapper.registry.mappers:
            for relationship in other.relationships:
                if relationship.mapper not in targets:
                    continue
                if POLICY_KEY in relationship.info:
                    limits.append(relationship.info[POLICY_KEY].max_target_pixels)
                for name, transform in relationship.info.get(VARIANTS_KEY, {}).items():
                    if presets.setdefault(name, transform) != transform:
                        raise ValueError(f"expected one preset of the name {name!r} for {mapper}, got several")
        found = _declared[mapper] = presets, max(limits, default=ImagePolicy().max_target_pixels)
    return found


def presets_of(mapper: Mapper[Any]) -> dict[str, Transform]:
    """Find the presets of an image class.

    :param mapper: its mapper
    :returns: those of each attribute that the images are attached to, by their names
    :raises ValueError: when two attributes have different ones of the same name
    """
    return _declarations_of(mapper)[0]


def _max_pixels_of(mapper: Mapper[Any]) -> int:
    return _declarations_of(mapper)[1]
