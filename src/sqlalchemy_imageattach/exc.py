"""Everything that this library raises on its own account.

::

    ImageAttachError
    ├── CheckpointError         (also ValueError)   a checkpoint is not one of this job
    ├── ContextError            no store: neither given, nor current, nor configured
    ├── ImageNotFoundError      (also OSError)      no original, or no such file in the store
    ├── InvalidImageError       (also ValueError)   the bytes are not an image that is accepted
    ├── StoreError              (also OSError)      a store could not do what it was asked
    ├── UnsafeSweepError        (also ValueError)   a sweep would remove what it should not, and removed nothing
    └── MissingDependencyError  (also ImportError)  an extra has to be installed

What the database or SQLAlchemy has to say stays theirs: ``NoResultFound``
from :meth:`~sqlalchemy_imageattach.entity.ImageSet.find_thumbnail`, for one.
Wrong arguments are Python's own ``TypeError`` and ``ValueError``.
"""

from __future__ import annotations

__all__ = (
    "CheckpointError",
    "ContextError",
    "ImageAttachError",
    "ImageNotFoundError",
    "InvalidImageError",
    "MissingDependencyError",
    "StoreError",
    "UnsafeSweepError",
)


class ImageAttachError(Exception):
    """The base of every error that this library defines."""


class CheckpointError(ImageAttachError, ValueError):
    """Raised before anything is done, when a checkpoint is none, or that of another job."""


class ContextError(ImageAttachError):
    """Raised when a store is needed, and none was given, is current or is configured."""


class ImageNotFoundError(ImageAttachError, OSError):
    """Raised when there is no original yet, or when a store does not hold the file that was asked for."""


class InvalidImageError(ImageAttachError, ValueError):
    """Raised when bytes are refused: not an image, damaged, of an unwanted type, or larger than a limit.

    :param message: what was expected, what came, and what to do
    :param reason: a word for programs, one of :attr:`REASONS`; a form can choose its own sentence by it

    >>> raise InvalidImageError('the file is empty', reason='empty')
    Traceback (most recent call last):
    sqlalchemy_imageattach.exc.InvalidImageError: the file is empty
    """

    #: Every value of :attr:`reason`.
    REASONS = frozenset(
        {
            "empty",  # no bytes at all
            "unknown_type",  # not an image of a type that is known
            "type_not_allowed",  # a known type, but the policy does not want it
            "unsupported_type",  # a known type, but what reads it is not installed; the message names the extra
            "truncated",  # ends before its end marker or its declared length
            "damaged",  # a decoder gave up on it
            "unsafe",  # an SVG that, opened by itself, runs scripts or loads something from elsewhere
            "too_costly",  # takes more memory or processor time than a file of its size may
            "busy",  # too many costly images are being decoded: the one reason that may be gone in a minute
            "too_many_bytes",
            "too_many_pixels",
            "too_many_frames",  # frames x width x height
            "target_too_large",  # the size that was asked for, not the size of the image
            "side_too_short",
            "side_too_long",
            "aspect_ratio",
        }
    )

    #: Why it was refused: one of :attr:`REASONS`.
    reason: str

    def __init__(self, message: str, *, reason: str) -> None:
        assert reason in self.REASONS, reason
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return _make_invalid_image_error, (str(self), self.reason)


def _make_invalid_image_error(message: str, reason: str) -> InvalidImageError:
    return InvalidImageError(message, reason=reason)


class StoreError(ImageAttachError, OSError):
    """Raised when a store fails for a reason of its own: refused, unreachable, full, cut off in the middle."""


class UnsafeSweepError(ImageAttachError, ValueError):
    """Raised before a sweep removes anything, when it would remove too much, or what it does not know."""


class MissingDependencyError(ImageAttachError, ImportError):
    """Raised when a feature needs an extra that is not installed; the message names it."""
