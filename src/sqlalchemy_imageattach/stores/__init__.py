"""The stores that come with this library.

Each is in a module of its own: import the one that is used.  Or have :func:`~.url.store_from_url` choose it, by a
setting of the application.  No module here loads the library of a cloud; a store does when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .url import store_from_url

__all__ = ("store_from_url",)


def __getattr__(name: str) -> Any:
    # Not imported before it is asked for: it knows all stores, and some of them are built on what uses one of these.
    if name == "store_from_url":
        from .url import store_from_url

        return store_from_url
    raise AttributeError(f"module {__name__} has no attribute {name}")
