"""Image sets: an original, and the thumbnails that were made of it.

::

    user.picture                                    SingleImageSet: one original
    album.photos                                    MultipleImageSet: many, told apart by a key column of their own
    album.photos.get_image_set(position=3)          ImageSubset: one of those

All that one can do with an original and its thumbnails is in :class:`BaseImageSet`; where its images come from is the
business of :class:`~sqlalchemy_imageattach.imagequery.BaseImageQuery`.  It must always be true that

- what is refused is refused before anything is changed;
- an image set has one original: a new one replaces all that was there, at the next flush;
- what was made once is found again, and not made again.

Each method with an ``a`` in front does the same and is awaited, for :class:`~sqlalchemy.ext.asyncio.AsyncSession`.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from markupsafe import Markup
from sqlalchemy import inspect
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import object_session

from .attachment import ATTRIBUTE, Attachment, find_store, remember_store
from .concurrency import call, run
from .context import current_store
from .exc import ImageNotFoundError
from .imagequery import BaseImageQuery
from .imaging import ImageInfo, ImagePolicy, Resized, check_filter, probe, resize
from .imaging.privacy import strip_metadata
from .imaging.types import SUFFIXES
from .ledger import new_revision
from .rows import Place, find_current, has_gap_locks, insert_or_find, lock_original
from .sizes import Wanted, pixels
from .store import Store

if TYPE_CHECKING:
    from .entity import Image

__all__ = ("BaseImageSet", "ImageSet", "ImageSubset", "MultipleImageSet", "SingleImageSet")

I = TypeVar("I", bound="Image")  # noqa: E741

#: The key in the ``info`` of a relationship under which :func:`~.entity.image_attachment` leaves its policy.
POLICY_KEY = "image_policy"


class BaseImageSet(Generic[I]):
    """One original, its thumbnails, and what can be done with them."""

    #: What tells the images of this set from others of the same attribute, by attribute names of the image class.
    identity_map: Mapping[str, Any]

    if TYPE_CHECKING:

        @property
        def query(self) -> BaseImageQuery[I]: ...

    # What there is.

    @property
    def original(self) -> I | None:
        """The original image, or ``None`` when there is none yet."""
        originals = [image for image in self._candidates(original=True) if image.original]
        return max(originals, key=_newness, default=None)

    def require_original(self) -> I:
        """The original image.

        :returns: the original, never ``None``
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is none yet
        """
        original = self.original
        if original is None:
            raise ImageNotFoundError("there is no original image yet; attach one with from_file() or from_blob()")
        return original

    @property
    def width(self) -> int:
        """The width of the original in pixels; :exc:`.ImageNotFoundError` when there is none."""
        return self.require_original().width

    @property
    def height(self) -> int:
        """The height of the original in pixels; :exc:`.ImageNotFoundError` when there is none."""
        return self.require_original().height

    def find_thumbnail(self, width: int | None = None, height: int | None = None, store: Store = current_store) -> I:
        """Find the image of a width, a height, or both.  The original is found too, if that is its size.

        :param width: pixels
        :param height: pixels
        :param store: taken for symmetry with the other methods; finding asks no store
        :returns: the image; of several, the one nearest in shape to the original
        :raises ~sqlalchemy.orm.exc.NoResultFound: when there is none
        :raises TypeError: when neither width nor height is given, or one is no integer
        :raises ValueError: when one is not positive
        """
        sides = {"width": width, "height": height}
        wanted = {name: pixels(name, side) for name, side in sides.items() if side is not None}
        if not wanted:
            raise TypeError("expected a width, a height or both")
        found = self._candidates(**wanted)
        if not found:
            size = " and ".join(f"{name} {value!r}" for name, value in wanted.items())
            raise NoResultFound(f"there is no image of {size}; make one with generate_thumbnail()")
        if len(found) == 1:
            return found[0]
        original = self.original
        if original is None:
            return max(found, key=_newness)
        shape = math.log(original.width / original.height)
        return min(found, key=lambda image: abs(math.log(image.width / image.height) - shape))

    # Attaching.

    def from_file(
        self,
        file: IO[bytes],
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach the image in a file as the original, in place of all that was here before.

        :param file: a readable binary file; read from where it stands to its end, and left open
        :param store: the store for the image; by default the current one
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``file`` has no ``read``, or is not binary

        >>> user.picture.from_file(photograph, store=store).size
        (640, 480)
        """
        if not hasattr(file, "read"):
            # What forms of the standard library's cgi module, and of some frameworks, wrap around the file.
            file = getattr(file, "file", file)
        if not hasattr(file, "read"):
            raise TypeError(f"expected a readable binary file, and {file!r:.100} has no read()")
        return self._attach(file, store, None, None, True, extra_args, extra_kwargs, policy)

    def from_blob(
        self,
        blob: bytes,
        store: Store = current_store,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach the image in a byte string as the original, in place of all that was here before.

        :param blob: the bytes of an image file
        :param store: the store for the image; by default the current one
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``blob`` is no byte string

        >>> user.picture.from_blob(photograph.read(), store=store).mimetype
        'image/jpeg'
        """
        if not isinstance(blob, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected the bytes of an image, not {type(blob).__name__}")
        return self._attach(bytes(blob), store, None, None, True, extra_args, extra_kwargs, policy)

    def from_raw_file(
        self,
        raw_file: IO[bytes],
        store: Store = current_store,
        size: tuple[int, int] | None = None,
        mimetype: str | None = None,
        original: bool = True,
        extra_args: Sequence[Any] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        *,
        policy: ImagePolicy | None = None,
    ) -> I:
        """Attach a file of which size and type may be known already, as the original or as a thumbnail.

        :param raw_file: a readable and seekable binary file; read from its beginning, left open where it stood
        :param store: the store for the image; by default the current one
        :param size: width and height in pixels; read from the file's header if omitted
        :param mimetype: its type; told by the file's bytes if omitted. With both given, the file is not looked into.
        :param original: false for a thumbnail
        :param extra_args: arguments for the constructor of the image class
        :param extra_kwargs: keyword arguments for it
        :param policy: what is accepted, in place of what :func:`~.entity.image_attachment` was given
        :returns: the image; its row and file are written by the next flush
        :raises InvalidImageError: (a :exc:`ValueError`) when it is no image, damaged, or not accepted by the policy
        :raises ContextError: when there is no store
        :raises TypeError: when ``raw_file`` cannot be read or sought

        >>> user.picture.from_raw_file(photograph, store, size=(2, 1), mimetype='image/png').size
        (2, 1)
        """
        for method in ("read", "seek", "tell"):
            if not hasattr(raw_file, method):
                raise TypeError(f"expected a readable and seekable file, and {raw_file!r} has no {method}()")
        position = raw_file.tell()
        raw_file.seek(0)
        try:
            return self._attach(raw_file, store, size, mimetype, original, extra_args, extra_kwargs, policy)
        finally:
            raw_file.seek(position)

    # Making other sizes.

    def generate_thumbnail(
        self,
        ratio: float | None = None,
        width: int | None = None,
        height: int | None = None,
        filter: str | int = "undefined",
        store: Store = current_store,
        _preprocess_image: Callable[[Any], Any] | None = None,
        _postprocess_image: Callable[[Any], Any] | None = None,
        *,
        first_frame: bool = False,
    ) -> I:
        """Make another size of the original, larger ones too; the size that is there already is found, not made.

        Give one of ratio, width and height.  What is not given follows from the original's shape, rounded to the
        nearest pixel, halves up, and is at least 1.  Vector images become PNG; animations stay animated where the type
        can.

        :param ratio: how many times the original's width and height
        :param width: pixels
        :param height: pixels
        :param filter: one of the names in ``wand.image.FILTER_TYPES``, or its index there
        :param store: the store that has the original and gets the thumbnail; by default the current one
        :param _preprocess_image: takes and returns the ``pyvips.Image`` before it is resized
        :param _postprocess_image: takes and returns the ``pyvips.Image`` after it was resized
        :param first_frame: whether to make a still of an animation
        :returns: the thumbnail; its row and file are written by the next flush
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet, or the store does not have it
        :raises InvalidImageError: (a :exc:`ValueError`) when the size asked for is too large, or the original damaged
        :raises ValueError: for a size that is not positive and finite, and an unknown filter
        :raises TypeError: for no size, for two, and for sizes that are no numbers

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> user.picture.generate_thumbnail(width=150, store=store).size
        (150, 113)
        """
        wanted = Wanted(ratio, width, height)
        check_filter(filter)
        owner, relationship = self.query._place()
        original = self.require_original()
        store = find_store(store, original, owner=owner)
        found = self._find_made(original, wanted)
        if found is not None:
            return found
        made = call(
            _resize,
            partial(original.open_file, store, use_seek=True),
            wanted,
            relationship.info.get(POLICY_KEY) or ImagePolicy(),
            filter=filter,
            first_frame=first_frame,
            preprocess=_preprocess_image,
            postprocess=_postprocess_image,
        )
        with made.file:
            size = made.width, made.height
            found = next(iter(self._candidates(width=made.width, height=made.height)), None)
            found = found or self._claim(original, size)
            if found is not None:
                return found
            attachment = call(Attachment.of_file, store, made.file, 2**63)
        attach = partial(self._insert, attachment, size, made.mimetype, False, inherited=_needed(original))
        session = object_session(original)
        if session is None or not inspect(original).persistent or not has_gap_locks(session, relationship.mapper):
            return attach()
        image: I = insert_or_find(session, relationship.mapper, attach)
        if image not in self.query:
            self.query._current().append(image)
        return image

    # What an original can do, for short.

    def open_file(self, store: Store = current_store, use_seek: bool = False) -> IO[bytes]:
        """Open the file of the original.

        :param store: the store that has it; by default the current one
        :param use_seek: whether the file has to be seekable
        :returns: a readable binary file, which the caller closes; also a context manager
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().open_file(store, use_seek)

    def make_blob(self, store: Store = current_store) -> bytes:
        """Read the bytes of the original.

        :param store: the store that has it; by default the current one
        :returns: its bytes
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().make_blob(store)

    def locate(self, store: Store = current_store) -> str:
        """The URL of the original.

        :param store: the store that has it; by default the current one
        :returns: the URL
        :raises ImageNotFoundError: (an :exc:`OSError`) when there is no original yet
        """
        return self.require_original().locate(store)

    def img(self, **attributes: Any) -> Markup:
        """The original as an ``<img>`` element: see :meth:`.Image.img`.

        :param attributes: HTML attributes
        :returns: the element; nothing when there is no original
        """
        original = self.original
        return Markup() if original is None else original.img(**attributes)

    def __html__(self) -> str:
        original = self.original
        return "" if original is None else original.__html__()

    # The same, awaited.

    async def afrom_file(self, file: IO[bytes], store: Store = current_store, **options: Any) -> I:
        """Await :meth:`from_file`."""
        return await run(self.from_file, file, store, **options)

    async def afrom_blob(self, blob: bytes, store: Store = current_store, **options: Any) -> I:
        """Await :meth:`from_blob`."""
        return await run(self.from_blob, blob, store, **options)

    async def agenerate_thumbnail(self, ratio: float | None = None, **options: Any) -> I:
        """Await :meth:`generate_thumbnail`."""
        return await run(self.generate_thumbnail, ratio, **options)

    async def amake_blob(self, store: Store = current_store) -> bytes:
        """Await :meth:`make_blob`."""
        return await run(self.make_blob, store)

    # How.

    def _candidates(self, **wanted: Any) -> list[I]:
        """The images of this set that have these values."""
        return self.query._matching(**{**wanted, **self.identity_map})

    def _find_made(self, original: I, wanted: Wanted) -> I | None:
        """The image of a size that was made before."""
        sizes = [wanted.of(original.size)]
        if getattr(original, "revision", None) is None:
            sizes += wanted.formerly_of(original.size)
        made = {image.size: image for image in self._candidates()}
        return next((made[size] for size in sizes if size in made), None)

    def _claim(self, original: I, size: tuple[int, int]) -> I | None:
        """Make sure that no other transaction makes the same size until this one ends, or get what one has made."""
        session = object_session(original)
        if session is None or not inspect(original).persistent:
            return None
        owner, relationship = self.query._place()
        if not lock_original(session, owner, original):
            session.expire(owner, [relationship.key])
            raise ImageNotFoundError("the original was replaced or deleted by another transaction; try again")
        place = Place(owner, relationship, tuple(self.identity_map.items()))
        for image in find_current(session, place, width=size[0], height=size[1]):
            self.query._current().append(image)
            found: I = image
            return found
        return None

    def _attach(
        self,
        content: bytes | IO[bytes],
        store: Store,
        size: tuple[int, int] | None,
        mimetype: str | None,
        original: bool,
        extra_args: Sequence[Any] | None,
        extra_kwargs: Mapping[str, Any] | None,
        policy: ImagePolicy | None,
    ) -> I:
        if size is not None:
            width, height = size
            size = pixels("width", width), pixels("height", height)
        if not (mimetype is None or isinstance(mimetype, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected a text such as 'image/png' as mimetype, not {mimetype!r}")
        owner, relationship = self.query._place()
        store = find_store(store, self.original, owner=owner, mapper=relationship.mapper)
        accepted: ImagePolicy = policy or relationship.info.get(POLICY_KEY) or ImagePolicy()
        attachment, info = call(_read, store, content, accepted, size is None or mimetype is None)
        if info is not None:
            size = size or (info.width, info.height)
            mimetype = mimetype or info.mimetype
        assert size is not None
        assert mimetype is not None
        standard = mimetype.replace("image/x-", "image/", 1)
        if standard in SUFFIXES or mimetype not in SUFFIXES:
            mimetype = standard
        if not original and any(image.original for image in self._candidates(width=size[0], height=size[1])):
            raise ValueError(f"expected a thumbnail of another size than the original, not {size[0]}x{size[1]}")
        return self._insert(attachment, size, mimetype, original, extra_args or (), extra_kwargs or {})

    def _insert(
        self,
        attachment: Attachment,
        size: tuple[int, int],
        mimetype: str,
        original: bool,
        extra_args: Sequence[Any] = (),
        extra_kwargs: Mapping[str, Any] = MappingProxyType({}),
        inherited: Mapping[str, Any] = MappingProxyType({}),
    ) -> I:
        home = self.query._current()
        owner, relationship = home._place()
        cls = relationship.mapper.class_
        known = {**inherited, **_known_keys(owner, relationship), **self.identity_map}
        arguments = dict(extra_kwargs)
        if dataclasses.is_dataclass(cls):
            # Its constructor may insist on some of them, and takes no others.
            fields = [field.name for field in dataclasses.fields(cls) if field.init][len(extra_args) :]
            arguments = {name: known[name] for name in fields if name in known} | arguments
        image: I = cls(*extra_args, **arguments)
        image.width, image.height = size
        image.mimetype = mimetype
        image.original = original
        image.created_at = extra_kwargs.get("created_at") or datetime.datetime.now(datetime.UTC)
        if "revision" in relationship.mapper.columns:
            image.revision = new_revision() if attachment.store.takes_revision() else None
        for name, value in known.items():
            if value is not None:
                setattr(image, name, value)
        image.__dict__[ATTRIBUTE] = attachment
        attachment.place = Place(owner, relationship, tuple(self.identity_map.items()))
        for existing in self._candidates():
            if original or existing.size == size:
                remember_store(existing, attachment.store)
                home.remove(existing)
        home.append(image)
        return image


class SingleImageSet(BaseImageQuery[I], BaseImageSet[I]):
    """The image set of an attribute that has one original: ``user.picture``.

    It is a :class:`~sqlalchemy.orm.Query` of its images as well.
    """

    identity_map: Mapping[str, Any] = {}

    @property
    def query(self) -> BaseImageQuery[I]:
        return self


#: The name that most people know :class:`SingleImageSet` by.
ImageSet = SingleImageSet


class MultipleImageSet(BaseImageQuery[I]):
    """The image sets of an attribute that has many originals, by ``image_attachment(uselist=True)``: ``album.photos``.

    It is a :class:`~sqlalchemy.orm.Query` of all their images as well.
    """

    def get_image_set(self, **pk: Any) -> ImageSubset[I]:
        """Choose one image set, which need not have any image yet.

        :param pk: the values of the key attributes that tell image sets apart
        :returns: the image set
        :raises TypeError: when a key is missing, or is none
        """
        return ImageSubset(self, **pk)

    @property
    def image_sets(self) -> Iterator[ImageSubset[I]]:
        """All image sets that have an original."""
        names, known = self._keys()
        for image in self._matching(original=True):
            yield ImageSubset(self, **{name: getattr(image, name) for name in names if name not in known})

    def _keys(self) -> tuple[list[str], dict[str, Any]]:
        """The key attributes of the images, and those of them that the owner says."""
        try:
            owner, relationship = self._place()
        except TypeError:
            cls: Any = self.column_descriptions[0]["type"]
            return cls.identity_attributes(), {}
        return relationship.mapper.class_.identity_attributes(), _known_keys(owner, relationship)


class ImageSubset(BaseImageSet[I]):
    """One image set of a :class:`MultipleImageSet`.

    :param _query: the image sets that it is one of
    :param identity_map: the values of the key attributes that tell it from the others
    :raises TypeError: when a key is missing, or is none
    :raises ValueError: when a key is that of another owner
    """

    def __init__(self, _query: MultipleImageSet[I], **identity_map: Any) -> None:
        names, known = _query._keys()
        required = {name for name in names if name not in known}
        unknown, missing = set(identity_map) - set(names), required - set(identity_map)
        if unknown or missing:
            raise TypeError(
                f"expected values of {', '.join(sorted(required))}"
                + (f"; missing {', '.join(sorted(missing))}" if missing else "")
                + (f"; there is no {', '.join(sorted(unknown))}" if unknown else "")
            )
        for name, value in known.items():
            if value is not None and identity_map.get(name, value) != value:
                raise ValueError(f"expected {value!r} as {name}, which the owner says, not {identity_map[name]!r}")
        self._query = _query
        self.identity_map = identity_map

    @property
    def query(self) -> MultipleImageSet[I]:
        """The image sets that this is one of."""
        return self._query

    def count(self) -> int:
        """Count the images of this set.

        :returns: how many there are, the original included
        """
        return len(self._candidates())

    def __iter__(self) -> Iterator[I]:
        return iter(self._candidates())

    def __bool__(self) -> bool:
        return bool(self._candidates())


def _read(
    store: Store, content: bytes | IO[bytes], policy: ImagePolicy, is_probed: bool
) -> tuple[Attachment, ImageInfo | None]:
    if isinstance(content, bytes):
        attachment = Attachment.of_blob(store, content, policy.max_bytes)
    else:
        attachment = Attachment.of_file(store, content, policy.max_bytes)
    if not is_probed and not policy.strip_metadata:
        return attachment, None
    with attachment.open() as file:
        info = probe(file, policy)
        if policy.strip_metadata:
            with strip_metadata(file, info) as stripped:
                attachment = Attachment.of_file(store, stripped, policy.max_bytes)
    return attachment, info


def _resize(open_source: Callable[[], IO[bytes]], wanted: Wanted, policy: ImagePolicy, **options: Any) -> Resized:
    # What is wished of uploads was asked when this one came.
    policy = dataclasses.replace(
        policy, types=None, min_side=None, max_side=None, min_aspect_ratio=None, max_aspect_ratio=None
    )
    with open_source() as source:
        # The file knows best: the original library did not turn what a camera held upright.
        info = probe(source, policy)
        size = wanted.of((info.width, info.height))
        return resize(source, info, *size, policy=policy, **options)


def _known_keys(owner: Any, relationship: Any) -> dict[str, Any]:
    """The attributes of an image that its owner says, with their values as far as they are known without SQL."""
    state = inspect(owner)
    name_of = state.mapper.get_property_by_column
    identity = dict(zip(map(name_of, state.mapper.primary_key), state.identity or (), strict=False))
    known = {}
    for local, remote in relationship.local_remote_pairs:
        attribute = name_of(local)
        value = identity.get(attribute, state.dict.get(attribute.key))
        known[relationship.mapper.get_property_by_column(remote).key] = value
    return known


def _needed(original: Any) -> dict[str, Any]:
    """What a row cannot do without, and only the application knows: a thumbnail has it from its original."""
    needed = {}
    for attribute in inspect(original).mapper.column_attrs:
        column: Any = attribute.columns[0]
        is_made = column.default is not None or column.server_default is not None or column.autoincrement is True
        if not (column.nullable or is_made or attribute.key in {"width", "height", "mimetype"}):
            needed[attribute.key] = getattr(original, attribute.key)
    return needed


def _newness(image: Any) -> tuple[bool, datetime.datetime]:
    created_at: datetime.datetime = image.created_at
    return not inspect(image).has_identity, created_at.replace(tzinfo=None)
