"""The names of variants, signed: only by the application, for its pages.

A variant's file lies in a folder that is named after its original, and its name says all that is to be done::

    user-picture/42/17/17042.4032x3024.k3v9q2-jpe/640x480-c0.378.3024.2268.<signature>.avif

The signature is an HMAC-SHA256 of 96 bits, in hexadecimal digits, over the whole path without it and without its dot.
It must always be true that

- nothing is made, nor looked for, before the signature is found right, in constant time;
- all of the path is signed, so that no part of one serves with another;
- a name has at most 160 bytes and a path at most 900, which every file system and bucket takes.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from ..naming import FileKey, key_of, original_of
from .recipe import Recipe, read_recipe

__all__ = ("SignedName", "Signer")

_DIGITS = 24
_MAX_NAME = 160
_MAX_PATH = 900
# Half of what is signed: a shorter secret could be guessed.
_LEAST_SECRET = 16


class SignedName(NamedTuple):
    """The name of a variant, found to be signed."""

    #: The key of its file, under the newest secret, and the name of that.
    key: FileKey
    name: str
    original: FileKey
    recipe: Recipe
    #: The keys that its file may have had under older secrets, newest first.
    former_keys: tuple[FileKey, ...]


class Signer:
    """Signs the names of variants, and checks them.

    :param secrets: secrets of at least 16 bytes, newest first: names are signed with the newest
    :param purpose: what they are signed for; what is signed for another purpose is not read
    :raises TypeError: when one is neither a text nor bytes
    :raises ValueError: when there is none, or one is too short

    >>> signer = Signer(["a secret of the application"])
    >>> signer.sign("user/1/0/1.64x48.k3v9q2-png", "32x24", ".webp")
    'user/1/0/1.64x48.k3v9q2-png/32x24.290ed8cdd6e1aa374911ea77.webp'
    """

    def __init__(self, secrets: Sequence[str | bytes], purpose: bytes = b"") -> None:
        if not secrets:
            raise ValueError("expected a secret to sign URLs with, or several, newest first; got none")
        checked = [_checked_secret(secret) for secret in secrets]
        self._secrets = tuple(hmac.digest(secret, purpose, "sha256") if purpose else secret for secret in checked)

    def sign(self, folder: str, text: str, suffix: str) -> str:
        """Make the path of a variant.

        :param folder: what :func:`~sqlalchemy_imageattach.naming.folder_of_variants` makes of the original
        :param text: what :func:`~.recipe.written` makes of the recipe
        :param suffix: that, too
        :returns: the path, with slashes, not quoted
        :raises ValueError: when it is longer than a file system or a bucket takes
        """
        digits = _signature(self._secrets[0], f"{folder}/{text}{suffix}")
        path = f"{folder}/{text}.{digits}{suffix}"
        is_long = len(path) > _MAX_NAME or not path.isascii()
        if is_long and (len(path.encode()) > _MAX_PATH or _longest_name(path) > _MAX_NAME):
            raise ValueError(
                f"expected a path of at most {_MAX_PATH} bytes, with names of at most {_MAX_NAME}, got {path!r}; "
                "choose a shorter object_type, or smaller numbers as object_id"
            )
        return path

    def read(self, path: str) -> SignedName | None:
        """Read the path of a variant.

        :param path: a relative path with slashes; from anybody
        :returns: what it says; ``None`` when it is not signed with one of the secrets, or not as :meth:`sign` writes it
        """
        folder, _, name = path.rpartition("/")
        head, _, suffix = name.rpartition(".")
        text, _, digits = head.rpartition(".")
        if len(digits) != _DIGITS or not digits.isascii() or len(path) > _MAX_PATH:
            return None
        message = f"{folder}/{text}.{suffix}"
        signatures = [_signature(secret, message) for secret in self._secrets]
        if not any(hmac.compare_digest(signature, digits) for signature in signatures):
            return None
        name, *former_names = (f"{folder}/{text}.{signature}.{suffix}" for signature in signatures)
        key, former_keys = key_of(name), map(key_of, former_names)
        original = None if key is None else original_of(key)
        if key is None or original is None:
            return None
        recipe = read_recipe(f"{text}.{suffix}", (original.width, original.height))
        if recipe is None:
            return None
        return SignedName(key, name, original, recipe, tuple(former for former in former_keys if former is not None))


def _signature(secret: bytes, message: str) -> str:
    return hmac.digest(secret, message.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]


def _longest_name(path: str) -> int:
    return max(len(name.encode()) for name in path.split("/"))


def _checked_secret(secret: object) -> bytes:
    if isinstance(secret, str):
        secret = secret.encode()
    if not isinstance(secret, bytes):
        raise TypeError(f"expected a secret to be a text or bytes, got {type(secret).__name__}")
    if len(secret) < _LEAST_SECRET:
        raise ValueError(
            f"expected a secret of at least {_LEAST_SECRET} bytes, got {len(secret)}; make one by "
            "python -c 'import secrets; print(secrets.token_hex())'"
        )
    return secret
