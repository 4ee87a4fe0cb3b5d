"""Where libvips may work.

**libvips does no work in a child that was forked after it had done some.**  Its threads are not there, and it would
wait for them for ever (gunicorn's ``--preload``, the fork of :mod:`multiprocessing`, Celery's prefork pool).  So the
process that works first is remembered, before it does.  Only this library's own work is known here: an application that
uses pyvips in a parent has to start its children by spawning them.
"""

from __future__ import annotations

import functools
import importlib
import os

__all__ = ("vips_may_work", "vips_would_work")


# The process in which libvips worked first, or None.
_vips_process: int | None = None


@functools.cache
def _has_vips() -> bool:
    try:
        importlib.import_module("pyvips")
    except Exception:  # whatever a missing or unfit shared library raises, which is not only ImportError
        return False
    return True


def vips_would_work() -> bool:
    """Tell whether libvips may work in this process."""
    return _has_vips() and _vips_process in (None, os.getpid())


def vips_may_work() -> bool:
    """Tell whether libvips may work in this process, and takes it to do so from now on."""
    global _vips_process
    if not vips_would_work():
        return False
    _vips_process = os.getpid()
    return True
