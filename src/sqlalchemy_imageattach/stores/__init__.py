"""The stores that come with this library.

Each is in a module of its own: import the one that is used.  Or have :func:`~.url.store_from_url` choose it, by a
setting of the application.  No module here loads the library of a cloud; a store does when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util import import_late

if TYPE_CHECKING:
    from .url import store_from_url
else:
    __getattr__, __dir__ = import_late(__name__, {"store_from_url": ".url"})

__all__ = ("store_from_url",)
