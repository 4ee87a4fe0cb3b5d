"""What a commit and a rollback do to files.

::

    which_store    which store an image is in
    pending        the bytes that no store has yet
    rows/          what rows say, and locking, replacing and deleting them
    flush          which files a flush puts and deletes
    owner_keys     files follow their owners' keys
    ledger         when that happens: with which transaction
    entries        one file that is put or deleted, and how that is undone
    connections    transactions that several sessions share
    listeners      which event each of them hears, in order
    info_keys      what stands in the info of sessions and connections
"""

from __future__ import annotations

from .entries import FailedDelete
from .info_keys import FAILED_DELETE_KEY

__all__ = ("FAILED_DELETE_KEY", "FailedDelete")
