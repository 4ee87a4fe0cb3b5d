"""Another path of :mod:`sqlalchemy_imageattach.bulk.thumbnails`, for programs that import from it."""

from __future__ import annotations

from .bulk.thumbnails import Made, drop_thumbnails, make_thumbnails

__all__ = ("Made", "drop_thumbnails", "make_thumbnails")
