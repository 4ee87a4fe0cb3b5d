"""Signs URLs of S3 as of a time of one's own choice, which obstore cannot.

Every process that signs as of the same time makes the same URL, so that browsers find it in their caches.  What is
signed: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.  It must always be true that

- the URL is the one that obstore makes at that time.
"""

from __future__ import annotations

import datetime
import hmac
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

__all__ = ("Keys", "signed_url")


class Keys(NamedTuple):
    """What signs."""

    access_key: str
    secret_key: str
    #: Of temporary credentials.
    session_token: str | None


def signed_url(url: str, region: str, keys: Keys, at: datetime.datetime, seconds: int) -> str:
    """Sign a URL for GET.

    :param url: the URL, quoted, without a query
    :param region: the bucket's region
    :param keys: the credentials
    :param at: the time from which it is valid, in UTC
    :param seconds: for how long it is valid
    :returns: the signed URL
    """
    time, scope = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}/{region}/s3/aws4_request"
    parts = urlsplit(url)
    # Clients leave the port of the scheme out.
    is_implied = parts.port == {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.rpartition(":")[0] if is_implied else parts.netloc
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session_token is not None:
        query["X-Amz-Security-Token"] = keys.session_token
    arguments = urlencode(sorted(query.items()), quote_via=quote, safe="")
    request = f"GET\n{parts.path}\n{arguments}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{parts.scheme}://{host}{parts.path}?{arguments}&X-Amz-Signature={key.hex()}"
