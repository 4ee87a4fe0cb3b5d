"""Attach images to SQLAlchemy entities: the names that applications use, in one place.

>>> from sqlalchemy_imageattach import Image, ImageSet, image_attachment, store_context

Each is documented in the module that it comes from.  Importing this loads neither libvips nor any cloud's SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .context import current_store, store_context
from .entity import Image, ImageSet, ImageSubset, MultipleImageSet, SingleImageSet, image_attachment
from .exc import (
    ContextError,
    ImageAttachError,
    ImageNotFoundError,
    InvalidImageError,
    MissingDependencyError,
    StoreError,
)
from .imaging import ImagePolicy
from .store import Store

__all__ = (
    "ContextError",
    "Image",
    "ImageAttachError",
    "ImageNotFoundError",
    "ImagePolicy",
    "ImageSet",
    "ImageSubset",
    "InvalidImageError",
    "MissingDependencyError",
    "MultipleImageSet",
    "SingleImageSet",
    "Store",
    "StoreError",
    "__version__",
    "current_store",
    "image_attachment",
    "store_context",
)

if TYPE_CHECKING:
    from .version import VERSION as __version__
else:

    def __getattr__(name: str) -> str:
        # Were it imported with the package, `python -m sqlalchemy_imageattach.version` would warn of that.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .version import VERSION

        return VERSION
