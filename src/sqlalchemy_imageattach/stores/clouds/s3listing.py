"""Lists a bucket of S3 by the server's own answer, whatever its objects are called.

obstore cannot read a page of a listing with a name such as ``logs//2024`` or ``a/../b`` on it, which S3 allows, and
cannot list below a prefix that begins with a slash.  So a bucket in which other programs left such names is listed by
this module: it has obstore sign the request, and reads what S3 answers.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

It must always be true that

- names are what the server says, byte for byte;
- the listing ends only when the server says so.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, unquote_plus, urlencode
from urllib.request import urlopen
from xml.etree import ElementTree

from .bucket import Listed
from .failures import TransientError

__all__ = ("fetched", "list_objects")


def list_objects(fetch: Callable[[str], bytes], prefix: str, after: str) -> Iterator[Listed]:
    """List objects, a page at a time.

    :param fetch: answers a query: see :func:`fetched`
    :param prefix: what their names begin with
    :param after: the name after which to begin, or an empty text
    :returns: an iterator
    """
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    if after:
        query["start-after"] = after
    while True:
        # The store's own server is trusted as obstore trusts it; expat has limits of its own.
        page = ElementTree.fromstring(fetch(urlencode(query, quote_via=quote, safe="")))  # noqa: S314
        # Without this encoding, XML has no way to write some characters.
        read = unquote_plus if page.findtext("{*}EncodingType") == "url" else str
        for each in page.iterfind("{*}Contents"):
            modified = datetime.datetime.fromisoformat(each.findtext("{*}LastModified", ""))
            yield Listed(read(each.findtext("{*}Key", "")), int(each.findtext("{*}Size", "0")), modified)
        token = page.findtext("{*}NextContinuationToken")
        if page.findtext("{*}IsTruncated") != "true" or not token:
            return
        query["continuation-token"] = token


def fetched(url: str, timeout: float) -> bytes:
    """Fetch what a signed URL is of.

    :param url: the URL
    :param timeout: how long an answer is waited for, in seconds
    :returns: the body of the answer
    :raises OSError: when there is none; a :exc:`~.failures.TransientError` when another attempt may succeed
    """
    try:
        with urlopen(url, timeout=timeout) as response:  # noqa: S310  # of a scheme that the store has checked
            body: bytes = response.read()
            return body
    except HTTPError as error:
        with error:
            text = f"status code: {error.code} {error.reason}: {error.read(10_000).decode('utf-8', 'replace')}"
        raise (TransientError if error.code >= 500 else OSError)(text) from None
    except (OSError, HTTPException) as error:
        raise TransientError(f"it cannot be reached: {error}") from error
