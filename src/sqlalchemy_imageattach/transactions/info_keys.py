"""What this library keeps in the ``info`` of sessions, relationships and connections, in one table.

- ``image_store``, in sessions and relationships: the default :class:`~sqlalchemy_imageattach.store.Store`
- ``image_policy``, in relationships: an :class:`~sqlalchemy_imageattach.imaging.ImagePolicy`
- ``image_variants``, in relationships: presets by name
- ``image_delete_failed``, in sessions: a callback that takes a :class:`~.entries.FailedDelete`
- ``image_send_failed``, in sessions: a callback that takes a :class:`~sqlalchemy_imageattach.tasks.FailedSend`
- :data:`LEDGER_KEY`, in sessions: the :class:`~.ledger.Ledger`
- :data:`FLUSH_KEY`, in sessions: what the running flush deletes, replaces and renames
- :data:`LET_GO_KEY`, in sessions: that there are images to collect, whose bytes were many
- :data:`STORES_KEY`, in sessions: the stores of files that they have put, by the files' names
- :data:`COMMITTED_KEY`, in connections: entries to settle, with the callback for what fails

The first five are public: applications set them.
"""

from __future__ import annotations

__all__ = (
    "COMMITTED_KEY",
    "FAILED_DELETE_KEY",
    "FAILED_SEND_KEY",
    "FLUSH_KEY",
    "INFO_KEY",
    "LEDGER_KEY",
    "LET_GO_KEY",
    "POLICY_KEY",
    "STORES_KEY",
    "VARIANTS_KEY",
)

INFO_KEY = "image_store"
POLICY_KEY = "image_policy"
VARIANTS_KEY = "image_variants"
FAILED_DELETE_KEY = "image_delete_failed"
FAILED_SEND_KEY = "image_send_failed"

LEDGER_KEY = "_sqlalchemy_imageattach_ledger"
FLUSH_KEY = "_sqlalchemy_imageattach_flush"
LET_GO_KEY = "_sqlalchemy_imageattach_let_go"
STORES_KEY = "_sqlalchemy_imageattach_stores"
COMMITTED_KEY = "_sqlalchemy_imageattach_committed"
