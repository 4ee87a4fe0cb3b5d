"""Tasks for Celery's workers: thumbnails, and parts of a move and of an audit, with the extra ``celery``.

::

    images = ImageTasks(Celery("yourapp"), Base, sessionmaker(engine), {"old": old_store, "new": new_store})

    enqueue(session, images.thumbnails(user.picture, widths=[160, 640]))
    for part in images.migration("old", "new"):
        part.apply_async()

The application and its workers import the same module, so that both know the same sessions and stores.  What goes over
the broker is JSON: names of classes and stores, keys of rows, sizes.  It must always be true that

- a task may be delivered twice, at the same time too, and makes nothing twice;
- a worker that is killed in the middle leaves nothing half-done: its task is delivered again, to another worker;
- a fault that passes is tried again, after a while; what does not pass fails at once, or is in the result.
"""

from __future__ import annotations

from typing import Any

from ..exc import MissingDependencyError
from ..transactions.info_keys import FAILED_SEND_KEY
from .sending import FailedSend, enqueue

try:
    from .image_tasks import PARTITION_SIZE, ImageTasks
except MissingDependencyError as _error:
    # enqueue() serves other queues as well.
    _reason = str(_error)

    def __getattr__(name: str) -> Any:
        if name in ("PARTITION_SIZE", "ImageTasks"):
            raise MissingDependencyError(_reason)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ("FAILED_SEND_KEY", "PARTITION_SIZE", "FailedSend", "ImageTasks", "enqueue")
