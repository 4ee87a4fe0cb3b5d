"""Taking in what an application attaches: its bytes are read and examined, and become an image of an image set.

:func:`read_incoming` makes an :class:`Incoming` of a file or a byte string, and changes nothing.
:func:`insert_image` makes an image of that, and puts it in place of what was there.  All that is refused is refused
between the two.  It must always be true that

- a policy has seen the bytes that are stored, unless the caller knows both size and type, and asks for no change;
- what the owner and the image set say of an image, the image says too, before SQLAlchemy sees it.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.attributes import set_attribute, set_committed_value

from ..naming import SUFFIXES, new_revision
from ..store import Store
from ..transactions.info_keys import POLICY_KEY
from ..transactions.pending import PendingFile, attach
from ..transactions.rows.place import ImageSetRef, known_keys
from ..transactions.which_store import remember_store
from .image import Image
from .query import BaseImageQuery, matching, place_of

if TYPE_CHECKING:
    from ..imaging import ImagePolicy

__all__ = ("Incoming", "ReadableFile", "SeekableFile", "accepted_by", "insert_image", "read_incoming", "readable")

I = TypeVar("I", bound="Image")  # noqa: E741


class Incoming(NamedTuple):
    """The bytes of an image that is about to be attached, and what is known of them."""

    attachment: PendingFile
    #: Width and height in pixels, as a browser shows it.
    size: tuple[int, int]
    mimetype: str
    #: What the mixins of its class want to know of it, by attribute names.
    facts: Mapping[str, Any] = MappingProxyType({})


def accepted_by(relationship: RelationshipProperty[Any]) -> ImagePolicy:
    """Tell what an attribute accepts.

    :param relationship: the attribute
    :returns: the policy that it was declared with, else the default one
    """
    policy: ImagePolicy | None = relationship.info.get(POLICY_KEY)
    if policy is None:
        from ..imaging import ImagePolicy

        policy = ImagePolicy()
    return policy


class SupportsRead(Protocol):
    """What gives bytes: any binary file, the response to a request."""

    def read(self, size: int = ..., /) -> bytes: ...


class AsyncUpload(Protocol):
    """An upload of Starlette, FastAPI or Litestar: its own ``read()`` is awaited, that of its file is not."""

    @property
    def file(self) -> Any: ...


class StreamUpload(Protocol):
    """An upload of Flask, a ``FileStorage``: it reads as its stream does, which type checkers do not see."""

    @property
    def stream(self) -> IO[bytes]: ...


#: What is read from where it stands.
ReadableFile: TypeAlias = SupportsRead | AsyncUpload | StreamUpload
#: What is read from its beginning.
SeekableFile: TypeAlias = IO[bytes] | AsyncUpload | StreamUpload


def readable(file: Any) -> IO[bytes]:
    """Find the file in what an application has got.

    :param file: a readable binary file, or an upload of a framework that has one
    :returns: the file
    :raises TypeError: when there is none, with what to pass instead
    """
    if not hasattr(file, "read") or iscoroutinefunction(file.read):
        # What frameworks wrap around the file of an upload; where its read() is awaited, that of the file is not.
        file = getattr(file, "file", file)
    if isinstance(file, io.TextIOBase):
        # A file opened without a "b" in its mode has one opened with it underneath.
        file = getattr(file, "buffer", file)
    if isinstance(file, str | os.PathLike):
        raise TypeError(f"expected a readable binary file, got the path {file!r:.100}; pass open(path, 'rb')")
    if isinstance(file, bytes | bytearray | memoryview):
        raise TypeError("expected a readable binary file, got bytes; pass them to from_blob()")
    if not hasattr(file, "read"):
        raise TypeError(
            f"expected a readable binary file, got {file!r:.100}, which has no read(); pass open(path, 'rb'), a"
            " framework's upload, or bytes to from_blob()"
        )
    if iscoroutinefunction(file.read):
        raise TypeError(
            f"expected a file whose read() gives bytes, got {file!r:.100}, whose read() has to be awaited; pass"
            " await file.read() to from_blob()"
        )
    return cast("IO[bytes]", file)


def read_incoming(
    store: Store,
    content: bytes | IO[bytes],
    policy: ImagePolicy,
    size: tuple[int, int] | None = None,
    mimetype: str | None = None,
    cls: type[Any] = object,
) -> Incoming:
    """Read an image, and check it against a policy.

    :param store: the store that it is for
    :param content: a byte string, or a file, which is read from where it stands
    :param policy: what is accepted
    :param size: width and height in pixels, where they are known already
    :param mimetype: the type, where it is known already
    :param cls: the image class
    :returns: the bytes that are to be stored, and what they are
    :raises InvalidImageError: when it is no image, damaged, or not accepted by the policy
    :raises ValueError: when the store has no name for files of its type
    """
    # What reads pictures is loaded with the first one: most processes of an application only show them.
    from ..imaging import probe
    from ..imaging.privacy import strip_metadata
    from .optional_columns import facts_of

    if isinstance(content, bytes):
        attachment = PendingFile.of_blob(store, content, policy.max_bytes)
    else:
        attachment = PendingFile.of_file(store, content, policy.max_bytes)
    if size is None or mimetype is None or policy.strip_metadata:
        with attachment.open() as file:
            info = probe(file, policy)
            if policy.strip_metadata:
                with strip_metadata(file, info) as stripped:
                    attachment = PendingFile.of_file(store, stripped, policy.max_bytes)
        size = size or (info.width, info.height)
        mimetype = mimetype or info.mimetype
    mimetype = _standard(mimetype)
    if not store.takes_type(mimetype):
        raise ValueError(f"expected a type that {store!r} has a name for, such as 'image/png', not {mimetype!r}")
    return Incoming(attachment, size, mimetype, facts_of(cls, attachment.open, policy))


def insert_image(
    home: BaseImageQuery[I],
    values: Mapping[str, Any],
    incoming: Incoming,
    original: bool,
    extra_args: Sequence[Any] = (),
    extra_kwargs: Mapping[str, Any] = MappingProxyType({}),
    inherited: Mapping[str, Any] = MappingProxyType({}),
) -> I:
    """Make an image, and attach it in place of what it replaces: of all for an original, else of the same size.

    :param home: the collection that the attribute has now
    :param values: what tells the images of this image set from others of the attribute, by attribute names
    :param incoming: the bytes
    :param original: whether it is an original
    :param extra_args: arguments for the constructor of the image class
    :param extra_kwargs: keyword arguments for it
    :param inherited: attributes that it has from its original
    :returns: the image
    """
    attachment, size, mimetype, more = incoming
    owner, relationship = place_of(home)
    cls = relationship.mapper.class_
    known = {**inherited, **known_keys(owner, relationship), **values}
    arguments, ways_back = dict(extra_kwargs), set[str]()
    if dataclasses.is_dataclass(cls):
        # Its constructor may insist on some of them, and takes no others.
        fields = [field.name for field in dataclasses.fields(cls) if field.init][len(extra_args) :]
        ways_back = {name for name in _ways_back(relationship) if name in fields and name not in arguments}
        # With the owner, SQLAlchemy would append an image that is not whole yet.
        arguments = {name: known[name] for name in fields if name in known} | dict.fromkeys(ways_back) | arguments
    image: I = cls(*extra_args, **arguments)
    for name in ways_back:
        set_committed_value(image, name, owner)
    facts: dict[str, Any] = dict(zip(("width", "height"), size, strict=True), mimetype=mimetype, original=original)
    facts |= more
    facts["created_at"] = extra_kwargs.get("created_at") or datetime.datetime.now(datetime.UTC)
    if "revision" in relationship.mapper.columns:
        facts["revision"] = new_revision() if attachment.store.takes_revision() else None
    for name, value in facts.items():
        # Not by setattr(): SQLModel's refuses what is no field of Pydantic's.
        set_attribute(image, name, value)
    for name, value in known.items():
        if value is not None:
            setattr(image, name, value)
    attach(image, attachment)
    attachment.place = ImageSetRef(owner, relationship, tuple(values.items()))
    for existing in matching(home, **values):
        if original or existing.size == size:
            remember_store(existing, attachment.store)
            home.remove(existing)
    home.append(image)
    return image


def _ways_back(relationship: Any) -> Iterator[str]:
    """The attributes of an image that lead to its owner."""
    for other in relationship.mapper.relationships:
        if other.direction is RelationshipDirection.MANYTOONE and other.local_columns == relationship.remote_side:
            yield other.key


def _standard(mimetype: str) -> str:
    """The registered name of a type: ``image/png`` for ``image/x-png``."""
    standard = mimetype.replace("image/x-", "image/", 1)
    return standard if standard in SUFFIXES or mimetype not in SUFFIXES else mimetype
