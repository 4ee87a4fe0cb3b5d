"""Pydantic: an image in the answer of an API, filled from ``user.picture``.

::

    class UserOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        name: str
        picture: ImageOut | None        # None where there is no picture
        photos: ImagesOut               # of an attribute with many originals

FastAPI makes the answer and its schema of these.  It must always be true that

- no store and no database is asked for more than the rows of the attribute, which under asyncio are loaded eagerly, as
  any relationship there: ``selectinload(User.picture)``;
- what is in an answer fits its schema: an attribute that may be without a picture is declared ``ImageOut | None``.
"""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeAlias, cast

from ..entity import Image, ImageSubset, MultipleImageSet, SingleImageSet
from ..exc import MissingDependencyError

try:
    from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator
except ImportError:
    raise MissingDependencyError("pydantic needs an extra: pip install 'SQLAlchemy-ImageAttach[pydantic]'") from None

__all__ = ("ImageOut", "ImagesOut")


class SizeOut(BaseModel):
    """An image of one size."""

    url: str = Field(description="Where the image is.")
    width: int = Field(description="Pixels.", examples=[640])
    height: int = Field(description="Pixels.", examples=[480])
    type: str = Field(description="The type of the file.", examples=["image/jpeg"])


class ImageOut(SizeOut):
    """An original, and the sizes that have been made of it; ``None`` for an image set without an original.

    >>> from pydantic import TypeAdapter
    >>> with store_context(store):
    ...     TypeAdapter(ImageOut | None).validate_python(user.picture)
    ...     _ = user.picture.from_file(photograph), user.picture.generate_thumbnail(width=150)
    ...     session.flush()
    ...     ImageOut.model_validate(user.picture).thumbnails
    [SizeOut(url='...', width=150, height=113, type='image/jpeg')]
    """

    thumbnails: list[SizeOut] = Field(description="Other sizes, the narrowest one first.")

    # Its type says that a model is made, and Pydantic takes what is.
    @model_validator(mode="wrap")
    @classmethod
    def _of_image_set(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, SingleImageSet | ImageSubset):
            original = value.original
            # This is what makes null of a picture that is not there.
            return (
                cast("Self", None)
                if original is None
                else handler(_values(original) | {"thumbnails": _thumbnails(value)})
            )
        return handler(value)


def _originals(value: Any) -> Any:
    return list(value.image_sets) if isinstance(value, MultipleImageSet) else value


#: Of an attribute with many originals: a list of :class:`ImageOut`.
ImagesOut: TypeAlias = Annotated[list[ImageOut], BeforeValidator(_originals)]


def _values(image: Image) -> dict[str, Any]:
    return {"url": image.locate(), "width": image.width, "height": image.height, "type": image.mimetype}


def _thumbnails(images: SingleImageSet[Any] | ImageSubset[Any]) -> list[dict[str, Any]]:
    others = (image for image in images if not image.original)
    return [_values(image) for image in sorted(others, key=lambda image: (image.width, image.height))]
