"""Images over HTTP.

::

    responses     a request in, a response out
    conditions    conditional requests and ranges
    resources     where the served files are
    hosts         which hosts an application answers for
    wsgi, asgi    the doors to servers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util import import_late

if TYPE_CHECKING:
    from .hosts import Hosts
    from .resources import Folder, Found, Source, Stored
    from .responses import Body, Request, Response, Rules, respond
else:
    __getattr__, __dir__ = import_late(
        __name__,
        {
            "Hosts": ".hosts",
            **dict.fromkeys(("Folder", "Found", "Source", "Stored"), ".resources"),
            **dict.fromkeys(("Body", "Request", "Response", "Rules", "respond"), ".responses"),
        },
    )

__all__ = ("Body", "Folder", "Found", "Hosts", "Request", "Response", "Rules", "Source", "Stored", "respond")
