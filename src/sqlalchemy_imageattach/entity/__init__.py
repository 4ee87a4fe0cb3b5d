"""Images as entities, attached to other entities.

::

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture", back_populates="user")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        user: Mapped[User] = relationship(back_populates="picture")

Each row of ``user_picture`` is one image file: an original, or a thumbnail of it.  A row and its file belong together:

- a committed row always has its bytes, exactly its own;
- bytes without a row do not stay;
- bytes are never overwritten: the column ``revision`` is a part of each file's name, so that what is replaced, rolled
  back or read in the middle is never harmed.  A model with ``revision = None`` does without.

The session puts the file into the store while it flushes, and deletes a file without a row after the commit: see
:mod:`sqlalchemy_imageattach.transactions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util import import_late
from .declaring import image_attachment, policy_of
from .image import Image
from .image_set import BaseImageSet, ImageSet, SingleImageSet
from .image_subsets import ImageSubset, MultipleImageSet
from .query import BaseImageQuery

if TYPE_CHECKING:
    from ..imaging.types import VECTOR_TYPES
    from .optional_columns import Focal, Frames, Placeholder
else:
    _OPTIONAL = dict.fromkeys(("Focal", "Frames", "Placeholder"), ".optional_columns")
    __getattr__, __dir__ = import_late(__name__, {"VECTOR_TYPES": "..imaging.types", **_OPTIONAL})

__all__ = (
    "VECTOR_TYPES",
    "BaseImageQuery",
    "BaseImageSet",
    "Focal",
    "Frames",
    "Image",
    "ImageSet",
    "ImageSubset",
    "MultipleImageSet",
    "Placeholder",
    "SingleImageSet",
    "image_attachment",
    "policy_of",
)
