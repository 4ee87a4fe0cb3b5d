"""What a cloud has answered, in a sentence that a reader can act on.

obstore reports every failure as a page of text.  What is wanted of it is the code that the server gave, its message, or
what became of the connection, and what to do about it.  It must always be true that

- a sentence never has a secret in it, neither one that the store was given nor a signature of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from ...exc import StoreError

__all__ = ("AuthMechanismError", "Reason", "TransientError", "reason_of", "redacted")


class AuthMechanismError(StoreError):
    """Raised when a bucket wants requests signed in another way: mostly, for another region than the store's."""


class TransientError(OSError):
    """Says that a request which is not obstore's failed on its way, or that the server failed."""


class Reason(NamedTuple):
    """Why something failed."""

    #: The server's word for it, e.g. ``'NoSuchBucket'``; empty when it did not answer.
    code: str
    #: A sentence for people.
    sentence: str
    #: Whether the connection was lost, and the request not repeated.
    is_answer_lost: bool = False
    #: Whether "not found" is about something else than the object: there is no such bucket or container, or what
    #: answered is no store.
    is_not_about_object: bool = False
    #: Whether the bucket is in another region.
    is_about_region: bool = False


_OF_REGIONS = ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "redirect")

#: What to do, by what the server or the system says.
_ADVICE = {
    "SignatureDoesNotMatch": "check secret_key",
    "InvalidAccessKeyId": "check access_key",
    "InvalidToken": "check session_token",
    "ExpiredToken": "get a new session_token",
    **dict.fromkeys(_OF_REGIONS, "set region to the bucket's"),
    "AccessDenied": "check what the policies allow these credentials to do",
    "AccessControlListNotSupported": "leave acl out",
    "InvalidStorageClass": "set reproducible_storage_class to one that this server has, or None",
    "NoSuchBucket": "check the name of the bucket",
    "ContainerNotFound": "check the name of the container",
    "AuthenticationFailed": "check account_key",
    "AuthorizationFailure": "check account_key",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "page": "check endpoint_url",
    "403 Forbidden": "check the credentials, and what the policies allow them to do",
}

_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|specified (?:bucket|container) does not exist", re.IGNORECASE)
_ANSWER = re.compile(r"<Code>\s*([^<]+?)\s*</Code>.*?<Message>\s*([^<\n]*)", re.DOTALL)
_STATUS = re.compile(r"status code: (\d{3}[ \w]*)")
# Clouds say what it is that they do not have, in XML or, to a HEAD, in no words; web servers have a page.
_PAGE = re.compile(r"status code: 404[ \w]*:(?=\s*\S)(?!.*<Code>)", re.DOTALL)
# What obstore says of a request that went wrong on its way; ", after 5 retries" stands between when it was repeated.
_LOST = re.compile(r" in [\d.]+\w+ - HTTP error")
_PREAMBLE = re.compile(r"^Generic \w+ error: |Error performing \w+ \S+ in .*? - ")
_PROTOCOL = re.compile(r"(?:Invalid\w+|Parse)\((?:\s*\w+\()*\s*\w+")
_SYSTEM = re.compile(r'(?:message|error): "([^"]+)"')
_CREDENTIALS = re.compile(r"//(?:169\.254\.\d+\.\d+|metadata\.google\.internal)/|credential", re.IGNORECASE)
_SIGNATURES = re.compile(r"((?:signature|sig|security-token|credential)=)[^&\s\"']+", re.IGNORECASE)


def reason_of(text: str, timeout: float) -> Reason:
    """Find out from obstore's text what happened.

    :param text: the text of its error
    :param timeout: how long was waited, in seconds
    :returns: the reason

    >>> reason_of('... <Error><Code>NoSuchBucket</Code><Message>It does not exist</Message></Error>', 60).sentence
    'NoSuchBucket: It does not exist (check the name of the bucket)'
    """
    summary = text.partition("\n\nDebug source")[0]
    answer, status, no_bucket = _ANSWER.search(summary), _STATUS.search(summary), _NO_BUCKET.search(summary)
    is_page = _PAGE.search(summary) is not None
    if answer is not None:
        code, sentence = answer[1], f"{answer[1]}: {answer[2]}"
    elif no_bucket is not None:
        code, sentence = "NoSuchBucket", "there is no such bucket"
    elif "redirect" in summary:
        code, sentence = "redirect", "the bucket is elsewhere"
    elif _CREDENTIALS.search(summary):
        code, sentence = "", f"no credentials could be had: {_first_line(summary)}"
    elif is_page:
        code, sentence = "page", "what answered is no store"
    elif status is not None:
        code, sentence = status[1].strip(), f"it answered {status[1].strip()}"
    elif "TimedOut" in text:
        code, sentence = "", f"it did not answer within {timeout:g} s"
    elif "IncompleteMessage" in text or "Content-Range" in summary or "body" in summary:
        code, sentence = "", "the connection was cut off in the middle"
    elif "HTTP error" in summary:
        code, sentence = "", f"it cannot be reached: {_cause(text)}"
    else:
        code, sentence = "", _first_line(summary)
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    is_answer_lost = _LOST.search(summary) is not None
    return Reason(code, sentence + advice, is_answer_lost, is_page or no_bucket is not None, code in _OF_REGIONS)


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """Take secrets out of a text.

    :param text: the text
    :param secrets: the secrets; ``None`` and empty ones are left out
    :returns: the text with asterisks for each secret, quoted or not, and for the signature of each URL

    >>> redacted('GET https://host/x?sig=abc%2F with a/b', ['a/b'])
    'GET https://host/x?sig=*** with ***'
    """
    text = _SIGNATURES.sub(r"\1***", text)
    for secret in filter(None, secrets):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, "***")
    return text


def _first_line(text: str) -> str:
    return _PREAMBLE.sub("", text.partition("\n")[0]).strip()


def _cause(text: str) -> str:
    system, protocol = _SYSTEM.search(text), _PROTOCOL.search(text)
    if system is not None:
        return system[1]
    # Words of the libraries below, such as InvalidCertificate and UnknownIssuer.
    return " ".join(protocol[0].replace("(", " ").split()) if protocol is not None else _first_line(text)
