"""What time it is where a server keeps its objects.

Objects are dated by the server, so how old one is has to be judged by the server's clock.  Each answer has a date, one
that refuses, too; so no credentials are needed.
"""

from __future__ import annotations

import datetime
import email.utils
import urllib.error
import urllib.request

__all__ = ("time_of",)

# A date has whole seconds, and it was on its way for a while.
_RESOLUTION = datetime.timedelta(seconds=3)


def time_of(url: str, timeout: float) -> datetime.datetime:
    """Ask a server what time it is.

    :param url: any URL of its own
    :param timeout: how long to wait for the answer, in seconds
    :returns: its time, or that of this machine where the two agree, or where the server does not answer
    """
    here = datetime.datetime.now(datetime.UTC)
    # Only http and https come here: the store has checked that.
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            date = answer.headers["Date"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            date = refusal.headers["Date"]
    except OSError:
        return here
    try:
        there = email.utils.parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return here
    return here if abs(there - here) < _RESOLUTION else there
