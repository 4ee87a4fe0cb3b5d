"""Images over HTTP.

::

    responses     a request in, a response out
    conditions    conditional requests and ranges
    resources     where the served files are
    hosts         which hosts an application answers for
    wsgi, asgi    the doors to servers
"""

from __future__ import annotations

from .hosts import Hosts
from .resources import Folder, Found, Source, Stored
from .responses import Body, Request, Response, Rules, respond

__all__ = ("Body", "Folder", "Found", "Hosts", "Request", "Response", "Rules", "Source", "Stored", "respond")
