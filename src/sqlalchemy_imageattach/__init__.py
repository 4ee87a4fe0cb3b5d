"""Attach images to SQLAlchemy entities: the names that applications use, in one place.

>>> from sqlalchemy_imageattach import Image, ImageSet, image_attachment, store_context

Each is documented in the module that it comes from.  Importing this loads no decoder, no server, no
dialect and no cloud's SDK: each is loaded by what needs it.

The rules of this house, which ``tests/test_house.py`` keeps:

1. The top level is what a user can import.  A public name that has helpers is a package, with its helpers inside.
2. Imports run down one stair, and nothing runs up, not even under ``TYPE_CHECKING``::

       ext
       cli, tasks, testing
       audit, migration, rebuilding
       bulk
       entity
       transactions, stores
       variants
       context, serving
       store, imaging
       instrumentation
       naming, file, concurrency, exc, version, util

   ``transactions`` and ``stores`` do not know each other.  ``stores`` does not know ``imaging``.  ``imaging`` knows
   no store and no SQLAlchemy.
3. An underscore is private to its file.  What two files need has a plain name, and the package's face leaves it out.
4. ``__all__`` lists exactly what other files import.
5. One idea has one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .context import current_store, store_context
from .entity import Image, ImageSet, ImageSubset, MultipleImageSet, SingleImageSet
from .entity.declaring import image_attachment
from .exc import (
    ContextError,
    ImageAttachError,
    ImageNotFoundError,
    InvalidImageError,
    MissingDependencyError,
    StoreError,
)
from .store import Store
from .util import import_late

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
    from .imaging import ImagePolicy
    from .version import VERSION as __version__
else:
    # Were the version imported with the package, `python -m sqlalchemy_imageattach.version` would warn of that.
    __getattr__, __dir__ = import_late(__name__, {"ImagePolicy": ".imaging", "__version__": ".version:VERSION"})
